/*
 * MTA-STS policies (RFC 8461) of other domains: the relay program fetches them and has no files, so
 * they are kept here, beside the mail that they are about. A policy that was forgotten at a restart
 * would let whoever controls the network at that moment turn off the TLS that a domain demands
 * (section 10.2). They mean nothing to this program.
 */
#include "base/log.h"
#include "queue/queue.h"

#include <stdlib.h>

#define AT_ONCE 64 /* in one commit */
#define MODES 3    /* enum sts_mode has that many */

struct queue_kept {
    struct queue_kept *next;
    struct arena *arena;
    struct queue_policy policy;
};

void queue_policy_take(struct queue *q, const struct msg_sts_policy *m)
{
    if (!q->db || m->domain.n == 0 || !str_is_graph(m->domain) || !str_is_graph(m->policy_id) ||
        !str_is_text(m->mx) || m->mode >= MODES || m->expires_ms > INT64_MAX ||
        m->fetched_ms > INT64_MAX) {
        log_warning("queue-policy", LZ("why", "the relay program said what is no policy"));
        return;
    }
    struct arena *a = arena_new(512);
    struct queue_kept *k = ARENA_NEW(a, struct queue_kept);
    *k = (struct queue_kept){
        .arena = a,
        .policy = {.domain = arena_str(a, m->domain), .id = arena_str(a, m->policy_id),
                   .mx = arena_str(a, m->mx), .mode = m->mode,
                   .fetched_ms = (int64_t)m->fetched_ms, .expires_ms = (int64_t)m->expires_ms}};
    if (q->policies)
        *q->last_policy = k;
    else
        q->policies = k;
    q->last_policy = &k->next;
    if (++q->policy_count >= AT_ONCE)
        queue_turn_now(q);
    else
        queue_turn_soon(q);
}

int queue_policies_write(struct queue *q, struct err *e)
{
    for (const struct queue_kept *k = q->policies; k; k = k->next)
        if (queue_db_keep_policy(q->db, &k->policy, queue_now_ms(), e) != 0)
            return -1;
    return 0;
}

void queue_policies_forget(struct queue *q)
{
    while (q->policies) {
        struct queue_kept *k = q->policies;
        q->policies = k->next;
        arena_free(k->arena);
    }
    q->policy_count = 0;
}

static void tell(void *ctx, const struct queue_policy *p)
{
    struct queue *q = ctx;
    struct msg m = MSG_INIT(sts_policy);
    m.sts_policy.domain = p->domain;
    m.sts_policy.policy_id = p->id;
    m.sts_policy.mode = p->mode;
    m.sts_policy.fetched_ms = (uint64_t)p->fetched_ms;
    m.sts_policy.expires_ms = (uint64_t)p->expires_ms;
    m.sts_policy.mx = p->mx;
    rpc_tell(q->relay, &m);
}

void queue_policies_tell(struct queue *q)
{
    struct err e = {0};
    if (q->db && queue_db_policies(q->db, queue_now_ms(), tell, q, &e) != 0)
        log_error("queue-read", LZ("why", e.log));
}
