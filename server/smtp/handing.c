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

#include <stdio.h>
#include <stdlib.h>

#define UNDER_WAY_MAX 64 /* deliveries of one message at once */
#define BATCH 20         /* recipients of one enqueue_ask (messages.def) */
#define RETRY_MS 1000 /* often before the last moment of a stop */
#define RETRIES 60

struct handing {
    size_t next;      /* the first target not yet handed on */
    size_t under_way;
    size_t safe;      /* delivered or queued */
    unsigned tries;   /* of the queue */
    struct event *retry;
    char queue_id[65];
    enum verdict verdict; /* of the queue, when it was not yes */
    char why[251];
};

/* What the queue is asked to take of one letter: all of it, or nothing. */
struct parcel {
    struct letter *letter;
    struct target **v;
    enum recipient_done *done;
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

static bool wants_receipt(const struct session *s, const struct target *t)
{
    return t->outcome == TARGET_DELIVERED && (t->notify & SMTP_NOTIFY_SUCCESS) && s->mail.from.path.n;
}

static void log_mailbox(struct session *s, const char *event, const struct target *t,
                        struct str key_value, const char *key)
{
    log_info(event, LS("session", s->mail.id), LS("from", lists_sender(s, t->letter)),
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
             LS("from", s->mail.sender), LZ("login", s->login), LN("recipients", s->mail.rcpts),
             LN("mailboxes", s->mail.targets.n), LN("size", s->mail.message.fd_size),
             LZ("queue_id", h->queue_id));
    if (session_is_lmtp(s))
        lmtp_reply(s, h->queue_id);
    else if (h->queue_id[0])
        reply(s, "250 2.0.0 Ok: queued as %s", h->queue_id);
    else
        reply(s, "250 2.0.0 Ok: delivered %.*s", STR_FMT(s->mail.id));
    mail_reset(s);
}

static void fail(struct session *s)
{
    const struct handing *h = s->mail.handing;
    log_error("not-accepted", LS("session", s->mail.id), LS("from", s->mail.sender),
              LN("mailboxes", s->mail.targets.n), LN("safe", h->safe), LN("verdict", h->verdict));
    if (h->verdict == VERDICT_REFUSED)
        reply(s, "550 5.7.1 Error: %s", h->why[0] ? h->why : "the message is not allowed");
    else if (h->verdict == VERDICT_FULL)
        reply(s, "452 4.3.1 Insufficient system storage, try again later");
    else
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
 * queue gets time to come back. What it refused it will not take then either. */
static void queue_failed(struct session *s)
{
    struct handing *h = s->mail.handing;
    struct timeval tv = {RETRY_MS / 1000, 0};
    if (h->safe == 0 || h->verdict == VERDICT_REFUSED || ++h->tries > RETRIES) {
        fail(s);
        return;
    }
    h->retry = evtimer_new(s->smtpd->program->base, on_retry, s);
    event_add(h->retry, &tv);
    session_hold(s);
}

static void note_queued(struct session *s, struct target *t, enum recipient_done done,
                        struct str id)
{
    if (done == RECIPIENT_DELIVERED || done == RECIPIENT_EXPANDED) {
        t->told = true;
        return;
    }
    t->outcome = TARGET_QUEUED;
    s->mail.handing->safe++;
    log_mailbox(s, "queued", t, id, "queue_id");
}

static void note_not_queued(struct session *s, struct target *t, enum recipient_done done,
                            struct str why)
{
    if (done == RECIPIENT_OPEN || done == RECIPIENT_LOOPS || done == RECIPIENT_UNKNOWN)
        t->outcome = TARGET_FAILED;
    log_mailbox(s, "not-queued", t, why, "why");
}

static void take_answer(struct session *s, const struct msg_enqueue_reply *r)
{
    struct handing *h = s->mail.handing;
    enum verdict verdict = r ? (enum verdict)r->verdict : VERDICT_CANNOT_SAY;
    if (verdict == VERDICT_YES && !h->queue_id[0])
        snprintf(h->queue_id, sizeof h->queue_id, "%.*s", STR_FMT(str_head(r->queue_id, 64)));
    if (verdict == VERDICT_YES || h->verdict == VERDICT_REFUSED)
        return; /* of several letters the worst answer counts */
    h->verdict = verdict;
    h->why[0] = '\0';
    if (verdict == VERDICT_REFUSED && str_is_text(r->text))
        snprintf(h->why, sizeof h->why, "%.*s", STR_FMT(str_head(r->text, 250)));
}

static bool all_is_safe(const struct session *s)
{
    const struct mail *m = &s->mail;
    bool told = true;
    for (size_t i = 0; i < m->expanded.n; i++)
        told = told && m->expanded.v[i]->told;
    for (size_t i = 0; i < m->targets.n; i++)
        told = told && (m->targets.v[i]->told || !wants_receipt(s, m->targets.v[i]));
    return told && m->handing->safe == m->targets.n;
}

static void on_enqueued(struct session *s, void *arg, struct msg *m)
{
    struct handing *h = s->mail.handing;
    const struct parcel *p = arg;
    take_answer(s, m ? &m->enqueue_reply : NULL);
    h->under_way--;
    for (size_t i = 0; i < p->n; i++) {
        if (m && m->enqueue_reply.verdict == VERDICT_YES)
            note_queued(s, p->v[i], p->done[i], m->enqueue_reply.queue_id);
        else
            note_not_queued(s, p->v[i], p->done[i], m ? m->enqueue_reply.text : STR("no answer"));
    }
    if (h->under_way)
        return;
    if (all_is_safe(s))
        done(s);
    else
        queue_failed(s);
}

static void set_letter(const struct session *s, const struct letter *letter, struct msg_enqueue_ask *ask)
{
    if (letter) {
        ask->letter = letter->number;
        ask->prefix = letter->prefix;
        return;
    }
    if (!str_eq(s->mail.sender, s->mail.from.path))
        ask->said = s->mail.from.path;
    ask->ret = (uint8_t)s->mail.from.ret;
    ask->envid = s->mail.from.envid;
}

/* How many from the one at this place fit one ask: those of one route. */
static size_t part_size(const struct parcel *p, size_t at)
{
    size_t n = 1;
    while (n < BATCH && at + n < p->n && p->v[at + n]->remote == p->v[at]->remote)
        n++;
    return n;
}

static void send_part(struct session *s, struct parcel *p, unsigned part, size_t at, size_t n)
{
    struct msg_recipient recipients[BATCH] = {0};
    struct msg m = MSG_INIT(enqueue_ask);
    struct msg_enqueue_ask *out = &m.enqueue_ask;
    bool remote = p->v[at]->remote;
    for (size_t i = 0; i < n; i++) {
        const struct target *t = p->v[at + i];
        recipients[i] = (struct msg_recipient){.address = t->address, .original = t->original,
                                               .notify = t->notify, .orcpt = t->orcpt,
                                               .done = (uint8_t)p->done[at + i]};
        if (remote)
            recipients[i].grant = t->grant;
    }
    m.fd = s->mail.message.fd;
    out->part = part;
    out->more = at + n < p->n;
    out->size = s->mail.message.fd_size;
    out->flags = (remote ? ENQUEUE_REMOTE | ENQUEUE_NOW : 0) | (s->mail.hold ? ENQUEUE_HOLD : 0) |
                 (s->mail.from.smtputf8 ? ENQUEUE_SMTPUTF8 : 0);
    out->grant = s->grant;
    out->session = s->mail.id;
    out->sender = lists_sender(s, p->letter);
    out->client = str_from(s->peer.text);
    set_letter(s, p->letter, out);
    out->recipients = (struct msg_recipients){recipients, n};
    if (out->more)
        rpc_tell(s->smtpd->queue, &m);
    else
        ask(s, s->smtpd->queue, &m, ASK_QUEUE_MS, on_enqueued, p);
}

/* What the queue shall do about a target; false: nothing. */
static bool is_for_queue(const struct session *s, struct target *t, enum recipient_done *done)
{
    *done = t->outcome == TARGET_EXPANDED    ? RECIPIENT_EXPANDED
            : t->outcome == TARGET_DELIVERED ? RECIPIENT_DELIVERED
            : t->loops                       ? RECIPIENT_LOOPS
            : t->unknown                     ? RECIPIENT_UNKNOWN
                                             : RECIPIENT_OPEN;
    if (t->outcome == TARGET_FAILED) {
        t->outcome = TARGET_ASKED;
        return true;
    }
    return t->outcome == TARGET_EXPANDED ? !t->told : wants_receipt(s, t) && !t->told;
}

static void add_kind(struct session *s, struct parcel *p, const struct target_list *list, bool remote)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i]->letter == p->letter && list->v[i]->remote == remote &&
            is_for_queue(s, list->v[i], &p->done[p->n]))
            p->v[p->n++] = list->v[i];
}

