/*
 * Handing a message on: to a deliver worker for each mailbox, and what fails there to the queue.
 * The client hears 250 when every mailbox has it or the queue has committed it, and never before.
 *
 * A worker that dies leaves it unknown whether it delivered: the queue gets that recipient too, for
 * a message twice is better than none. A recipient that was delivered is never handed on again,
 * unless the queue is gone for so long that the client must be asked to send all again.
 */
#include "base/log.h"
#include "smtp/smtp.h"

#include <stdlib.h>

#define UNDER_WAY_MAX 64 /* deliveries of one message at once */
#define BATCH 20         /* recipients of one enqueue_ask */
#define RETRY_MS 5000
#define RETRIES 12

struct handing {
    size_t next;      /* the first target not yet handed on */
    size_t under_way;
    size_t safe;      /* delivered or queued */
    unsigned tries;   /* of the queue */
    struct event *retry;
    char queue_id[65];
};

struct batch {
    struct target *v[BATCH];
    size_t n;
};

static void enqueue(struct session *s);
static void deliver_some(struct session *s);

void handing_free(struct session *s)
{
    struct handing *h = s->mail.handing;
    if (!h)
        return;
    if (h->retry)
        event_free(h->retry);
    free(h);
    s->mail.handing = NULL;
}

static void log_mailbox(struct session *s, const char *event, const struct target *t,
                        struct str key_value, const char *key)
{
    log_info(event, LS("session", s->mail.id), LS("from", s->mail.from.path),
             LS("to", t->address), LS("original", t->original),
             LN("size", s->mail.message.fd_size), LS(key, key_value));
}

/* --- the end --- */

static void done(struct session *s)
{
    struct handing *h = s->mail.handing;
    s->smtpd->messages++;
    s->errors = s->junk = 0;
    log_info("accepted", LS("session", s->mail.id), LZ("client", s->peer.text),
             LS("from", s->mail.from.path), LZ("login", s->login), LN("recipients", s->mail.rcpts),
             LN("mailboxes", s->mail.targets.n), LN("size", s->mail.message.fd_size),
             LZ("queue_id", h->queue_id));
    if (h->queue_id[0])
        reply(s, "250 2.0.0 Ok: queued as %s", h->queue_id);
    else
        reply(s, "250 2.0.0 Ok: delivered %.*s", STR_FMT(s->mail.id));
    mail_reset(s);
}

static void fail(struct session *s)
{
    log_error("not-accepted", LS("session", s->mail.id), LS("from", s->mail.from.path),
              LN("mailboxes", s->mail.targets.n), LN("safe", s->mail.handing->safe));
    reply(s, "451 4.3.0 Error: the message could not be delivered or queued, try again later");
    mail_reset(s);
}

/* --- the queue --- */

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    (void)what;
    event_free(s->mail.handing->retry);
    s->mail.handing->retry = NULL;
    enqueue(s);
    session_release(s);
}

/* What was delivered cannot be taken back: for the client to send it again would double it, so the
 * queue gets time to come back. */
static void queue_failed(struct session *s)
{
    struct handing *h = s->mail.handing;
    struct timeval tv = {RETRY_MS / 1000, 0};
    if (h->safe == 0 || ++h->tries > RETRIES) {
        fail(s);
        return;
    }
    h->retry = evtimer_new(s->smtpd->program->base, on_retry, s);
    event_add(h->retry, &tv);
    session_hold(s);
}

static void on_enqueued(struct session *s, void *arg, struct msg *m)
{
    struct handing *h = s->mail.handing;
    struct batch *b = arg;
    bool yes = m && m->enqueue_reply.verdict == VERDICT_YES;
    struct str id = yes ? str_head(m->enqueue_reply.queue_id, sizeof h->queue_id - 1)
                        : (struct str){"", 0};
    h->under_way--;
    for (size_t i = 0; i < b->n; i++) {
        b->v[i]->outcome = yes ? TARGET_QUEUED : TARGET_FAILED;
        log_mailbox(s, yes ? "queued" : "not-queued", b->v[i],
                   yes ? id : m ? m->enqueue_reply.text : STR("no answer"),
                   yes ? "queue_id" : "why");
    }
    if (yes) {
        h->safe += b->n;
        if (!h->queue_id[0])
            memcpy(h->queue_id, id.p, id.n);
    }
    if (h->under_way)
        return;
    if (h->safe == s->mail.targets.n)
        done(s);
    else
        queue_failed(s);
}

