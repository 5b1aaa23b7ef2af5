/* What is told about the selected mailbox (RFC 3501 7.2 to 7.4). */
#include "session/imap.h"

#include "base/log.h"

#include <stdlib.h>

static const struct {
    uint8_t bit;
    struct str name;
} flag_names[] = {
    {STORE_ANSWERED, {"\\Answered", 9}}, {STORE_FLAGGED, {"\\Flagged", 8}},
    {STORE_DELETED, {"\\Deleted", 8}},   {STORE_SEEN, {"\\Seen", 5}},
    {STORE_DRAFT, {"\\Draft", 6}},
};

uint8_t imap_store_flags(unsigned system)
{
    unsigned out = 0;
    out |= system & IMAP_SEEN ? STORE_SEEN : 0;
    out |= system & IMAP_ANSWERED ? STORE_ANSWERED : 0;
    out |= system & IMAP_FLAGGED ? STORE_FLAGGED : 0;
    out |= system & IMAP_DELETED ? STORE_DELETED : 0;
    out |= system & IMAP_DRAFT ? STORE_DRAFT : 0;
    return (uint8_t)out;
}

static void add_word(struct buf *b, bool *first, struct str word)
{
    if (!*first)
        buf_byte(b, ' ');
    *first = false;
    buf_str(b, word);
}

bool imap_is_rev2(const struct imap_session *s)
{
    return s->enabled & IMAP_ON_REV2;
}

/* IMAP4rev2 knows nothing of recent messages (RFC 9051 E). */
void imap_tell_exists(struct imap_session *s, size_t exists, size_t recent)
{
    output_printf(&s->out, "* %zu EXISTS\r\n", exists);
    if (!imap_is_rev2(s))
        output_printf(&s->out, "* %zu RECENT\r\n", recent);
}

static char *put(char *p, struct str text)
{
    memcpy(p, text.p, text.n);
    return p + text.n;
}

/* The system flags, a blank behind each. */
#define SYSTEM_FLAGS_MAX 64
static char *put_system_flags(const struct imap_session *s, char *p, const struct store_msg *m)
{
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++) {
        if (!(m->flags & flag_names[i].bit))
            continue;
        p = put(p, flag_names[i].name);
        *p++ = ' ';
    }
    return m->recent && !imap_is_rev2(s) ? put(p, STR("\\Recent ")) : p;
}

void imap_write_flags(struct imap_session *s, const struct store_msg *m)
{
    struct buf *b = output_buf(&s->out);
    char *from = buf_room(b, SYSTEM_FLAGS_MAX);
    *from = '(';
    b->n += (size_t)(put_system_flags(s, from + 1, m) - from);
    for (unsigned bit = 0; m->keywords >> bit && bit < STORE_KEYWORDS_MAX; bit++) {
        struct str name = store_mailbox_keyword(s->mailbox, bit);
        if (!(m->keywords >> bit & 1) || !name.n)
            continue;
        buf_str(b, name);
        buf_byte(b, ' ');
    }
    if (b->p[b->n - 1] == ' ')
        b->n--;
    buf_byte(b, ')');
}

/* The flags that the mailbox knows; true when there is room for more keywords. */
static bool known_flags(struct imap_session *s, struct buf *b)
{
    bool first = true;
    unsigned used = 0;
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        add_word(b, &first, flag_names[i].name);
    for (unsigned bit = 0; bit < STORE_KEYWORDS_MAX; bit++) {
        struct str name = store_mailbox_keyword(s->mailbox, bit);
        if (name.n) {
            used++;
            add_word(b, &first, name);
        }
    }
    return used < STORE_KEYWORDS_MAX;
}

void imap_tell_flags(struct imap_session *s)
{
    AUTO_BUF names = {0};
    bool room = known_flags(s, &names);
    if (str_eq(buf_view(&names), buf_view(&s->told_flags)))
        return;
    buf_clear(&s->told_flags);
    buf_str(&s->told_flags, buf_view(&names));
    output_printf(&s->out, "* FLAGS (%s)\r\n* OK [PERMANENTFLAGS (", buf_z(&names));
    if (store_mailbox_read_only(s->mailbox))
        output_z(&s->out, ")] Read-only mailbox\r\n");
    else
        output_printf(&s->out, "%s%s)] Flags permitted\r\n", buf_z(&names), room ? " \\*" : "");
}

