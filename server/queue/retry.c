/*
 * When mail is tried: the lanes with something due, the alarm for what comes next, and the clock.
 * Nothing is written before an attempt: after a crash it is made again.
 */
#include "base/log.h"
#include "queue/queue.h"

#define TICK_MS 60000      /* the longest sleep, for clocks that jump */
#define READ_AGAIN_MS 2000 /* after the database could not be read */

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
    queue_local_pump(q);
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

void queue_lane_rest(struct queue *q, bool remote, struct lane *lane, int64_t now, int r, struct err *e)
{
    int64_t next;
    if (r == 0)
        r = queue_db_lane_next(q->db, remote, str_from(lane->name), now, &next, e);
    if (r != 0) {
        log_error("queue-read", LZ("why", e->log));
        next = now + READ_AGAIN_MS;
    }
    lanes_put(remote ? &q->remote : &q->local, lane, next);
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
        queue_attempt_free(q, a);
    }
    if (q->waiting)
        queue_turn_soon(q);
    return map_count(q->in_flight) > 0;
}

void queue_retry_end(struct queue *q)
{
    map_free(q->in_flight, queue_attempt_drop);
    q->finished = NULL;
    rpc_free(q->directory);
    rpc_free(q->deliver);
    rpc_free(q->relay);
    lanes_free(&q->local);
    lanes_free(&q->remote);
    if (q->wake)
        event_free(q->wake);
}
