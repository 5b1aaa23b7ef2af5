/*
 * Failures of members of a mailing list wait for the outcome of the other members who are being tried
 * now, so that the list's owner gets one report of all. They stay in the database as they were
 * meanwhile: a queue that ends tries them anew.
 */
#include "queue/queue.h"

#define LONGEST_MS 60000 /* a slow server holds up no report for longer */

bool queue_wait_take(struct queue_attempt *a)
{
    struct queue *q = a->queue;
    if (a->say != QUEUE_SAY_FAILED || !(a->message.flags & QUEUE_LIST) || q->stopping)
        return false;
    if (a->lane) {
        lanes_job_over(&q->local, a->lane, queue_now_ms());
        a->lane = NULL;
    }
    q->waiting_local += a->recipient.route != QUEUE_REMOTE;
    a->waits_since_ms = queue_now_ms();
    a->next = q->waiting;
    q->waiting = a;
    return true;
}

static bool is_being_tried(struct queue *q, uint64_t message)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(q->in_flight, &at, &key, &value)) {
        const struct queue_attempt *a = value;
        if (a->message.id == message && !a->ended)
            return true;
    }
    return false;
}

static bool is_free(void *ctx, uint64_t recipient)
{
    return !queue_is_in_flight(ctx, recipient);
}

/* Nobody else of that message is tried now, or the first of these has waited for long enough. */
static bool is_ripe(struct queue *q, const struct queue_attempt *a)
{
    struct err ignored = {0};
    int64_t now = queue_now_ms();
    bool due = false;
    if (q->stopping || now < a->waits_since_ms || now - a->waits_since_ms >= LONGEST_MS)
        return true;
    if (is_being_tried(q, a->message.id))
        return false;
    return queue_db_has_due(q->db, a->message.id, now, is_free, q, &due, &ignored) != 0 || !due;
}

static void release(struct queue *q, uint64_t message)
{
    for (struct queue_attempt **at = &q->waiting; *at;) {
        struct queue_attempt *a = *at;
        if (a->message.id != message) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        q->waiting_local -= a->recipient.route != QUEUE_REMOTE;
        a->next = q->finished;
        q->finished = a;
    }
}

/* The oldest of a message stands last: where that is ripe, all of it are. */
void queue_wait_release(struct queue *q)
{
    for (struct queue_attempt *a = q->waiting, *next; a; a = next) {
        bool last = true;
        for (struct queue_attempt *b = a->next; b && last; b = b->next)
            last = b->message.id != a->message.id;
        next = a->next;
        if (last && is_ripe(q, a))
            release(q, a->message.id);
    }
}
