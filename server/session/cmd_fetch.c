/* FETCH and UID FETCH (RFC 3501 6.4.5, 7.4.2). */
#include "session/fetch_binary.h"
#include "session/fetch_more.h"
#include "session/fetch_section.h"

#include "mail/imap_text.h"

#include <time.h>

#define PIECES_FROM 200 /* messages; fewer are read quicker than a large folder is put into the index */

struct fetch {
    struct imap_session *s;
    struct imap_fetch what;
    struct arena *arena; /* one message's */
    struct str *piece;   /* for each item: what the index has of it, p NULL: nothing */
    bool peek, header, whole, measure; /* what the items need */
    bool decode; /* parts that can be decoded */
    bool pieces; /* the index may have something of them */
    size_t gone, failed;
};

/* What the index may have of an item; 0: nothing. */
static enum store_piece piece_of(const struct imap_fetch_item *item)
{
    switch (item->kind) {
    case IMAP_FETCH_ENVELOPE:
        return STORE_PIECE_ENVELOPE;
    case IMAP_FETCH_BODY:
        return STORE_PIECE_BODY;
    case IMAP_FETCH_BODYSTRUCTURE:
        return STORE_PIECE_STRUCTURE;
    case IMAP_FETCH_PREVIEW:
        return STORE_PIECE_PREVIEW;
    case IMAP_FETCH_SECTION:
        return fetch_section_is_usual(&item->section) ? STORE_PIECE_FIELDS : 0;
    case IMAP_FETCH_THREADID:
        return STORE_PIECE_FIELDS;
    default:
        return 0;
    }
}

/* How much of a message the items need that the index has nothing of. */
static void plan(struct fetch *f)
{
    f->peek = true;
    for (size_t i = 0; i < f->what.n; i++) {
        const struct imap_fetch_item *item = &f->what.items[i];
        f->pieces |= piece_of(item) || item->kind == IMAP_FETCH_EMAILID;
        f->peek &= item->peek ||
                   (item->kind != IMAP_FETCH_SECTION && item->kind != IMAP_FETCH_BINARY);
        switch (item->kind) {
        case IMAP_FETCH_UID:
        case IMAP_FETCH_FLAGS:
        case IMAP_FETCH_MODSEQ:
            break;
        case IMAP_FETCH_INTERNALDATE:
        case IMAP_FETCH_RFC822_SIZE:
            f->measure = true;
            break;
        case IMAP_FETCH_ENVELOPE:
        case IMAP_FETCH_BODY:
        case IMAP_FETCH_BODYSTRUCTURE:
            break;
        case IMAP_FETCH_SECTION:
            if (piece_of(item))
                break;
            if (fetch_section_needs_header_only(&item->section))
                f->header = true;
            else
                f->whole = true;
            break;
        case IMAP_FETCH_BINARY:
        case IMAP_FETCH_BINARY_SIZE:
            f->whole = f->decode = true;
            break;
        case IMAP_FETCH_PREVIEW:
        case IMAP_FETCH_EMAILID:
        case IMAP_FETCH_THREADID:
        case IMAP_FETCH_SAVEDATE:
            break;
        }
    }
}

static bool asks_for(const struct fetch *f, enum imap_fetch_kind kind)
{
    for (size_t i = 0; i < f->what.n; i++)
        if (f->what.items[i].kind == kind)
            return true;
    return false;
}

static void send_date(struct imap_session *s, int64_t date)
{
    char text[MAIL_DATE_SIZE];
    struct tm tm = {0};
    time_t t = (time_t)date;
    localtime_r(&t, &tm);
    struct str d = mail_date_print_imap(text, date, (int)(tm.tm_gmtoff / 60));
    output_printf(&s->out, "INTERNALDATE \"%.*s\"", STR_FMT(d));
}

static void send_envelope(struct fetch *f, size_t index, struct message *m)
{
    struct mail_envelope env;
    struct buf *b = output_buf(&f->s->out);
    size_t at = b->n;
    mail_envelope_parse(f->arena, message_header(m), &env);
    mail_imap_envelope(b, &env, 0);
    store_mailbox_keep(f->s->mailbox, index, STORE_PIECE_ENVELOPE, str_skip(buf_view(b), at));
}

