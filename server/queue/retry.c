/*
 * Trying again: for every recipient that is due, ask the directory where its mailbox is now, and
 * hand the message with the grant to a delivery worker.
 *
 * Mailboxes take turns, with a bounded number of attempts at once and only a few of them into one
 * mailbox, so that one slow mailbox, or one with much mail, does not hold up the others. Nothing is written before an attempt: after a crash it
 * is made again.
 */
#include "base/clock.h"
#include "base/log.h"
#include "queue/backoff.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RESOLVE_MS 60000
#define DELIVER_MS 600000 /* as long as the grant is valid */
#define READ_AGAIN_MS 2000 /* after the database could not be read */
#define TICK_MS 60000     /* the longest sleep, for clocks that jump */

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

/* --- the end of an attempt --- */

static bool is_remote(const struct queue_attempt *a)
{
    return a->recipient.route == QUEUE_REMOTE;
}

static void attempt_free(struct queue *q, struct queue_attempt *a)
{
    map_take(q->in_flight, id_key(&a->recipient.id));
    if (is_remote(a))
        q->remote_attempts--;
    if (a->lane)
        lanes_job_over(&q->local, a->lane, queue_now_ms());
    arena_free(a->arena);
    free(a);
}

bool queue_is_in_flight(struct queue *q, uint64_t recipient)
{
    return map_get(q->in_flight, id_key(&recipient)) != NULL;
}

/* Tried for too long: given up; or long enough for the sender to hear of it. */
static void look_at_age(struct queue_attempt *a)
{
    const struct config *cfg = a->queue->cfg;
    bool is_report = a->message.sender.n == 0;
    int64_t age_ms = queue_now_ms() - a->message.created_ms;
    int64_t life = is_report ? cfg->bounce_queue_lifetime : cfg->maximal_queue_lifetime;
    if (age_ms >= life * 1000)
        a->outcome = QUEUE_BOUNCE;
    else if (cfg->delay_warning_time > 0 && age_ms >= cfg->delay_warning_time * 1000 &&
             !is_report && !a->recipient.warned)
        a->say = QUEUE_SAY_DELAYED;
}

/* A server that took it and knows RFC 3461 tells the sender itself (section 5.2.2). */
static void look_at_end(struct queue_attempt *a)
{
    if (a->outcome == QUEUE_BOUNCE)
        a->say = QUEUE_SAY_FAILED;
    else if (a->outcome == QUEUE_DONE && !a->passed)
        a->say = is_remote(a) ? QUEUE_SAY_RELAYED : QUEUE_SAY_DELIVERED;
    if (!queue_wants(a->message.sender, a->recipient.notify, a->say))
        a->say = QUEUE_SAY_NOTHING;
}

void queue_attempt_finish(struct queue_attempt *a, enum queue_outcome outcome, const char *why,
                          struct str text)
{
    struct queue *q = a->queue;
    /* Mail that comes here after a failed delivery has had its first pause already. */
    uint32_t failures = a->recipient.attempts + (a->message.flags & ENQUEUE_NOW ? 1 : 2);
    a->outcome = outcome;
    a->call = 0;
    if (text.n && !str_is_utf8(text))
        text.n = 0;
    snprintf(a->why, sizeof a->why, "%s%s%.*s", why, text.n ? ": " : "", STR_FMT(text));
    if (outcome == QUEUE_RETRY) {
        look_at_age(a);
        a->next_ms = queue_now_ms() + queue_backoff_ms(q->cfg->minimal_backoff_time,
                                                       q->cfg->maximal_backoff_time, failures,
                                                       randombytes_random());
    }
    look_at_end(a);
    a->ended = true;
    if (!queue_wait_take(a)) {
        if (!q->finished)
            q->finished_ms = clock_mono_ms();
        a->next = q->finished;
        q->finished = a;
    }
    queue_turn_soon(q);
}

void queue_retry_settle(struct queue *q, struct queue_attempt *a)
{
    char id[QUEUE_ID_SIZE];
    queue_id_text(id, a->message.id);
#define COMMON                                                                                     \
    LS("session", a->message.session), LZ("queue_id", id), LS("from", a->message.sender),          \
        LS("to", a->recipient.address), LS("original", a->recipient.original),                     \
        LN("attempts", a->recipient.attempts + 1)
    if (a->outcome == QUEUE_DONE) {
        q->delivered++;
        log_info("queue-delivered", COMMON,
                 LN("waited_s", (queue_now_ms() - a->message.created_ms) / 1000));
    } else if (a->outcome == QUEUE_RETRY) {
        q->failed++;
        log_warning("queue-retry", COMMON, LN("next_s", (a->next_ms - queue_now_ms()) / 1000),
                    LZ("why", a->why));
    } else if (a->outcome == QUEUE_EXPAND) {
        log_info("queue-expanded", COMMON);
    } else if (a->outcome == QUEUE_BOUNCE) {
        q->failed++;
        log_warning("queue-bounce", COMMON, LZ("status", a->status), LZ("server", a->server),
                    LZ("why", a->why));
    } else {
        q->failed++;
        log_error("queue-hold", COMMON, LZ("why", a->why),
                  LZ("meaning", "not tried again until a person releases it"));
    }
#undef COMMON
    if (a->outcome == QUEUE_RETRY)
        queue_is_due(q, &a->recipient, a->next_ms);
    for (const struct queue_lead *l = a->leads; a->outcome == QUEUE_EXPAND && l; l = l->next)
        queue_is_due(q, &l->recipient, queue_now_ms());
    attempt_free(q, a);
}

