/* Taking messages from the SMTP programs. */
#include "base/log.h"
#include "queue/backoff.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define ENTRIES_MAX 64              /* in one commit */
#define HEADERS_MAX (64 * 1024)     /* what we may have put before a message of the largest size */

static void reply_to(struct queue_client *c, uint64_t ask_id, enum verdict verdict, uint64_t id)
{
    static const char *const text[] = {[VERDICT_FULL] = "no room in the queue",
                                       [VERDICT_REFUSED] = "not allowed, or too large",
                                       [VERDICT_CANNOT_SAY] = "the queue cannot take it now"};
    char name[QUEUE_ID_SIZE];
    struct msg m = MSG_INIT(enqueue_reply);
    if (!c->ch)
        return;
    m.enqueue_reply.id = ask_id;
    m.enqueue_reply.verdict = (uint8_t)verdict;
    if (verdict == VERDICT_YES) {
        queue_id_text(name, id);
        m.enqueue_reply.queue_id = str_from(name);
    } else {
        m.enqueue_reply.text = str_from(text[verdict]);
    }
    channel_send(c->ch, &m);
}

static void log_refused(const struct msg_enqueue_ask *ask, enum verdict verdict, const char *why)
{
    log_warning("queue-refused", LS("session", ask->session), LS("from", ask->sender),
                LN("size", ask->size), LN("verdict", verdict), LZ("why", why));
}

/* --- an entry --- */

static bool text_ok(struct str s)
{
    return s.n > 0 && str_is_text(s);
}

/* Everything here will stand in a header or a log some day; smtp has checked it, and is not
 * trusted. */
static const char *what_is_wrong(const struct msg_enqueue_ask *ask)
{
    size_t domain;
    for (size_t i = 0; i < ask->recipients.n && (ask->flags & ENQUEUE_REMOTE); i++)
        if ((domain = queue_destination_of(ask->recipients.v[i].address).n) == 0 ||
            domain >= QUEUE_DESTINATION_MAX)
            return "a recipient has no domain";
    if (ask->recipients.n == 0)
        return "no recipients";
    for (size_t i = 0; i < ask->recipients.n; i++)
        if (!text_ok(ask->recipients.v[i].address) || !text_ok(ask->recipients.v[i].original))
            return "a recipient is empty or no text";
    if (!str_is_text(ask->sender) || !str_is_text(ask->session))
        return "sender or session is no text";
    return ask->size == 0 ? "empty message" : NULL;
}

static enum verdict judge(struct queue *q, const struct msg_enqueue_ask *ask, struct err *e)
{
    const char *wrong = what_is_wrong(ask);
    if (!q->db) {
        err_temp(e, "not configured yet");
        return VERDICT_CANNOT_SAY;
    }
    if (wrong) {
        err_temp(e, "%s", wrong);
        return VERDICT_CANNOT_SAY;
    }
    if (ask->size > q->cfg->message_size_limit + HEADERS_MAX) {
        err_perm(e, "larger than message_size_limit");
        return VERDICT_REFUSED;
    }
    return queue_spool_room(&q->files, ask->size, e) == 0 ? VERDICT_YES : VERDICT_FULL;
}

uint64_t queue_new_id(struct queue *q)
{
    uint64_t now = (uint64_t)queue_now_ms() * 1000;
    q->last_id = now > q->last_id ? now : q->last_id + 1;
    return q->last_id;
}

static int copy(struct queue *q, const struct msg *m, uint64_t *id, struct queue_copy *why,
                struct err *e)
{
    int fd;
    do {
        *id = queue_new_id(q);
        fd = queue_spool_copy(&q->files, *id, m->fd, m->enqueue_ask.size, why, e);
    } while (fd < 0 && why->taken);
    return fd;
}

static struct queue_entry *make_entry(struct queue *q, struct queue_client *c,
                                      const struct msg_enqueue_ask *ask, uint64_t id)
{
    struct queue_entry *n = MEM_NEW(struct queue_entry);
    int64_t now = queue_now_ms();
    n->arena = arena_new(1024);
    n->client = c;
    n->ask_id = ask->id;
    n->message = (struct queue_message){
        .id = id, .created_ms = now, .size = ask->size,
        .flags = ask->flags & (ENQUEUE_NOW | ENQUEUE_REMOTE | ENQUEUE_SMTPUTF8),
        .session = arena_str(n->arena, ask->session), .sender = arena_str(n->arena, ask->sender)};
    n->count = ask->recipients.n;
    n->recipients = arena_array(n->arena, n->count, sizeof *n->recipients);
    int64_t first = ask->flags & ENQUEUE_NOW
                        ? 0
                        : queue_backoff_ms(q->cfg->minimal_backoff_time,
                                           q->cfg->maximal_backoff_time, 0, randombytes_random());
    for (size_t i = 0; i < n->count; i++) {
        n->recipients[i] = (struct queue_recipient){
            .address = arena_str(n->arena, ask->recipients.v[i].address),
            .original = arena_str(n->arena, ask->recipients.v[i].original),
            .destination = STR(""), .next_ms = now + first};
        if (ask->flags & ENQUEUE_HOLD) {
            n->recipients[i].state = QUEUE_HELD;
            n->recipients[i].error = STR("held when it was taken");
        }
        if (ask->flags & ENQUEUE_REMOTE) {
            n->recipients[i].route = QUEUE_REMOTE;
            n->recipients[i].destination = queue_destination_of(n->recipients[i].address);
        }
    }
    return n;
}

