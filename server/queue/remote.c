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

struct destination {
    char name[QUEUE_DESTINATION_MAX];
    size_t jobs;
    uint32_t failures; /* attempts that reached no server, one after the other */
    int64_t until_ms;  /* rests until then */
};

struct job {
    struct queue *queue;
    struct destination *to;
    struct queue_attempt *v[QUEUE_TOGETHER_MAX]; /* NULL: its outcome is known */
    size_t n;
    bool site; /* no server could be talked to */
};

struct str queue_destination_of(struct str address)
{
    ptrdiff_t at = str_rfind(address, '@');
    return at < 0 ? (struct str){"", 0} : str_skip(address, (size_t)at + 1);
}

/* --- destinations --- */

static struct destination *find(struct queue *q, struct str name)
{
    return map_get(q->destinations, name);
}

static struct destination *hold(struct queue *q, struct str name)
{
    struct destination *d = find(q, name);
    if (!d) {
        d = MEM_NEW(struct destination);
        snprintf(d->name, sizeof d->name, "%.*s", STR_FMT(name));
        map_put(q->destinations, name, d);
    }
    d->jobs++;
    return d;
}

static void release(struct queue *q, struct destination *d)
{
    d->jobs--;
    if (d->jobs || d->failures)
        return;
    map_take(q->destinations, str_from(d->name));
    free(d);
}

static void note_site(struct queue *q, struct destination *d, bool failed)
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

int64_t queue_remote_next(struct queue *q)
{
    int64_t next = INT64_MAX, now = queue_now_ms();
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(q->destinations, &at, &key, &value)) {
        const struct destination *d = value;
        if (d->failures && d->jobs == 0 && d->until_ms > now && d->until_ms < next)
            next = d->until_ms;
    }
    return next;
}

/* --- one transaction --- */

static void job_end(struct job *j)
{
    struct queue *q = j->queue;
    for (size_t i = 0; i < j->n; i++)
        if (j->v[i])
            queue_attempt_finish(j->v[i], QUEUE_RETRY, "the relay program gave no answer", STR(""));
    q->jobs--;
    release(q, j->to);
    free(j);
    queue_turn_soon(q);
}

static void take_reply(struct job *j, const struct msg_relay_reply *r)
{
    if (r->index >= j->n || !j->v[r->index])
        return;
    struct queue_attempt *a = j->v[r->index];
    j->v[r->index] = NULL;
    if (str_is_text(r->status))
        snprintf(a->status, sizeof a->status, "%.*s", STR_FMT(str_head(r->status, 19)));
    if (str_is_text(r->server))
        snprintf(a->server, sizeof a->server, "%.*s", STR_FMT(str_head(r->server, 299)));
    struct str text = str_is_text(r->text) ? r->text : STR("a text that cannot be shown");
    char why[801];
    snprintf(why, sizeof why, "%.*s", STR_FMT(str_head(text, 800)));
    if (r->verdict == VERDICT_YES)
        queue_attempt_finish(a, QUEUE_DONE, why, STR(""));
    else if (r->verdict == VERDICT_NO)
        queue_attempt_finish(a, QUEUE_BOUNCE, why, STR(""));
    else
        queue_attempt_finish(a, QUEUE_RETRY, why, STR(""));
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
        to[i].address = j->v[i]->recipient.address;
    m.fd = fd;
    m.relay_ask.size = message->size;
    m.relay_ask.flags = message->flags;
    m.relay_ask.session = message->session;
    m.relay_ask.queue_id = str_from(id);
    m.relay_ask.domain = str_from(j->to->name);
    m.relay_ask.sender = message->sender;
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
    return !queue_is_in_flight(ctx, recipient);
}

static bool collect(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct job *j = ctx;
    if (j->n < QUEUE_TOGETHER_MAX)
        j->v[j->n++] = queue_attempt_new(j->queue, m, r);
    return true;
}

struct both { /* is_free's context and collect's */
    struct queue *queue;
    struct job *job;
};

static bool both_free(void *ctx, uint64_t recipient)
{
    return is_free(((struct both *)ctx)->queue, recipient);
}

static bool both_collect(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    return collect(((struct both *)ctx)->job, m, r);
}

static bool may_start(struct queue *q, const struct destination *d)
{
    if (!d)
        return true;
    if (d->failures)
        return d->jobs == 0 && d->until_ms <= queue_now_ms();
    return d->jobs < (uint64_t)q->cfg->default_destination_concurrency_limit;
}

/* True when a transaction was started. */
static bool serve(struct queue *q, struct str name)
{
    struct err e = {0};
    if (!may_start(q, find(q, name)))
        return false;
    struct job *j = MEM_NEW(struct job);
    struct both both = {q, j};
    j->queue = q;
    if (queue_db_due_remote(q->db, name, queue_now_ms(), QUEUE_TOGETHER_MAX, both_free, both_collect,
                            &both, &e) != 0)
        log_error("queue-read", LZ("why", e.log));
    if (j->n == 0) {
        free(j);
        return false;
    }
    q->jobs++;
    j->to = hold(q, name);
    job_start(j);
    return true;
}

/* Goes around from where it stopped last, until everybody was passed over in one round. */
void queue_remote_pump(struct queue *q)
{
    struct err e = {0};
    bool started = false, whole_round = false, found;
    if (!rpc_connected(q->relay))
        return;
    while (q->jobs < (uint64_t)q->cfg->default_process_limit) {
        if (queue_db_destination(q->db, str_from(q->cursor), q->cursor, sizeof q->cursor, &found,
                                 &e) != 0) {
            log_error("queue-read", LZ("why", e.log));
            return;
        }
        if (found) {
            char name[QUEUE_DESTINATION_MAX];
            memcpy(name, q->cursor, sizeof name);
            started = serve(q, str_from(name)) || started;
            continue;
        }
        q->cursor[0] = '\0';
        if (whole_round && !started)
            return;
        whole_round = true;
        started = false;
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
    struct destination *d = find(o->queue, r->destination);
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

void queue_remote_init(struct queue *q)
{
    q->destinations = map_new();
}

/* Jobs under way go with their rpc, which calls nobody any more. */
void queue_remote_end(struct queue *q)
{
    map_free(q->destinations, free);
}