/* --- asking the worker --- */

static void come_back(struct queue_attempt *a, const char *status, const char *why, struct str text)
{
    snprintf(a->status, sizeof a->status, "%s", status);
    queue_attempt_finish(a, QUEUE_BOUNCE, why, text);
}

static void look_at_vacation(struct queue_attempt *a)
{
    struct err ignored = {0};
    bool missing;
    AUTO_FD fd = queue_spool_read(&a->queue->files, a->message.id, a->message.size, &missing,
                                  &ignored);
    struct msg_vacation_tell m = {.size = a->message.size, .flags = a->message.flags,
                                  .session = a->message.session, .sender = a->message.sender,
                                  .address = a->recipient.address};
    if (fd >= 0)
        queue_vacation_look(a->queue, &m, fd);
}

static void on_delivered(void *arg, struct msg *reply)
{
    struct queue_attempt *a = arg;
    if (!reply || reply->type != MSG_deliver_reply) {
        queue_attempt_finish(a, QUEUE_RETRY, "the delivery worker gave no answer", STR(""));
        return;
    }
    struct str text = reply->deliver_reply.text;
    enum verdict v = (enum verdict)reply->deliver_reply.verdict;
    if (v == VERDICT_YES && a->away)
        look_at_vacation(a);
    if (v == VERDICT_YES)
        queue_attempt_finish(a, QUEUE_DONE, "delivered", STR(""));
    else if (v == VERDICT_NO || v == VERDICT_REFUSED)
        come_back(a, "5.2.0", "refused by delivery", text);
    else
        queue_attempt_finish(a, QUEUE_RETRY, v == VERDICT_FULL ? "mailbox full" : "not delivered", text);
}

static void give_back(struct queue_attempt *a, const struct grant *g)
{
    struct msg m = MSG_INIT(grant_drop);
    if (grant_is_none(g))
        return;
    m.grant_drop.grant = *g;
    rpc_tell(a->queue->directory, &m);
}

static void deliver(struct queue_attempt *a)
{
    struct queue *q = a->queue;
    struct err e = {0};
    bool missing = false;
    struct msg m = MSG_INIT(deliver_ask);
    AUTO_FD fd = queue_spool_read(&q->files, a->message.id, a->message.size, &missing, &e);
    if (fd < 0) {
        give_back(a, &a->grant);
        queue_attempt_finish(a, missing ? QUEUE_HOLD : QUEUE_RETRY, e.log, STR(""));
        return;
    }
    m.fd = fd;
    m.deliver_ask.grant = a->grant;
    m.deliver_ask.size = a->message.size;
    m.deliver_ask.session = a->message.session;
    m.deliver_ask.sender = a->message.sender;
    m.deliver_ask.original = a->recipient.original;
    a->rpc = q->deliver;
    a->call = rpc_call(q->deliver, &m, DELIVER_MS, on_delivered, a);
}

/* --- asking the directory --- */

static void take_leads(struct queue_attempt *a, const struct msg_targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->v[i].unknown)
            continue;
        struct queue_lead *l = ARENA_NEW(a->arena, struct queue_lead);
        l->recipient = (struct queue_recipient){
            .address = arena_str(a->arena, t->v[i].address), .original = a->recipient.original,
            .destination = STR(""), .orcpt = a->recipient.orcpt, .notify = a->recipient.notify,
            .route = t->v[i].remote ? QUEUE_REMOTE : QUEUE_LOCAL, .next_ms = queue_now_ms()};
        if (t->v[i].remote)
            l->recipient.destination = queue_destination_of(l->recipient.address);
        l->next = a->leads;
        a->leads = l;
        give_back(a, &t->v[i].grant);
    }
}