static size_t count_of(const struct target_list *list, const struct letter *letter)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        n += list->v[i]->letter == letter;
    return n;
}

/* True when there was something to be done. */
static bool enqueue_letter(struct session *s, struct letter *letter)
{
    struct arena *a = s->mail.arena;
    struct parcel *p = ARENA_NEW(a, struct parcel);
    size_t most = count_of(&s->mail.expanded, letter) + count_of(&s->mail.targets, letter), n;
    *p = (struct parcel){.letter = letter, .v = arena_array(a, most + 1, sizeof *p->v),
                         .done = arena_array(a, most + 1, sizeof *p->done)};
    add_kind(s, p, &s->mail.expanded, false);
    add_kind(s, p, &s->mail.targets, false);
    add_kind(s, p, &s->mail.targets, true);
    if (p->n == 0)
        return false;
    s->mail.handing->under_way++;
    unsigned part = 0;
    for (size_t at = 0; at < p->n; at += n) {
        n = part_size(p, at);
        send_part(s, p, part++, at, n);
    }
    return true;
}

static void enqueue(struct session *s)
{
    struct handing *h = s->mail.handing;
    bool some;
    h->verdict = VERDICT_YES;
    h->under_way++; /* ours, so that no answer ends it before all are asked */
    some = enqueue_letter(s, NULL);
    for (struct letter *l = s->mail.letters; l; l = l->next)
        some = enqueue_letter(s, l) || some;
    h->under_way--;
    if (!some)
        fail(s); /* nothing was left to do, and it was not safe: never */
}

