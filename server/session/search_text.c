/* The text index of the selected mailbox; see search_text.h. */
#include "session/search_text.h"

#include "base/clock.h"
#include "mail/header.h"
#include "session/message.h"
#include "session/search_match.h"
#include "store/text.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

enum {
    START_MS = 500,      /* silence before the first slice */
    SLICE_MS = 150,      /* of work; it ends with the message at hand when the client speaks */
    REST_MS = 50,        /* between slices */
    LOCKED_MS = 5000,    /* somebody else is at it */
    TEXT_MAX = 512 << 10, /* bytes of a message's text; larger ones are not put in */
    QUERIES_MAX = 16,    /* keys of one search that are asked for */
};

struct search_text {
    struct store_text *db;
    int64_t folder;      /* 0: not known */
    uint32_t upto;       /* messages up to here had their turn */
    bool looked;         /* whether the index wants this folder */
    uint64_t version;    /* of what is known; 0: nothing is */
    uint32_t *known;     /* UIDs in the index, ascending */
    size_t known_count, known_cap;
    uint32_t *dead;      /* UIDs in the index, but no longer in the mailbox */
    size_t dead_count, dead_cap;
    int64_t due;         /* monotonic ms of the next slice; INT64_MAX: none */
};

static struct search_text *state(struct imap_session *s)
{
    if (!s->text) {
        s->text = MEM_NEW(struct search_text);
        s->text->db = store_text_new(s->settings->maildir_fd);
        s->text->due = INT64_MAX;
    }
    return s->text;
}

void search_text_free(struct imap_session *s)
{
    if (!s->text)
        return;
    store_text_free(s->text->db);
    free(s->text->known);
    free(s->text->dead);
    free(s->text);
    s->text = NULL;
}

static int find_folder(struct imap_session *s, bool make)
{
    struct search_text *t = s->text;
    t->looked = true;
    return store_text_folder(t->db, store_mailbox_guid(s->mailbox),
                             store_mailbox_uidvalidity(s->mailbox), make, &t->folder, &t->upto);
}

static void push(uint32_t **v, size_t *n, size_t *cap, uint32_t uid)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 256;
        *v = mem_grow(*v, *cap, sizeof **v);
    }
    (*v)[(*n)++] = uid;
}

/* --- asking --- */

struct walk {
    struct imap_session *s;
    struct search_text *t;
    size_t at; /* index of the view */
    uint8_t *bits;
};

/* The message of a UID, the walk going forward: true when the view has it. */
static bool walk_to(struct walk *w, uint32_t uid)
{
    size_t count = store_mailbox_count(w->s->mailbox);
    if (w->at > 0 && w->at <= count && store_mailbox_at(w->s->mailbox, w->at - 1)->uid >= uid)
        w->at = 0;
    while (w->at < count && store_mailbox_at(w->s->mailbox, w->at)->uid < uid)
        w->at++;
    return w->at < count && store_mailbox_at(w->s->mailbox, w->at)->uid == uid;
}

static void on_known(void *ctx, uint32_t uid, uint64_t base)
{
    struct walk *w = ctx;
    struct search_text *t = w->t;
    size_t count = store_mailbox_count(w->s->mailbox);
    if (walk_to(w, uid)) {
        if (store_text_base(store_mailbox_base(w->s->mailbox, w->at)) == base)
            push(&t->known, &t->known_count, &t->known_cap, uid);
    } else if (count && uid < store_mailbox_at(w->s->mailbox, count - 1)->uid) {
        push(&t->dead, &t->dead_count, &t->dead_cap, uid);
    }
}

/* Makes t->known right. */
static int know(struct imap_session *s)
{
    struct search_text *t = s->text;
    uint64_t version = store_text_version(t->db);
    if (version && version == t->version)
        return 0;
    struct walk w = {.s = s, .t = t};
    t->known_count = t->dead_count = 0;
    t->version = version;
    if (version && store_text_known(t->db, t->folder, on_known, &w) == 0)
        return 0;
    t->known_count = t->dead_count = 0;
    t->version = 0;
    return -1;
}