static void enqueue_batch(struct session *s, struct batch *b)
{
    struct msg_recipient recipients[BATCH] = {0};
    bool remote = b->v[0]->remote;
    struct msg m = MSG_INIT(enqueue_ask);
    for (size_t i = 0; i < b->n; i++) {
        b->v[i]->outcome = TARGET_ASKED;
        recipients[i].address = b->v[i]->address;
        recipients[i].original = b->v[i]->original;
        if (remote)
            recipients[i].grant = b->v[i]->grant;
    }
    m.fd = s->mail.message.fd;
    m.enqueue_ask.size = s->mail.message.fd_size;
    m.enqueue_ask.flags = (remote ? ENQUEUE_REMOTE | ENQUEUE_NOW : 0) |
                          (s->mail.hold ? ENQUEUE_HOLD : 0) |
                          (s->mail.from.smtputf8 ? ENQUEUE_SMTPUTF8 : 0);
    m.enqueue_ask.grant = s->grant;
    m.enqueue_ask.session = s->mail.id;
    m.enqueue_ask.sender = s->mail.from.path;
    m.enqueue_ask.recipients = (struct msg_recipients){recipients, b->n};
    s->mail.handing->under_way++;
    ask(s, s->smtpd->queue, &m, ASK_QUEUE_MS, on_enqueued, b);
}

/* More recipients than one ask holds go in asks of their own. */
static void enqueue_kind(struct session *s, bool remote)
{
    struct target_list *list = &s->mail.targets;
    struct batch *b = ARENA_NEW(s->mail.arena, struct batch);
    for (size_t i = 0; i < list->n; i++) {
        if (list->v[i]->outcome != TARGET_FAILED || list->v[i]->remote != remote)
            continue;
        b->v[b->n++] = list->v[i];
        if (b->n == BATCH) {
            enqueue_batch(s, b);
            b = ARENA_NEW(s->mail.arena, struct batch);
        }
    }
    if (b->n)
        enqueue_batch(s, b);
}

static void enqueue(struct session *s)
{
    enqueue_kind(s, false);
    enqueue_kind(s, true);
}

/* --- the deliver workers --- */

static void on_delivered(struct session *s, void *arg, struct msg *m)
{
    struct handing *h = s->mail.handing;
    struct target *t = arg;
    bool yes = m && m->deliver_reply.verdict == VERDICT_YES;
    h->under_way--;
    t->outcome = yes ? TARGET_DELIVERED : TARGET_FAILED;
    h->safe += yes;
    if (!yes)
        probed_forget(s->smtpd, t->key);
    log_mailbox(s, yes ? "delivered" : "not-delivered", t,
               m ? m->deliver_reply.text : STR("no answer"), yes ? "text" : "why");
    deliver_some(s);
    if (h->under_way)
        return;
    if (h->safe == s->mail.targets.n)
        done(s);
    else
        enqueue(s);
}

static void deliver_one(struct session *s, struct target *t)
{
    struct msg m = MSG_INIT(deliver_ask);
    m.fd = s->mail.message.fd;
    m.deliver_ask.grant = t->grant;
    m.deliver_ask.size = s->mail.message.fd_size;
    m.deliver_ask.session = s->mail.id;
    m.deliver_ask.sender = s->mail.from.path;
    m.deliver_ask.original = t->original;
    t->outcome = TARGET_ASKED;
    s->mail.handing->under_way++;
    ask(s, s->smtpd->deliver, &m, ASK_DELIVER_MS, on_delivered, t);
}

static void deliver_some(struct session *s)
{
    struct handing *h = s->mail.handing;
    while (h->next < s->mail.targets.n && h->under_way < UNDER_WAY_MAX) {
        struct target *t = s->mail.targets.v[h->next++];
        if (t->remote || s->mail.hold)
            t->outcome = TARGET_FAILED; /* for the queue, with what failed here */
        else
            deliver_one(s, t);
    }
}

static void hand_on(struct session *s)
{
    if (s->mail.discard) {
        log_info("discarded", LS("session", s->mail.id), LZ("client", s->peer.text),
                 LS("from", s->mail.from.path), LN("size", s->mail.message.fd_size));
        reply(s, "250 2.0.0 Ok: %.*s", STR_FMT(s->mail.id));
        mail_reset(s);
        return;
    }
    s->mail.handing = MEM_NEW(struct handing);
    deliver_some(s);
    /* An alias that leads nowhere would be a silent loss. */
    if (s->mail.targets.n == 0)
        fail(s);
    else if (s->mail.handing->under_way == 0)
        enqueue(s);
}

void handing_start(struct session *s)
{
    struct err e = {0};
    if (message_seal(s, &e) != 0) {
        log_error("message", LZ("session", s->id), LZ("why", e.log));
        reply_err(s, &e);
        mail_reset(s);
        return;
    }
    filter_message(s, hand_on, mail_reset);
}