/* --- the deliver workers --- */

/* The queue tells the sender. Nothing waits for that. */
static void tell_of_absent(struct session *s, const struct target *t)
{
    struct msg m = MSG_INIT(vacation_tell);
    if (s->mail.sender.n == 0)
        return;
    m.fd = s->mail.message.fd;
    m.vacation_tell.size = s->mail.message.fd_size;
    m.vacation_tell.flags = s->mail.from.smtputf8 ? ENQUEUE_SMTPUTF8 : 0;
    m.vacation_tell.session = s->mail.id;
    m.vacation_tell.sender = s->mail.sender;
    m.vacation_tell.address = t->address;
    rpc_tell(s->smtpd->queue, &m);
}

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
    if (yes && t->away && !t->letter)
        tell_of_absent(s, t);
    if (!yes) /* of the others the worker has told */
        log_mailbox(s, "not-delivered", t, m ? m->deliver_reply.text : STR("no answer"), "why");
    deliver_some(s);
    if (h->under_way)
        return;
    h->safe += lmtp_give_back(s);
    if (all_is_safe(s))
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
    m.deliver_ask.sender = lists_sender(s, t->letter);
    if (t->letter)
        m.deliver_ask.prefix = t->letter->prefix;
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
        if (t->remote || t->loops || t->unknown || s->mail.hold)
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
    lists_prepare(s);
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
    lists_look(s);
    if (message_seal(s, &e) != 0) {
        log_error("message", LZ("session", s->id), LZ("why", e.log));
        reply_err(s, &e);
        mail_reset(s);
        return;
    }
    filter_message(s, hand_on, mail_reset);
}
