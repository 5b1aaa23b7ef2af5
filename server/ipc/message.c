/* Encoding and decoding, made from messages.def. */
#include "ipc/message.h"

#include <stddef.h>

struct reader {
    struct str rest;
    struct arena *arena;
    const char *bad; /* the first field that did not fit */
};

struct writer {
    struct buf *out;
    const char *bad;
};

/* --- numbers and strings --- */

static void put_bytes(struct writer *w, const void *p, size_t n)
{
    buf_add(w->out, p, n);
}

static void put_number(struct writer *w, uint64_t v, size_t bytes)
{
    unsigned char raw[8];
    for (size_t i = 0; i < bytes; i++)
        raw[i] = (unsigned char)(v >> (8 * i));
    put_bytes(w, raw, bytes);
}

static bool take(struct reader *r, size_t n, const char **at)
{
    if (r->rest.n < n)
        return false;
    *at = r->rest.p;
    r->rest = str_skip(r->rest, n);
    return true;
}

static bool get_number(struct reader *r, size_t bytes, uint64_t *v)
{
    const char *at;
    if (!take(r, bytes, &at))
        return false;
    *v = 0;
    for (size_t i = 0; i < bytes; i++)
        *v |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return true;
}

#define NUMBER_FIELD(type, bytes)                                                                  \
    static bool put_##type(struct writer *w, msg_##type v, size_t limit)                           \
    {                                                                                              \
        (void)limit;                                                                               \
        put_number(w, v, bytes);                                                                   \
        return true;                                                                               \
    }                                                                                              \
    static bool get_##type(struct reader *r, msg_##type *v, size_t limit)                          \
    {                                                                                              \
        uint64_t wide;                                                                             \
        (void)limit;                                                                               \
        if (!get_number(r, bytes, &wide))                                                          \
            return false;                                                                          \
        *v = (msg_##type)wide;                                                                     \
        return true;                                                                               \
    }
NUMBER_FIELD(u8, 1)
NUMBER_FIELD(u32, 4)
NUMBER_FIELD(u64, 8)

static bool put_str(struct writer *w, struct str v, size_t limit)
{
    if (v.n > limit)
        return false;
    put_number(w, v.n, 4);
    put_bytes(w, v.p, v.n);
    return true;
}

static bool get_str(struct reader *r, struct str *v, size_t limit)
{
    uint64_t n;
    if (!get_number(r, 4, &n) || n > limit || !take(r, n, &v->p))
        return false;
    v->n = n;
    return true;
}

static bool put_grant(struct writer *w, struct grant v, size_t limit)
{
    (void)limit;
    put_bytes(w, v.b, GRANT_SIZE);
    return true;
}

static bool get_grant(struct reader *r, struct grant *v, size_t limit)
{
    const char *at;
    (void)limit;
    if (!take(r, GRANT_SIZE, &at))
        return false;
    memcpy(v->b, at, GRANT_SIZE);
    return true;
}

/* --- lists --- */

#define ADDRESS_LIMIT 1000
#define ORCPT_LIMIT 500

enum { TARGET_REMOTE = 1, TARGET_AWAY = 2, TARGET_UNKNOWN = 4, TARGET_ALL = 7 };

static unsigned kind_of(const struct msg_target *t)
{
    return (t->remote ? TARGET_REMOTE : 0U) | (t->away ? TARGET_AWAY : 0U) |
           (t->unknown ? TARGET_UNKNOWN : 0U);
}

static bool put_targets(struct writer *w, struct msg_targets v, size_t limit)
{
    if (v.n > limit)
        return false;
    put_number(w, v.n, 4);
    for (size_t i = 0; i < v.n; i++) {
        put_grant(w, v.v[i].grant, 0);
        put_number(w, kind_of(&v.v[i]), 1);
        if (!put_str(w, v.v[i].address, ADDRESS_LIMIT))
            return false;
    }
    return true;
}

static bool get_targets(struct reader *r, struct msg_targets *v, size_t limit)
{
    uint64_t n;
    if (!get_number(r, 4, &n) || n > limit)
        return false;
    v->v = arena_array(r->arena, n, sizeof *v->v);
    v->n = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t kind;
        if (!get_grant(r, &v->v[i].grant, 0) || !get_number(r, 1, &kind) || kind > TARGET_ALL ||
            !get_str(r, &v->v[i].address, ADDRESS_LIMIT))
            return false;
        v->v[i].remote = kind & TARGET_REMOTE;
        v->v[i].away = kind & TARGET_AWAY;
        v->v[i].unknown = kind & TARGET_UNKNOWN;
    }
    return true;
}

static bool put_recipients(struct writer *w, struct msg_recipients v, size_t limit)
{
    if (v.n > limit)
        return false;
    put_number(w, v.n, 4);
    for (size_t i = 0; i < v.n; i++) {
        put_grant(w, v.v[i].grant, 0);
        put_number(w, v.v[i].notify, 1);
        put_number(w, v.v[i].done, 1);
        if (!put_str(w, v.v[i].address, ADDRESS_LIMIT) ||
            !put_str(w, v.v[i].original, ADDRESS_LIMIT) ||
            !put_str(w, v.v[i].orcpt, ORCPT_LIMIT))
            return false;
    }
    return true;
}