static void enqueue(struct queue_client *c, const struct msg *m)
{
    struct queue *q = c->queue;
    struct err e = {0};
    struct queue_copy why = {false, false};
    uint64_t id = 0;
    int fd = copy(q, m, &id, &why, &e);
    if (fd < 0) {
        enum verdict v = why.full ? VERDICT_FULL : VERDICT_CANNOT_SAY;
        log_refused(&m->enqueue_ask, v, e.log);
        reply_to(c, m->enqueue_ask.id, v, 0);
        return;
    }
    struct queue_entry *n = make_entry(q, c, &m->enqueue_ask, id);
    n->fd = fd;
    c->entries++;
    *q->last_entry = n;
    q->last_entry = &n->next;
    if (++q->entry_count >= ENTRIES_MAX)
        queue_turn_now(q);
    else
        queue_turn_soon(q);
}

static void on_permit(struct queue_client *c, struct msg *m, enum verdict verdict, const char *why)
{
    if (verdict == VERDICT_YES) {
        enqueue(c, m);
        return;
    }
    log_refused(&m->enqueue_ask, verdict, why);
    reply_to(c, m->enqueue_ask.id, verdict, 0);
}

static void on_enqueue(struct queue_client *c, struct msg *m)
{
    struct err e = {0};
    enum verdict v = judge(c->queue, &m->enqueue_ask, &e);
    if (v != VERDICT_YES) {
        log_refused(&m->enqueue_ask, v, e.log);
        reply_to(c, m->enqueue_ask.id, v, 0);
    } else if (m->enqueue_ask.flags & ENQUEUE_REMOTE) {
        queue_permit_ask(c, m, on_permit);
    } else {
        enqueue(c, m);
    }
}

/* --- clients --- */

static void client_free(struct queue_client *c)
{
    if (c->ch || c->entries)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    free(c);
}

void queue_client_release(struct queue_client *c)
{
    c->entries--;
    client_free(c);
}

static void log_taken(const struct queue_entry *n)
{
    char id[QUEUE_ID_SIZE];
    queue_id_text(id, n->message.id);
    for (size_t i = 0; i < n->count; i++)
        log_info("queued", LS("session", n->message.session), LZ("queue_id", id),
                 LS("from", n->message.sender), LS("to", n->recipients[i].address),
                 LS("original", n->recipients[i].original), LN("size", n->message.size));
}

void queue_take_answer(struct queue *q, struct queue_entry *n, enum verdict verdict,
                       const char *why)
{
    if (verdict == VERDICT_YES) {
        q->taken++;
        log_taken(n);
    } else {
        log_warning("queue-refused", LS("session", n->message.session),
                    LS("from", n->message.sender), LN("size", n->message.size),
                    LN("verdict", verdict), LZ("why", why));
    }
    reply_to(n->client, n->ask_id, verdict, n->message.id);
    queue_client_release(n->client);
    fd_closep(&n->fd);
    arena_free(n->arena);
    free(n);
}

static void on_spool(struct queue_client *c, const struct msg *m)
{
    struct queue *q = c->queue;
    struct err e = {0};
    struct msg reply = MSG_INIT(spool_reply);
    enum verdict v = VERDICT_YES;
    if (!q->db || m->spool_ask.size > q->cfg->message_size_limit + HEADERS_MAX)
        v = q->db ? VERDICT_REFUSED : VERDICT_CANNOT_SAY;
    else if (queue_spool_room(&q->files, m->spool_ask.size, &e) != 0)
        v = VERDICT_FULL;
    AUTO_FD fd = v == VERDICT_YES ? queue_spool_blank(&q->files, &e) : -1;
    if (v == VERDICT_YES && fd < 0)
        v = VERDICT_CANNOT_SAY;
    if (v != VERDICT_YES)
        log_warning("queue-spool", LN("size", m->spool_ask.size), LN("verdict", v),
                    LZ("why", e.log));
    reply.spool_reply.id = m->spool_ask.id;
    reply.spool_reply.verdict = (uint8_t)v;
    reply.fd = fd >= 0 ? fd : q->nothing;
    channel_send(c->ch, &reply);
}

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    (void)ch;
    if (m->type == MSG_enqueue_ask)
        on_enqueue(arg, m);
    else if (m->type == MSG_spool_ask)
        on_spool(arg, m);
}

static void on_close(struct channel *ch, void *arg)
{
    struct queue_client *c = arg;
    channel_free(ch);
    c->ch = NULL;
    client_free(c);
}

void queue_take_link(struct queue *q, unsigned peer, int fd)
{
    static const struct channel_ops ops = {on_message, on_close};
    struct queue_client *c = MEM_NEW(struct queue_client);
    c->queue = q;
    c->next = q->clients;
    c->link = &q->clients;
    if (c->next)
        c->next->link = &c->next;
    q->clients = c;
    c->ch = channel_new(q->program->base, fd, QUEUE, peer, &ops, c);
}

void queue_take_end(struct queue *q)
{
    queue_permit_end(q);
    while (q->clients)
        on_close(q->clients->ch, q->clients);
}