/* The reader of a report: an address as people know it, of ours or of another server. */
static void end_open(struct queue_attempt *a, const struct msg_resolve_reply *r)
{
    struct msg_target itself = {.address = a->recipient.address, .remote = true};
    struct msg_targets one = {&itself, 1};
    if (r->verdict == VERDICT_NOT_HERE && queue_destination_of(a->recipient.address).n)
        take_leads(a, &one);
    if (a->leads)
        queue_attempt_finish(a, QUEUE_EXPAND, "resolved", STR(""));
    else if (r->verdict == VERDICT_NO || r->verdict == VERDICT_NOT_HERE ||
             r->verdict == VERDICT_REFUSED)
        queue_attempt_finish(a, QUEUE_BOUNCE, "no such address", r->text);
    else
        queue_attempt_finish(a, QUEUE_RETRY, "the directory cannot say", r->text);
}

/* A mailbox leads to itself alone, or, when it has come to forward its mail only, to others. */
static void take_targets(struct queue_attempt *a, const struct msg_targets *t)
{
    if (a->targets == 0 && t->n == 1) {
        a->grant = t->v[0].grant;
        a->away = t->v[0].away;
        t->v[0].grant = (struct grant){0};
    }
    a->targets += (unsigned)t->n;
    take_leads(a, t);
}

static void on_resolved(void *arg, struct msg *reply)
{
    struct queue_attempt *a = arg;
    if (!reply || reply->type != MSG_resolve_reply) {
        queue_attempt_finish(a, QUEUE_RETRY, "the directory gave no answer", STR(""));
        return;
    }
    struct msg_resolve_reply *r = &reply->resolve_reply;
    if (a->recipient.route == QUEUE_OPEN)
        take_leads(a, &r->targets);
    else
        take_targets(a, &r->targets);
    if (r->more)
        return;
    if (a->recipient.route == QUEUE_OPEN) {
        end_open(a, r);
        return;
    }
    if (r->verdict == VERDICT_YES && a->targets == 1) {
        deliver(a);
        return;
    }
    give_back(a, &a->grant);
    if ((r->verdict == VERDICT_YES || r->verdict == VERDICT_REMOTE) && a->leads)
        queue_attempt_finish(a, QUEUE_EXPAND, "forwarded", STR(""));
    else if (r->verdict == VERDICT_NO || r->verdict == VERDICT_NOT_HERE)
        come_back(a, "5.1.1", "no such mailbox any more", r->text);
    else if (r->verdict == VERDICT_REFUSED)
        come_back(a, "5.2.1", "refused by the directory", r->text);
    else
        queue_attempt_finish(a, QUEUE_RETRY, "the directory cannot say", r->text);
}

struct queue_attempt *queue_attempt_new(struct queue *q, const struct queue_message *m,
                                        const struct queue_recipient *r)
{
    struct queue_attempt *a = MEM_NEW(struct queue_attempt);
    a->queue = q;
    a->arena = arena_new(512);
    a->message = *m;
    a->message.session = arena_str(a->arena, m->session);
    a->message.sender = arena_str(a->arena, m->sender);
    a->recipient = *r;
    a->recipient.address = arena_str(a->arena, r->address);
    a->recipient.original = arena_str(a->arena, r->original);
    a->recipient.destination = arena_str(a->arena, r->destination);
    a->recipient.orcpt = arena_str(a->arena, r->orcpt);
    a->message.envid = arena_str(a->arena, m->envid);
    a->recipient.error = STR("");
    map_put(q->in_flight, id_key(&a->recipient.id), a);
    if (is_remote(a))
        q->remote_attempts++;
    return a;
}

/* One mailbox is served. */
struct picking {
    struct queue *queue;
    struct lane *lane;
    bool found;
};

static bool start(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct picking *p = ctx;
    struct queue *q = p->queue;
    struct queue_attempt *a = queue_attempt_new(q, m, r);
    struct msg ask = MSG_INIT(resolve_ask);
    a->lane = p->lane;
    a->lane->jobs++;
    p->found = true;
    ask.resolve_ask.address = a->recipient.address;
    ask.resolve_ask.flags = r->route == QUEUE_OPEN ? RESOLVE_AUTHENTICATED : RESOLVE_FINAL;
    a->rpc = q->directory;
    a->call = rpc_call(q->directory, &ask, RESOLVE_MS, on_resolved, a);
    return true;
}

/* --- what is due --- */

static size_t local_attempts(const struct queue *q)
{
    return map_count(q->in_flight) - q->remote_attempts - q->waiting_local;
}

static bool is_free(void *ctx, uint64_t recipient)
{
    return !queue_is_in_flight(((struct picking *)ctx)->queue, recipient);
}

static void serve(struct queue *q, struct lane *lane, int64_t now)
{
    struct err e = {0};
    struct picking p = {q, lane, false};
    struct str name = str_from(lane->name);
    int64_t next = now;
    int r = queue_db_pick(q->db, false, name, now, 1, &lane->after, is_free, start, &p, &e);
    if (r == 0 && !p.found)
        r = queue_db_lane_next(q->db, false, name, now, &next, &e);
    if (r != 0)
        log_error("queue-read", LZ("why", e.log));
    lanes_put(&q->local, lane, r == 0 ? next : now + READ_AGAIN_MS);
}