static void send_structure(struct fetch *f, size_t index, struct message *m, bool extended)
{
    struct buf *b = output_buf(&f->s->out);
    size_t at = b->n;
    mail_imap_body(b, f->arena, m->raw, message_mime(m, f->arena), extended, 0);
    store_mailbox_keep(f->s->mailbox, index, extended ? STORE_PIECE_STRUCTURE : STORE_PIECE_BODY,
                       str_skip(buf_view(b), at));
}

static void send_section(struct fetch *f, const struct imap_fetch_item *item, struct message *m)
{
    if (piece_of(item))
        fetch_section_send_usual(f->s, &item->section, buf_view(&m->usual));
    else
        fetch_section_send(f->s, f->arena, m, &item->section);
}

static void send_item(struct fetch *f, size_t i, const struct store_msg *msg, size_t index,
                      struct message *m)
{
    struct output *out = &f->s->out;
    const struct imap_fetch_item *item = &f->what.items[i];
    struct str piece = f->piece[i];
    switch (item->kind) {
    case IMAP_FETCH_UID:
        output_printf(out, "UID %u", msg->uid);
        break;
    case IMAP_FETCH_FLAGS:
        output_z(out, "FLAGS ");
        imap_write_flags(f->s, msg);
        break;
    case IMAP_FETCH_MODSEQ:
        output_printf(out, "MODSEQ (%llu)", (unsigned long long)msg->modseq);
        break;
    case IMAP_FETCH_INTERNALDATE:
        send_date(f->s, msg->date);
        break;
    case IMAP_FETCH_RFC822_SIZE:
        output_printf(out, "RFC822.SIZE %llu", (unsigned long long)msg->vsize);
        break;
    case IMAP_FETCH_ENVELOPE:
        buf_str(output_buf(out), STR("ENVELOPE "));
        if (piece.p)
            buf_str(output_buf(out), piece);
        else
            send_envelope(f, index, m);
        break;
    case IMAP_FETCH_BODY:
    case IMAP_FETCH_BODYSTRUCTURE:
        buf_str(output_buf(out),
                item->kind == IMAP_FETCH_BODY ? STR("BODY ") : STR("BODYSTRUCTURE "));
        if (piece.p)
            buf_str(output_buf(out), piece);
        else
            send_structure(f, index, m, item->kind == IMAP_FETCH_BODYSTRUCTURE);
        break;
    case IMAP_FETCH_SECTION:
        send_section(f, item, m);
        break;
    case IMAP_FETCH_BINARY:
    case IMAP_FETCH_BINARY_SIZE:
        fetch_binary_send(f->s, f->arena, m, item);
        break;
    case IMAP_FETCH_PREVIEW:
        fetch_preview_send(f->s, f->arena, index, m, piece);
        break;
    case IMAP_FETCH_EMAILID:
    case IMAP_FETCH_THREADID:
    case IMAP_FETCH_SAVEDATE:
        fetch_more_send(f->s, f->arena, index, m, item);
        break;
    }
    output_check(out);
}

struct need { /* of one message */
    bool header, whole, fields;
    bool small; /* all of it, when it is cheap to have */
};

/* Takes from the index what it has; how much of the message the rest needs. */
static void take_pieces(struct fetch *f, size_t index, struct need *need)
{
    struct str text;
    for (size_t i = 0; i < f->what.n; i++) {
        const struct imap_fetch_item *item = &f->what.items[i];
        enum store_piece kind = piece_of(item);
        f->piece[i] = (struct str){0};
        if (kind == STORE_PIECE_FIELDS)
            need->fields = true;
        else if (kind && store_mailbox_piece(f->s->mailbox, index, kind, &text) &&
                 (kind != STORE_PIECE_PREVIEW || fetch_preview_is_one(text)))
            f->piece[i] = arena_str(f->arena, text);
        else if (kind == STORE_PIECE_ENVELOPE) /* who shows it asks for other fields and searches, too */
            need->header = need->fields = true;
        else if (kind == STORE_PIECE_PREVIEW && item->lazy)
            need->small = true;
        else if (kind)
            need->whole = true;
    }
}