/* An item that is no list: its name, its value, a blank. */
static void tell_number(struct buf *b, struct str name, uint64_t n, struct str end)
{
    char *from = buf_room(b, name.n + STR_U64_MAX + end.n);
    b->n += (size_t)(put(str_put_u64(put(from, name), n), end) - from);
}

void imap_tell_plain(struct imap_session *s, size_t index, const enum imap_fetch_kind *kinds, size_t n)
{
    struct buf *b = output_buf(&s->out);
    const struct store_msg *m = store_mailbox_at(s->mailbox, index);
    tell_number(b, STR("* "), index + 1, STR(" FETCH ("));
    for (size_t i = 0; i < n; i++) {
        if (kinds[i] == IMAP_FETCH_UID) {
            tell_number(b, STR("UID "), m->uid, STR(" "));
        } else if (kinds[i] == IMAP_FETCH_MODSEQ) {
            tell_number(b, STR("MODSEQ ("), m->modseq, STR(") "));
        } else {
            buf_str(b, STR("FLAGS "));
            imap_write_flags(s, m);
            buf_byte(b, ' ');
        }
    }
    b->n--;
    buf_str(b, STR(")\r\n"));
    output_check(&s->out);
}

void imap_tell_fetch_flags(struct imap_session *s, size_t index, bool with_uid)
{
    enum imap_fetch_kind kinds[IMAP_PLAIN_MAX];
    size_t n = 0;
    if (with_uid || (s->enabled & IMAP_ON_QRESYNC))
        kinds[n++] = IMAP_FETCH_UID;
    kinds[n++] = IMAP_FETCH_FLAGS;
    if (imap_tells_modseq(s)) /* RFC 7162 3.1 */
        kinds[n++] = IMAP_FETCH_MODSEQ;
    imap_tell_plain(s, index, kinds, n);
}

/* RFC 7162 3.2.10: with QRESYNC by UID, and all at once. */
static void tell_expunged(struct imap_session *s, const struct store_changes *ch)
{
    if (!(s->enabled & IMAP_ON_QRESYNC)) {
        for (size_t i = 0; i < ch->expunged; i++)
            output_printf(&s->out, "* %u EXPUNGE\r\n", ch->expunged_seq[i]);
        return;
    }
    if (ch->expunged == 0)
        return;
    AUTO_BUF set = {0};
    uint32_t *uids = mem_array(ch->expunged, sizeof *uids);
    for (size_t i = 0; i < ch->expunged; i++)
        uids[i] = ch->expunged_uid[ch->expunged - 1 - i];
    imap_write_uids(&set, uids, ch->expunged);
    free(uids);
    output_z(&s->out, "* VANISHED ");
    output_str(&s->out, buf_view(&set));
    output_z(&s->out, "\r\n");
}

/* Where mod-sequences are told while an expunge with a smaller one has to wait, a client that loses
 * the connection now must not believe that it has heard all (RFC 7162 3.2). */
static void tell_how_far(struct imap_session *s, const struct store_changes *ch)
{
    if (ch->waiting == 0)
        s->told_modseq = store_mailbox_highest(s->mailbox);
    else if ((s->enabled & IMAP_ON_QRESYNC) && s->told_modseq)
        output_printf(&s->out, "* OK [HIGHESTMODSEQ %llu] Expunges are to follow\r\n",
                      (unsigned long long)s->told_modseq);
}

int imap_tell_changes(struct imap_session *s, bool expunge)
{
    const struct store_changes *ch;
    struct err e = {0};
    if (!s->mailbox)
        return 0;
    if (store_mailbox_sync(s->mailbox, expunge, &ch, &e) != 0) {
        log_warning("imap-sync", LS("user", s->settings->user), LZ("mailbox", s->mailbox_name),
                    LZ("error", e.log));
        if (e.kind == ERR_PERMANENT)
            imap_bye(s, "[UNAVAILABLE] The mailbox was removed or replaced");
        return -1;
    }
    tell_expunged(s, ch);
    if (ch->keywords_changed)
        imap_tell_flags(s);
    if (ch->exists_grew)
        imap_tell_exists(s, ch->exists, ch->recent);
    for (size_t i = 0; i < ch->flag_count; i++)
        imap_tell_fetch_flags(s, ch->flagged[i] - 1, s->command && s->command->uid);
    tell_how_far(s, ch);
    return 0;
}