static void set_bit(uint8_t *bits, size_t at)
{
    bits[at / 8] |= (uint8_t)(1u << at % 8);
}

static void clear_bit(void *ctx, uint32_t uid)
{
    struct walk *w = ctx;
    if (walk_to(w, uid))
        w->bits[w->at / 8] &= (uint8_t)~(1u << w->at % 8);
}

static size_t characters(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool can_ask(const struct imap_search *k)
{
    return (k->key == IMAP_SEARCH_BODY || k->key == IMAP_SEARCH_TEXT) &&
           characters(k->text) >= STORE_TEXT_NEEDLE_MIN;
}

static bool any_to_ask(const struct imap_search *k)
{
    if (can_ask(k))
        return true;
    for (const struct imap_search *kid = k->kids; kid; kid = kid->next)
        if (any_to_ask(kid))
            return true;
    return false;
}

static void ask(struct imap_session *s, struct imap_search *k, const uint8_t *known, size_t bytes,
                unsigned *left)
{
    for (struct imap_search *kid = k->kids; kid; kid = kid->next)
        ask(s, kid, known, bytes, left);
    if (!can_ask(k) || *left == 0)
        return;
    --*left;
    struct walk w = {.s = s, .t = s->text, .bits = arena_alloc(s->arena, bytes)};
    memcpy(w.bits, known, bytes);
    unsigned where = STORE_TEXT_BODY | (k->key == IMAP_SEARCH_TEXT ? STORE_TEXT_HEAD : 0);
    if (store_text_find(s->text->db, s->text->folder, where, k->text, clear_bit, &w) == 0)
        k->absent = w.bits;
}

void search_text_ask(struct imap_session *s, struct imap_search *root)
{
    unsigned left = QUERIES_MAX;
    size_t bytes = store_mailbox_count(s->mailbox) / 8 + 1;
    if (!s->settings->fts || !any_to_ask(root))
        return;
    struct search_text *t = state(s);
    if (find_folder(s, true) != 0 || know(s) != 0 || t->known_count == 0)
        return;
    uint8_t *known = arena_alloc(s->arena, bytes);
    struct walk w = {.s = s, .t = t};
    for (size_t i = 0; i < t->known_count; i++)
        if (walk_to(&w, t->known[i]))
            set_bit(known, w.at);
    ask(s, root, known, bytes, &left);
}

/* --- filling --- */

static uint32_t last_uid(struct imap_session *s)
{
    size_t count = store_mailbox_count(s->mailbox);
    return count ? store_mailbox_at(s->mailbox, count - 1)->uid : 0;
}

/* Is there something to do, as far as can be known without opening the database? */
static bool has_work(struct imap_session *s)
{
    const struct search_text *t = s->text;
    return !t->looked || (t->folder && (t->upto < last_uid(s) || t->dead_count));
}

void search_text_silence(struct imap_session *s)
{
    if (!s->mailbox || !s->settings->fts || store_mailbox_asleep(s->mailbox))
        return;
    struct search_text *t = state(s);
    t->due = has_work(s) ? clock_mono_ms() + START_MS : INT64_MAX;
}

int64_t search_text_due(const struct imap_session *s)
{
    return s->text ? s->text->due : INT64_MAX;
}

static bool client_speaks(struct imap_session *s)
{
    struct pollfd p = {.fd = s->in_fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

struct texts {
    struct arena *arena;
    struct buf part, head, body;
};

/* The text that TEXT and BODY look through, casemapped, with something between its pieces. 0, or -1
 * when it is too much. */
static int take_text(struct imap_session *s, struct message *m, struct texts *x)
{
    const struct mail_part *root = message_mime(m, x->arena);
    struct mail_field f;
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p)) {
        struct mail_header_walk w = mail_header_walk(mail_part_header(m->raw, p));
        while (mail_header_next(&w, &f)) {
            search_field_text(s->conv, &f, &x->part);
            if (mail_casemap(buf_view(&x->part), &x->head) != 0 || buf_byte(&x->head, '\n') != 0)
                return -1;
        }
        if (p->kind != MAIL_PART_TEXT)
            continue;
        buf_clear(&x->part);
        if (mail_part_text(s->conv, m->raw, p, &x->part) != 0 ||
            mail_casemap(buf_view(&x->part), &x->body) != 0 || buf_byte(&x->body, '\n') != 0)
            return -1;
    }
    return 0;
}

/* NUL would end the text for the index, and no search can look for it. */
static struct str without_nuls(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->p[i] = b->p[i] ? b->p[i] : '\n';
    return buf_view(b);
}

/* 0, or -1 when the index cannot take it now. */
static int add_message(struct imap_session *s, size_t index, struct texts *x)
{
    struct message m = {.fd = -1};
    struct err e = {0};
    uint32_t uid = store_mailbox_at(s->mailbox, index)->uid;
    uint64_t base = store_text_base(store_mailbox_base(s->mailbox, index));
    buf_clear(&x->part);
    buf_clear(&x->head);
    buf_clear(&x->body);
    int r = message_open(&m, s->mailbox, index, &e);
    if (r == 0)
        r = message_read_all(&m, &e);
    bool whole = r == 0 && take_text(s, &m, x) == 0;
    message_close(&m);
    arena_reset(x->arena);
    if (r > 0)
        return 0;
    struct str head = without_nuls(&x->head), body = without_nuls(&x->body);
    return store_text_add(s->text->db, s->text->folder, uid, base, whole ? &head : NULL,
                          whole ? &body : NULL);
}

/* What this session has worked: on a busy machine a slice is not to be one message. */
static int64_t worked_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Adds messages until the slice is over. */
static int add_some(struct imap_session *s, int64_t end)
{
    struct search_text *t = s->text;
    struct texts x = {.part = BUF_MAX(TEXT_MAX), .head = BUF_MAX(TEXT_MAX), .body = BUF_MAX(TEXT_MAX)};
    bool exact;
    int r = 0;
    x.arena = arena_new(16384);
    size_t at = store_mailbox_find(s->mailbox, t->upto + 1, &exact);
    for (; r == 0 && at < store_mailbox_count(s->mailbox); at++) {
        uint32_t uid = store_mailbox_at(s->mailbox, at)->uid;
        if (!store_mailbox_at(s->mailbox, at)->gone)
            r = add_message(s, at, &x);
        if (r == 0)
            t->upto = uid;
        if (worked_ms() >= end || client_speaks(s))
            break;
    }
    arena_free(x.arena);
    buf_free(&x.part);
    buf_free(&x.head);
    buf_free(&x.body);
    return r == 0 ? store_text_set_upto(t->db, t->folder, t->upto) : -1;
}

static int drop_dead(struct search_text *t)
{
    enum { AT_ONCE = 2000 };
    size_t n = t->dead_count < AT_ONCE ? t->dead_count : AT_ONCE;
    if (n == 0)
        return 0;
    t->dead_count -= n;
    return store_text_drop(t->db, t->folder, t->dead + t->dead_count, n);
}

/* One transaction. What another session did meanwhile is seen inside it. */
static int slice(struct imap_session *s)
{
    struct search_text *t = s->text;
    if (store_text_begin(t->db) != 0 || find_folder(s, false) != 0)
        return -1;
    if (drop_dead(t) != 0 || add_some(s, worked_ms() + SLICE_MS) != 0)
        return -1;
    t->version = 0; /* what was known is less than what is there now */
    return store_text_commit(t->db);
}

void search_text_work(struct imap_session *s)
{
    struct search_text *t = s->text;
    if (!t->looked && find_folder(s, false) < 0)
        t->looked = false;
    if (t->folder && has_work(s) && slice(s) != 0) {
        t->looked = false;
        t->folder = 0;
        store_text_rest(t->db);
        t->due = clock_mono_ms() + LOCKED_MS;
    } else if (has_work(s)) {
        t->due = clock_mono_ms() + REST_MS;
    } else {
        /* All is done: nothing is kept while the session waits. */
        store_text_rest(t->db);
        t->due = INT64_MAX;
    }
}
