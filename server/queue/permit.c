/*
 * May this mail go to other servers? smtp says so, and is not trusted: a login grant must stand
 * behind the sender, or mynetworks must hold the client (whose address is smtp's word), or a grant of
 * the directory must stand behind the recipient (an alias of ours that leads there, a domain that we
 * relay for). A grant that nobody knows any more is "cannot say": the directory may have started anew.
 */
#include "config/rules.h"
#include "queue/queue.h"

#include <stdlib.h>
#include <unistd.h>

#define ASK_MS 60000

struct queue_permit {
    struct queue_permit *next, **link;
    struct queue_client *client;
    struct arena *arena;
    struct msg m;
    queue_permit_fn fn;
    void *arg;
    size_t pending; /* answers to come, and one while asking */
    enum verdict verdict;
    const char *why;
};

struct look {
    struct queue_permit *permit;
    struct str address; /* what the grant must be for; empty: any login */
};

static void permit_free(struct queue_permit *p)
{
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    arena_free(p->arena);
    free(p);
}

static void answered(struct queue_permit *p)
{
    if (--p->pending > 0)
        return;
    struct queue_client *c = p->client;
    queue_permit_fn fn = p->fn;
    void *arg = p->arg;
    enum verdict verdict = p->verdict;
    const char *why = p->why;
    permit_free(p);
    fn(c, arg, verdict, why);
    queue_client_release(c);
}

/* The worst answer counts: what may never be outweighs what cannot be said now. */
static void note(struct queue_permit *p, enum verdict v, const char *why)
{
    if (v == VERDICT_YES || p->verdict == VERDICT_REFUSED)
        return;
    p->verdict = v;
    p->why = why;
}

static void on_sender(void *arg, struct msg *reply)
{
    struct queue_permit *p = arg;
    enum verdict v = reply && reply->type == MSG_sender_reply
                         ? (enum verdict)reply->sender_reply.verdict
                         : VERDICT_CANNOT_SAY;
    if (v == VERDICT_NO)
        note(p, VERDICT_REFUSED, "the sender does not belong to the login");
    else if (v != VERDICT_YES)
        note(p, VERDICT_CANNOT_SAY, "the directory cannot say whose the sender is");
    answered(p);
}

static void on_redeemed(void *arg, struct msg *reply)
{
    struct look *l = arg;
    struct queue_permit *p = l->permit;
    const struct msg_redeem_reply *r =
        reply && reply->type == MSG_redeem_reply ? &reply->redeem_reply : NULL;
    if (!r || r->verdict != VERDICT_YES)
        note(p, VERDICT_CANNOT_SAY, "nobody vouches for the grant");
    else if (!str_eq(r->address, l->address))
        note(p, VERDICT_REFUSED, "the grant is for another address");
    else if (r->sender.n && p->m.enqueue_ask.sender.n &&
             !str_eq(r->sender, p->m.enqueue_ask.sender))
        note(p, VERDICT_REFUSED, "the grant is for a mailing list's own sender");
    answered(p);
}

static void redeem(struct queue_permit *p, const struct grant *g, struct str address, uint8_t use)
{
    struct msg m = MSG_INIT(redeem_ask);
    struct look *l = ARENA_NEW(p->arena, struct look);
    *l = (struct look){p, address};
    m.redeem_ask.grant = *g;
    m.redeem_ask.use = use;
    p->pending++;
    rpc_call(p->client->queue->directory, &m, ASK_MS, on_redeemed, l);
}

/* permit_mynetworks, where the restrictions have it; the client's address is smtp's word. */
static bool is_trusted(const struct config *c, struct str client)
{
    struct config_network net;
    return rule_permits_mynetworks(c->smtpd_relay_restrictions,
                                   c->smtpd_recipient_restrictions) &&
           config_network_parse(client, &net) == 0 && net.bits == 128 &&
           config_network_match(&c->mynetworks, net.addr);
}

/* <> is for receipts (RFC 8098), and belongs to every login; a login grant names no address. */
static void ask_login(struct queue_permit *p)
{
    struct queue *q = p->client->queue;
    const struct msg_enqueue_ask *ask = &p->m.enqueue_ask;
    struct msg m = MSG_INIT(sender_ask);
    if (grant_is_none(&ask->grant)) {
        if (!is_trusted(q->cfg, ask->client))
            note(p, VERDICT_REFUSED, "nobody has logged in, and mynetworks lacks the client");
        return;
    }
    if (ask->sender.n == 0 || !q->cfg->reject_sender_login_mismatch) {
        redeem(p, &ask->grant, (struct str){"", 0}, REDEEM_LOOK);
        return;
    }
    m.sender_ask.grant = ask->grant;
    m.sender_ask.address = ask->sender;
    m.sender_ask.said = ask->said;
    p->pending++;
    rpc_call(q->directory, &m, ASK_MS, on_sender, p);
}

static struct queue_permit *permit_new(struct queue_client *c, struct msg *m, queue_permit_fn fn,
                                       void *arg)
{
    struct queue *q = c->queue;
    struct queue_permit *p = MEM_NEW(struct queue_permit);
    *p = (struct queue_permit){.next = q->permits, .link = &q->permits, .client = c, .fn = fn, .arg = arg,
                               .pending = 1, .verdict = VERDICT_YES, .why = ""};
    if (p->next)
        p->next->link = &p->next;
    q->permits = p;
    c->entries++;
    p->arena = arena_new(2048);
    p->m = *m;
    struct msg_enqueue_ask *ask = &p->m.enqueue_ask;
    ask->session = arena_str(p->arena, ask->session);
    ask->sender = arena_str(p->arena, ask->sender);
    ask->said = arena_str(p->arena, ask->said);
    ask->client = arena_str(p->arena, ask->client);
    struct msg_recipient *v = arena_array(p->arena, ask->recipients.n, sizeof *v);
    for (size_t i = 0; i < ask->recipients.n; i++)
        v[i] = (struct msg_recipient){.address = arena_str(p->arena, ask->recipients.v[i].address),
                                      .grant = ask->recipients.v[i].grant};
    ask->recipients.v = v;
    return p;
}

void queue_permit_ask(struct queue_client *c, struct msg *m, queue_permit_fn fn, void *arg)
{
    struct queue_permit *p = permit_new(c, m, fn, arg);
    const struct msg_recipients *to = &p->m.enqueue_ask.recipients;
    bool by_login = false;
    for (size_t i = 0; i < to->n; i++) {
        if (grant_is_none(&to->v[i].grant))
            by_login = true;
        else
            redeem(p, &to->v[i].grant, to->v[i].address, REDEEM_LOOK);
    }
    if (by_login)
        ask_login(p);
    answered(p);
}

void queue_permit_end(struct queue *q)
{
    while (q->permits) {
        struct queue_client *c = q->permits->client;
        permit_free(q->permits);
        queue_client_release(c);
    }
}