static void pump_local(struct queue *q)
{
    int64_t now = queue_now_ms();
    struct lane *lane;
    while (local_attempts(q) < QUEUE_IN_FLIGHT_MAX && (lane = lanes_take(&q->local, now)) != NULL) {
        if (lane->jobs >= QUEUE_MAILBOX_MAX)
            lanes_park(lane);
        else
            serve(q, lane, now);
    }
}

static void set_alarm(struct queue *q)
{
    int64_t now = queue_now_ms(), wait = TICK_MS;
    int64_t next[2] = {lanes_next(&q->local), lanes_next(&q->remote)};
    for (int i = 0; i < 2; i++)
        if (next[i] > now && next[i] - now < wait) /* others wait for an attempt to end */
            wait = next[i] - now;
    struct timeval tv = {wait / 1000, (wait % 1000) * 1000 + 1000};
    event_add(q->wake, &tv);
}

void queue_retry_pump(struct queue *q)
{
    if (q->stopping && map_count(q->in_flight) == 0)
        program_stop(q->program, 0);
    if (q->stopping || !q->db || queue_db_is_broken(q->db) || !rpc_connected(q->directory) ||
        !rpc_connected(q->deliver))
        return;
    queue_remote_pump(q);
    pump_local(q);
    set_alarm(q);
}

/* --- lanes --- */

static void put_local(void *ctx, struct str lane, int64_t due_ms)
{
    lanes_due(&((struct queue *)ctx)->local, lane, due_ms);
}

static void put_remote(void *ctx, struct str lane, int64_t due_ms)
{
    lanes_due(&((struct queue *)ctx)->remote, lane, due_ms);
}

void queue_retry_load(struct queue *q)
{
    struct err e = {0};
    if (queue_db_lanes(q->db, false, put_local, q, &e) != 0 ||
        queue_db_lanes(q->db, true, put_remote, q, &e) != 0)
        log_error("queue-read", LZ("why", e.log));
}

void queue_is_due(struct queue *q, const struct queue_recipient *r, int64_t due_ms)
{
    bool remote = r->route == QUEUE_REMOTE;
    lanes_due(remote ? &q->remote : &q->local, remote ? r->destination : r->address, due_ms);
}

/* A wait that the clock's jump made longer than any pause can be ends now. */
static void unstick(struct queue *q)
{
    struct err e = {0};
    bool some = false;
    int64_t now = queue_now_ms();
    int64_t longest = q->cfg->maximal_backoff_time > q->cfg->minimal_backoff_time
                          ? q->cfg->maximal_backoff_time
                          : q->cfg->minimal_backoff_time;
    if (queue_db_begin(q->db, &e) != 0 ||
        queue_db_unstick(q->db, now, now + longest * 1000 + TICK_MS, &some, &e) != 0 ||
        queue_db_commit(q->db, &e) != 0) {
        queue_db_rollback(q->db);
        log_error("queue-clock", LZ("why", e.log));
    } else if (some) {
        queue_retry_load(q);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct queue *q = arg;
    (void)fd;
    (void)what;
    if (!q->db)
        return;
    unstick(q);
    if (!q->stopping)
        queue_remote_expire(q);
    if (q->waiting)
        queue_turn_soon(q);
    queue_retry_pump(q);
}

void queue_retry_init(struct queue *q)
{
    q->in_flight = map_new();
    q->wake = evtimer_new(q->program->base, on_wake, q);
    q->directory = rpc_new(q->program->base, QUEUE, DIRECTORY);
    q->deliver = rpc_new(q->program->base, QUEUE, DELIVER);
    q->relay = rpc_new(q->program->base, QUEUE, RELAY);
    lanes_init(&q->local);
    lanes_init(&q->remote);
}

bool queue_retry_stop(struct queue *q)
{
    size_t at = 0;
    struct str key;
    void *value;
    q->stopping = true;
    while (map_next(q->in_flight, &at, &key, &value)) {
        struct queue_attempt *a = value;
        if (a->call == 0 || a->rpc != q->directory)
            continue;
        rpc_cancel(a->rpc, a->call);
        attempt_free(q, a);
    }
    if (q->waiting)
        queue_turn_soon(q);
    return map_count(q->in_flight) > 0;
}

static void drop(void *value)
{
    struct queue_attempt *a = value;
    if (a->call)
        rpc_cancel(a->rpc, a->call);
    arena_free(a->arena);
    free(a);
}

void queue_retry_end(struct queue *q)
{
    map_free(q->in_flight, drop);
    q->finished = NULL;
    rpc_free(q->directory);
    rpc_free(q->deliver);
    rpc_free(q->relay);
    lanes_free(&q->local);
    lanes_free(&q->remote);
    if (q->wake)
        event_free(q->wake);
}
