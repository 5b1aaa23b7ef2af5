/*
 * Mail for other servers: transactions with the relay program, destination by destination.
 *
 * Destinations take turns, a bounded number of transactions each; one whose servers cannot be
 * reached rests for a growing pause, and is then tried with one transaction alone. So mail for a
 * slow or dead domain holds up no other. Recipients of one message at one destination go together.
 */
#include "base/log.h"
#include "queue/backoff.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define RELAY_MS (6 * 3600 * 1000) /* the relay's own limits are shorter */
#define EXPIRE_AT_ONCE 100

struct job {
    struct queue *queue;
    struct lane *to;
    struct queue_attempt *v[QUEUE_TOGETHER_MAX]; /* NULL: it is finished */
    bool known[QUEUE_TOGETHER_MAX]; /* the attempt holds its outcome */
    size_t n;
    bool site; /* no server could be talked to */
};

struct str queue_destination_of(struct str address)
{
    ptrdiff_t at = str_rfind(address, '@');
    return at < 0 ? (struct str){"", 0} : str_skip(address, (size_t)at + 1);
}

static void note_site(struct queue *q, struct lane *d, bool failed)
{
    if (!failed) {
        d->failures = 0;
        return;
    }
    d->failures++;
    d->until_ms = queue_now_ms() + queue_backoff_ms(q->cfg->minimal_backoff_time,
                                                    q->cfg->maximal_backoff_time, d->failures,
                                                    randombytes_random());
    log_warning("queue-destination", LZ("domain", d->name), LN("failures", d->failures),
                LN("rests_s", (d->until_ms - queue_now_ms()) / 1000));
}

/* --- one transaction --- */

static void job_end(struct job *j)
{
    struct queue *q = j->queue;
    for (size_t i = 0; i < j->n; i++) {
        char why[900] = "the relay program gave no answer";
        if (!j->v[i])
            continue;
        if (j->known[i])
            snprintf(why, sizeof why, "%s", j->v[i]->why);
        queue_attempt_finish(j->v[i], j->known[i] ? j->v[i]->outcome : QUEUE_RETRY, why, STR(""));
    }
    q->jobs--;
    lanes_job_over(&q->remote, j->to, queue_now_ms());
    free(j);
    queue_turn_soon(q);
}

/* Kept until the last one is here: all that concerns the sender goes into one report. */
static void take_reply(struct job *j, const struct msg_relay_reply *r)
{
    if (r->index >= j->n || j->known[r->index])
        return;
    struct queue_attempt *a = j->v[r->index];
    j->known[r->index] = true;
    if (str_is_text(r->status))
        snprintf(a->status, sizeof a->status, "%.*s", STR_FMT(str_head(r->status, 19)));
    if (str_is_text(r->server))
        snprintf(a->server, sizeof a->server, "%.*s", STR_FMT(str_head(r->server, 299)));
    struct str text = str_is_text(r->text) ? r->text : STR("a text that cannot be shown");
    snprintf(a->why, sizeof a->why, "%.*s", STR_FMT(str_head(text, 800)));
    a->passed = r->dsn;
    a->outcome = r->verdict == VERDICT_YES  ? QUEUE_DONE
                 : r->verdict == VERDICT_NO ? QUEUE_BOUNCE
                                            : QUEUE_RETRY;
}

static void on_relayed(void *arg, struct msg *reply)
{
    struct job *j = arg;
    if (!reply || reply->type != MSG_relay_reply) {
        job_end(j);
        return;
    }
    const struct msg_relay_reply *r = &reply->relay_reply;
    take_reply(j, r);
    j->site = j->site || (r->site && r->verdict == VERDICT_CANNOT_SAY);
    if (r->more)
        return;
    note_site(j->queue, j->to, j->site);
    job_end(j);
}

static void ask_relay(struct job *j, int fd)
{
    struct queue *q = j->queue;
    char id[QUEUE_ID_SIZE];
    struct msg_recipient to[QUEUE_TOGETHER_MAX] = {0};
    struct msg m = MSG_INIT(relay_ask);
    const struct queue_message *message = &j->v[0]->message;
    queue_id_text(id, message->id);
    for (size_t i = 0; i < j->n; i++)
        to[i] = (struct msg_recipient){.address = j->v[i]->recipient.address,
                                       .original = j->v[i]->recipient.original,
                                       .notify = j->v[i]->recipient.notify,
                                       .orcpt = j->v[i]->recipient.orcpt};
    m.fd = fd;
    m.relay_ask.size = message->size;
    m.relay_ask.flags = message->flags;
    m.relay_ask.session = message->session;
    m.relay_ask.queue_id = str_from(id);
    m.relay_ask.domain = str_from(j->to->name);
    m.relay_ask.sender = message->sender;
    m.relay_ask.ret = message->ret;
    m.relay_ask.envid = message->envid;
    m.relay_ask.recipients = (struct msg_recipients){to, j->n};
    rpc_call(q->relay, &m, RELAY_MS, on_relayed, j);
}

