/* Taking messages from the SMTP programs. */
#include "base/log.h"
#include "protocol/smtp/dsn.h"
#include "queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ENTRIES_MAX 64              /* in one commit */
#define HEADERS_MAX (64 * 1024)     /* what we may have put before a message of the largest size */

static void reply_to(const struct queue_entry *n, enum verdict verdict, const char *why)
{
    static const char *const text[] = {[VERDICT_FULL] = "no room in the queue",
                                       [VERDICT_CANNOT_SAY] = "the queue cannot take it now"};
    char name[QUEUE_ID_SIZE];
    struct msg m = MSG_INIT(enqueue_reply);
    m.enqueue_reply.verdict = (uint8_t)verdict;
    if (verdict == VERDICT_YES) {
        queue_id_text(name, n->message.id);
        m.enqueue_reply.queue_id = str_from(name);
    } else {
        m.enqueue_reply.text = str_head(str_from(verdict == VERDICT_REFUSED ? why : text[verdict]), 250);
    }
    m.enqueue_reply.id = n->ask_id;
    if (n->client->ch)
        channel_send(n->client->ch, &m);
}

/* --- an entry --- */

static bool text_ok(struct str s)
{
    return s.n > 0 && str_is_text(s);
}

static bool is_lines(struct str s)
{
    struct str line;
    bool whole = s.n == 0 || s.p[s.n - 1] == '\n';
    while (whole && str_line(&s, &line))
        whole = text_ok(line);
    return whole;
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
        if (!text_ok(ask->recipients.v[i].address) || !text_ok(ask->recipients.v[i].original) ||
            (ask->recipients.v[i].orcpt.n && !smtp_orcpt_is_sound(ask->recipients.v[i].orcpt)))
            return "a recipient is empty or no text";
    if (!str_is_text(ask->sender) || !str_is_text(ask->session))
        return "sender or session is no text";
    if (!is_lines(ask->prefix))
        return "the prefix is not lines of text";
    if (ask->envid.n && !smtp_envid_is_sound(ask->envid))
        return "the envelope id is no xtext";
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
    return queue_spool_room(&q->files, ask->size + q->cfg->queue_minfree, e) == 0 ? VERDICT_YES : VERDICT_FULL;
}

uint64_t queue_new_id(struct queue *q)
{
    uint64_t now = (uint64_t)queue_now_ms() * 1000;
    q->last_id = now > q->last_id ? now : q->last_id + 1;
    return q->last_id;
}

static int copy(struct queue *q, struct queue_entry *n, struct queue_copy *why, struct err *e)
{
    do {
        n->message.id = queue_new_id(q);
        if (n->count == 0)
            return 0; /* nothing waits: only a report is made */
        n->fd = queue_spool_copy(&q->files, n->message.id, n->prefix, n->body, n->message.size, why, e);
    } while (n->fd < 0 && why->taken);
    return n->fd < 0 ? -1 : 0;
}

void queue_take_whole(struct queue *q, struct queue_entry *n)
{
    struct err e = {0};
    struct queue_copy why = {false, false};
    if (n->verdict == VERDICT_YES && copy(q, n, &why, &e) != 0) {
        n->verdict = why.full ? VERDICT_FULL : VERDICT_CANNOT_SAY;
        snprintf(n->why, sizeof n->why, "%.240s", e.log);
    }
    if (n->verdict != VERDICT_YES) {
        queue_take_answer(q, n, n->verdict, n->why);
        return;
    }
    n->next = NULL;
    *q->last_entry = n;
    q->last_entry = &n->next;
    if (++q->entry_count >= ENTRIES_MAX)
        queue_turn_now(q);
    else
        queue_turn_soon(q);
}

static void on_enqueue(struct queue_client *c, struct msg *m)
{
    struct err e = {0};
    enum verdict v = judge(c->queue, &m->enqueue_ask, &e);
    queue_gather(c, m, v, e.log);
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
        for (size_t i = 0; i < n->count; i++)
            if (n->recipients[i].state == QUEUE_WAITING)
                queue_is_due(q, &n->recipients[i], n->recipients[i].next_ms);
    } else {
        log_warning("queue-refused", LS("session", n->message.session),
                    LS("from", n->message.sender), LN("size", n->message.size),
                    LN("verdict", verdict), LZ("why", why));
    }
    reply_to(n, verdict, why);
    queue_entry_free(n);
}

static void on_spool(struct queue_client *c, const struct msg *m)
{
    struct queue *q = c->queue;
    struct err e = {0};
    struct msg reply = MSG_INIT(spool_reply);
    enum verdict v = VERDICT_YES;
    if (!q->db || m->spool_ask.size > q->cfg->message_size_limit + HEADERS_MAX)
        v = q->db ? VERDICT_REFUSED : VERDICT_CANNOT_SAY;
    else if (queue_spool_room(&q->files, m->spool_ask.size + q->cfg->queue_minfree, &e) != 0)
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
    else if (m->type == MSG_vacation_tell)
        queue_vacation_look(((struct queue_client *)arg)->queue, &m->vacation_tell, m->fd);
}

static void on_close(struct channel *ch, void *arg)
{
    struct queue_client *c = arg;
    channel_free(ch);
    c->ch = NULL;
    queue_gather_leave(c);
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
    while (q->clients) {
        struct queue_client *c = q->clients;
        c->entries++; /* it stays until its entries are gone */
        if (c->ch)
            on_close(c->ch, c);
        queue_gather_end(c);
        queue_client_release(c);
    }
}
