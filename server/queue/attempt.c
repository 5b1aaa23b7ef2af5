/* An attempt for one recipient, whichever way its mail goes: its beginning and its end. */
#include "base/clock.h"
#include "base/log.h"
#include "queue/backoff.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

static bool is_remote(const struct queue_attempt *a)
{
    return a->recipient.route == QUEUE_REMOTE;
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

void queue_attempt_free(struct queue *q, struct queue_attempt *a)
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

void queue_attempt_drop(void *value)
{
    struct queue_attempt *a = value;
    if (a->call)
        rpc_cancel(a->rpc, a->call);
    arena_free(a->arena);
    free(a);
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

void queue_attempt_settle(struct queue *q, struct queue_attempt *a)
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
    queue_attempt_free(q, a);
}