static void job_start(struct job *j)
{
    struct queue *q = j->queue;
    struct err e = {0};
    bool missing = false;
    const struct queue_message *m = &j->v[0]->message;
    AUTO_FD fd = queue_spool_read(&q->files, m->id, m->size, &missing, &e);
    if (fd >= 0) {
        ask_relay(j, fd);
        return;
    }
    for (size_t i = 0; i < j->n; i++) {
        queue_attempt_finish(j->v[i], missing ? QUEUE_HOLD : QUEUE_RETRY, e.log, STR(""));
        j->v[i] = NULL;
    }
    job_end(j);
}

/* --- whose turn it is --- */

static bool is_free(void *ctx, uint64_t recipient)
{
    return !queue_is_in_flight(((struct job *)ctx)->queue, recipient);
}

static bool collect(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct job *j = ctx;
    if (j->n < QUEUE_TOGETHER_MAX)
        j->v[j->n++] = queue_attempt_new(j->queue, m, r);
    return true;
}

/* Of the transactions that are still allowed one destination may take as many as are left after it:
 * a few slow ones never take all. */
static bool may_start(const struct queue *q, const struct lane *d)
{
    size_t left = (size_t)q->cfg->default_process_limit - q->jobs;
    if (d->failures)
        return d->jobs == 0;
    return d->jobs == 0 || (d->jobs < (uint64_t)q->cfg->default_destination_concurrency_limit &&
                            d->jobs < left);
}

static int pick(struct queue *q, struct lane *d, struct job *j, int64_t now, struct err *e)
{
    j->queue = q;
    return queue_db_pick(q->db, true, str_from(d->name), now, QUEUE_TOGETHER_MAX, &d->after,
                         is_free, collect, j, e);
}

static void serve(struct queue *q, struct lane *d)
{
    struct err e = {0};
    int64_t now = queue_now_ms();
    struct job *j = MEM_NEW(struct job);
    int r = pick(q, d, j, now, &e);
    if (j->n) {
        q->jobs++;
        d->jobs++;
        j->to = d;
        lanes_put(&q->remote, d, now);
        job_start(j);
        return;
    }
    free(j);
    queue_lane_rest(q, true, d, now, r, &e);
}

void queue_remote_pump(struct queue *q)
{
    int64_t now = queue_now_ms();
    struct lane *d;
    if (!rpc_connected(q->relay))
        return;
    while (q->jobs < (uint64_t)q->cfg->default_process_limit &&
           (d = lanes_take(&q->remote, now)) != NULL) {
        if (!may_start(q, d))
            lanes_park(d);
        else if (d->failures && d->until_ms > now)
            lanes_put(&q->remote, d, d->until_ms);
        else
            serve(q, d);
    }
}

/* --- what has waited for too long --- */

struct old {
    struct queue_attempt *v[EXPIRE_AT_ONCE];
    size_t n;
    struct queue *queue;
};

/* A destination in trouble is tried once in a while, with one message: the others grow old here. */
static bool take_old(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct old *o = ctx;
    struct lane *d = lanes_find(&o->queue->remote, r->destination);
    bool tried = r->attempts > 0 || (r->route == QUEUE_REMOTE && d && d->failures);
    if (!tried || queue_is_in_flight(o->queue, r->id) || o->n >= EXPIRE_AT_ONCE)
        return true;
    struct queue_attempt *a = queue_attempt_new(o->queue, m, r);
    snprintf(a->why, sizeof a->why, "%.*s", STR_FMT(str_head(r->error, 800)));
    o->v[o->n++] = a;
    return true;
}

void queue_remote_expire(struct queue *q)
{
    struct err e = {0};
    struct old o = {.queue = q};
    int64_t life = q->cfg->maximal_queue_lifetime > q->cfg->bounce_queue_lifetime
                       ? q->cfg->maximal_queue_lifetime
                       : q->cfg->bounce_queue_lifetime;
    int64_t before_ms = queue_now_ms() - life * 1000;
    if (before_ms > 0 &&
        queue_db_old(q->db, (uint64_t)before_ms * 1000, EXPIRE_AT_ONCE, take_old, &o, &e) != 0)
        log_error("queue-read", LZ("why", e.log));
    for (size_t i = 0; i < o.n; i++) {
        char why[900];
        snprintf(why, sizeof why, "%s", o.v[i]->why[0] ? o.v[i]->why : "no server could be reached");
        queue_attempt_finish(o.v[i], QUEUE_BOUNCE, why, STR(""));
    }
}
