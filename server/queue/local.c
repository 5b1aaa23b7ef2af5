/*
 * Mail for mailboxes of ours: for every recipient that is due, ask the directory where its mailbox
 * is now, and hand the message with the grant to a delivery worker.
 *
 * Mailboxes take turns, with a bounded number of attempts at once and only a few of them into one
 * mailbox, so that one slow mailbox, or one with much mail, does not hold up the others.
 */
#include "queue/queue.h"

#include <stdio.h>

#define RESOLVE_MS 60000
#define DELIVER_MS 600000 /* as long as the grant is valid */

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
        queue_attempt_finish(a, QUEUE_RETRY, v == VERDICT_FULL ? "mailbox full" : "not delivered",
                             text);
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

/* --- what is due --- */

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
    int r = queue_db_pick(q->db, false, str_from(lane->name), now, 1, &lane->after, is_free, start, &p, &e);
    if (p.found)
        lanes_put(&q->local, lane, now);
    else
        queue_lane_rest(q, false, lane, now, r, &e);
}

void queue_local_pump(struct queue *q)
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