/* Reads all that the items need, before a byte is sent: 0; 1: gone; -1 and *e. */
static int prepare(struct fetch *f, size_t index, struct message *m, struct err *e)
{
    int r = store_mailbox_at(f->s->mailbox, index)->gone ? 1 : 0;
    struct need need = {.header = f->header, .whole = f->whole};
    struct store_mailbox *mb = f->s->mailbox;
    struct str usual;
    take_pieces(f, index, &need);
    if (r == 0 && (need.header || need.whole || need.small))
        r = message_open(m, mb, index, e);
    if (r == 0 && (need.whole || (need.small && m->size <= FETCH_SMALL)))
        r = message_read_all(m, e);
    else if (r == 0 && need.header)
        r = message_read_header(m, e);
    if (r == 0 && need.fields)
        r = message_usual_fields(m, mb, index, &usual, e);
    if (r == 0 && f->measure)
        r = store_mailbox_measure(mb, index, e);
    if (r == 0 && f->decode)
        r = fetch_binary_check(f->arena, m, &f->what, e);
    return r;
}

/* \Seen is set by what shows a body (RFC 3501 6.4.5). 0: it was; 1: nothing changed; -1 and *e. */
static int mark_seen(struct fetch *f, size_t index, struct err *e)
{
    const struct store_msg *msg = store_mailbox_at(f->s->mailbox, index);
    if (f->peek || (msg->flags & STORE_SEEN) || store_mailbox_read_only(f->s->mailbox))
        return 1;
    return store_mailbox_store(f->s->mailbox, index, STORE_OP_ADD, STORE_SEEN, 0, e);
}

static void send_message(struct fetch *f, size_t index, struct message *m, bool flags_too)
{
    struct output *out = &f->s->out;
    output_z(out, "* ");
    output_number(out, index + 1);
    output_z(out, " FETCH (");
    bool first = true;
    const struct store_msg *msg = store_mailbox_at(f->s->mailbox, index);
    if (f->s->command->uid && !asks_for(f, IMAP_FETCH_UID)) {
        output_printf(out, "UID %u", msg->uid);
        first = false;
    }
    for (size_t i = 0; i < f->what.n; i++) {
        if (!first)
            output_z(out, " ");
        first = false;
        send_item(f, i, msg, index, m);
    }
    if (flags_too && !asks_for(f, IMAP_FETCH_FLAGS)) {
        output_z(out, " FLAGS ");
        imap_write_flags(f->s, msg);
    }
    if (f->what.changed && !asks_for(f, IMAP_FETCH_MODSEQ)) /* RFC 7162 3.1.4.1 */
        output_printf(out, " MODSEQ (%llu)", (unsigned long long)msg->modseq);
    output_z(out, ")\r\n");
}

/* One that cannot be read does not keep the others from being sent; the reply is NO then. */
static void fetch_one(struct fetch *f, size_t index)
{
    struct message m = {.fd = -1};
    struct err e = {0};
    int r = prepare(f, index, &m, &e);
    if (r == 0) {
        int seen = mark_seen(f, index, &e);
        /* Where its mod-sequence is told too, which is given later, the next sync tells it. */
        bool later = seen == 0 && imap_tells_modseq(f->s);
        if (later)
            store_mailbox_announce(f->s->mailbox, index);
        send_message(f, index, &m, seen == 0 && !later);
        r = seen < 0 ? -1 : 0;
    }
    message_close(&m);
    arena_reset(f->arena);
    f->gone += r > 0;
    f->failed += r < 0;
    if (r < 0 && e.kind == ERR_PERMANENT && f->decode) /* RFC 3516 4.3 */
        imap_reply_no(f->s, "[UNKNOWN-CTE] %s", e.client);
    else if (r < 0)
        imap_reply_error(f->s, &e);
}