static bool get_recipients(struct reader *r, struct msg_recipients *v, size_t limit)
{
    uint64_t n;
    if (!get_number(r, 4, &n) || n > limit)
        return false;
    v->v = arena_array(r->arena, n, sizeof *v->v);
    v->n = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t notify, done;
        if (!get_grant(r, &v->v[i].grant, 0) || !get_number(r, 1, &notify) ||
            !get_number(r, 1, &done) || done > RECIPIENT_UNKNOWN ||
            !get_str(r, &v->v[i].address, ADDRESS_LIMIT) ||
            !get_str(r, &v->v[i].original, ADDRESS_LIMIT) ||
            !get_str(r, &v->v[i].orcpt, ORCPT_LIMIT))
            return false;
        v->v[i].notify = (uint8_t)notify;
        v->v[i].done = (uint8_t)done;
    }
    return true;
}

/* --- one pair of functions a message --- */

#define MSG_PUT(type, field, limit)                                                                \
    if (!put_##type(w, m->field, limit)) {                                                         \
        w->bad = #field;                                                                           \
        return;                                                                                    \
    }
#define MSG_GET(type, field, limit)                                                                \
    if (!get_##type(r, &m->field, limit)) {                                                        \
        r->bad = #field;                                                                           \
        return;                                                                                    \
    }
#define MESSAGE(name, from, to, fds)                                                               \
    static void encode_##name(struct writer *w, const struct msg_##name *m)                        \
    {                                                                                              \
        FIELDS_##name(MSG_PUT)                                                                     \
    }                                                                                              \
    static void decode_##name(struct reader *r, struct msg_##name *m)                              \
    {                                                                                              \
        FIELDS_##name(MSG_GET)                                                                     \
    }
#include "ipc/messages.def"
#undef MESSAGE

static const struct {
    const char *name;
    unsigned from, to;
    bool has_fd;
    const char *fields; /* their names, each with a blank behind it */
} table[MSG_COUNT] = {
    [MSG_NONE] = {"none", 0, 0, false, ""},
#define MSG_SPELL(type, field, limit) #field " "
#define MESSAGE(name, from, to, fds) [MSG_##name] = {#name, from, to, fds, FIELDS_##name(MSG_SPELL)},
#include "ipc/messages.def"
#undef MESSAGE
};

const char *msg_name(enum msg_type type)
{
    return type < MSG_COUNT ? table[type].name : "unknown";
}

bool msg_may_go(enum msg_type type, unsigned from, unsigned to)
{
    return type < MSG_COUNT && table[type].from & from && table[type].to & to;
}

bool msg_has_fd(enum msg_type type)
{
    return type < MSG_COUNT && table[type].has_fd;
}

/* x_ask is answered by x_reply, session_start by session_started. */
bool msg_answers(enum msg_type reply, enum msg_type ask)
{
    struct str asked = str_from(msg_name(ask)), answer = str_from(msg_name(reply));
    struct str stem = asked;
    if (str_ends(asked, STR("_ask")))
        stem.n -= strlen("_ask");
    struct str end = str_skip(answer, stem.n < answer.n ? stem.n : answer.n);
    return str_starts(answer, stem) && str_eq(end, stem.n < asked.n ? STR("_reply") : STR("ed"));
}

/* The id is the first field of every message that has one; NULL for the others. */
static uint64_t *id_of(struct msg *m)
{
    bool has = m->type < MSG_COUNT && strncmp(table[m->type].fields, "id ", 3) == 0;
    return has ? &m->status_ask.id : NULL;
}

uint64_t msg_id(const struct msg *m)
{
    struct msg copy = *m;
    uint64_t *id = id_of(&copy);
    return id ? *id : 0;
}

void msg_set_id(struct msg *m, uint64_t id)
{
    uint64_t *at = id_of(m);
    if (at)
        *at = id;
}

int msg_encode(const struct msg *m, struct buf *out, struct err *e)
{
    struct writer w = {out, NULL};
    size_t start = out->n;
    put_number(&w, m->type, 2);
    switch (m->type) {
#define MESSAGE(name, from, to, fds)                                                               \
    case MSG_##name:                                                                               \
        encode_##name(&w, &m->name);                                                               \
        break;
#include "ipc/messages.def"
#undef MESSAGE
    default:
        w.bad = "type";
    }
    if (!w.bad && out->n - start > MSG_LIMIT)
        w.bad = "length";
    if (!w.bad)
        return 0;
    out->n = start;
    return err_perm(e, "message %s: %s past its limit", msg_name(m->type), w.bad);
}

int msg_decode(struct str bytes, unsigned from, unsigned to, struct arena *arena, struct msg *m,
               struct err *e)
{
    struct reader r = {bytes, arena, NULL};
    uint64_t type = 0;
    memset(m, 0, sizeof *m);
    m->fd = -1;
    if (!get_number(&r, 2, &type) || type == MSG_NONE || type >= MSG_COUNT)
        return err_perm(e, "message of unknown type %u", (unsigned)type);
    if (!msg_may_go((enum msg_type)type, from, to))
        return err_perm(e, "message %s from a program that may not send it", table[type].name);
    m->type = (enum msg_type)type;
    switch (m->type) {
#define MESSAGE(name, from, to, fds)                                                               \
    case MSG_##name:                                                                               \
        decode_##name(&r, &m->name);                                                               \
        break;
#include "ipc/messages.def"
#undef MESSAGE
    default:
        break;
    }
    if (r.bad)
        return err_perm(e, "message %s: bad field %s", table[type].name, r.bad);
    if (r.rest.n)
        return err_perm(e, "message %s: %zu bytes left over", table[type].name, r.rest.n);
    return 0;
}

bool grant_is_none(const struct grant *g)
{
    static const struct grant none;
    return memcmp(g, &none, sizeof none) == 0;
}

const char *service_name(enum service s)
{
    static const char *const names[] = {"none", "smtp", "submission", "submissions",
                                        "imap", "imaps", "pop3",       "pop3s", "lmtp"};
    return s <= SERVICE_LMTP ? names[s] : "none";
}