/* UID, FLAGS and MODSEQ alone need neither the message nor the index. Their kinds, or 0. */
static size_t plain_kinds(const struct fetch *f, enum imap_fetch_kind kinds[IMAP_PLAIN_MAX])
{
    size_t n = 0;
    if (f->what.n > IMAP_PLAIN_MAX - 2)
        return 0;
    if (f->s->command->uid && !asks_for(f, IMAP_FETCH_UID))
        kinds[n++] = IMAP_FETCH_UID;
    for (size_t i = 0; i < f->what.n; i++) {
        kinds[n++] = f->what.items[i].kind;
        if (kinds[n - 1] != IMAP_FETCH_UID && kinds[n - 1] != IMAP_FETCH_FLAGS &&
            kinds[n - 1] != IMAP_FETCH_MODSEQ)
            return 0;
    }
    if (f->what.changed && !asks_for(f, IMAP_FETCH_MODSEQ)) /* RFC 7162 3.1.4.1 */
        kinds[n++] = IMAP_FETCH_MODSEQ;
    return n;
}

static void fetch_all(struct fetch *f, const struct imap_indexes *at)
{
    enum imap_fetch_kind kinds[IMAP_PLAIN_MAX];
    size_t plain = plain_kinds(f, kinds);
    for (size_t i = 0; i < at->n && !f->s->out.failed; i++) {
        if (!plain)
            fetch_one(f, at->v[i]);
        else if (store_mailbox_at(f->s->mailbox, at->v[i])->gone)
            f->gone++;
        else
            imap_tell_plain(f->s, at->v[i], kinds, plain);
    }
}

/* What the modifiers ask for beside the items. False, and a reply, when it cannot be. */
static bool modify(struct fetch *f, struct imap_indexes *at, const struct imap_set *set)
{
    struct imap_session *s = f->s;
    const struct imap_fetch *w = &f->what;
    if (w->vanished && (!s->command->uid || !(s->enabled & IMAP_ON_QRESYNC))) {
        imap_reply_bad(s, s->command->uid ? "QRESYNC is not enabled"
                                          : "VANISHED is for UID FETCH only"); /* RFC 7162 3.2.6 */
        return false;
    }
    if (w->partial && !s->command->uid) { /* RFC 9394 3.3 */
        imap_reply_bad(s, "PARTIAL is for UID FETCH only");
        return false;
    }
    if ((w->changed || asks_for(f, IMAP_FETCH_MODSEQ)) && imap_refuse_modseq(s))
        return false;
    if (w->vanished)
        imap_tell_vanished(s, w->since, set);
    if (w->partial) { /* of the messages named, before others are left out (RFC 9394 3.4) */
        size_t from, end;
        imap_partial_bounds(&w->range, at->n, &from, &end);
        at->v += from;
        at->n = end - from;
    }
    if (w->changed) {
        size_t n = 0;
        for (size_t i = 0; i < at->n; i++)
            if (store_mailbox_at(s->mailbox, at->v[i])->modseq > w->since)
                at->v[n++] = at->v[i];
        at->n = n;
    }
    return true;
}

void imap_cmd_fetch(struct imap_session *s, struct imap_cursor *args)
{
    struct fetch f = {.s = s};
    struct imap_indexes at;
    struct imap_set set;
    if (imap_get_set_indexes(s, args, &set, &at) != 0)
        return;
    if (imap_get_space(args) != 0 || imap_get_fetch(args, s->arena, &f.what) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    if (!modify(&f, &at, &set))
        return;
    plan(&f);
    if (f.pieces && at.n >= PIECES_FROM)
        store_mailbox_prepare(s->mailbox);
    f.arena = arena_new(16384);
    f.piece = arena_array(s->arena, f.what.n, sizeof *f.piece);
    fetch_all(&f, &at);
    arena_free(f.arena);
    if (!f.failed && f.gone)
        imap_reply_no(s, "[EXPUNGEISSUED] Some of the messages no longer exist");
    else if (!f.failed)
        imap_reply_done(s);
}
