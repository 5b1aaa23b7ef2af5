/*
 * Putting the parts of an enqueue_ask together: a message with many recipients comes in several asks
 * of one session, one behind the other, and is taken as a whole or not at all. What one part is
 * refused for, all are.
 */
#include "base/log.h"
#include "queue/backoff.h"
#include "queue/queue.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define GATHERED_MAX 2000         /* of one SMTP program at once */
#define RECIPIENTS_MAX 1000000    /* of one message */
#define PARTS_MAX 100000          /* of messages without their end, of one SMTP program */

void queue_entry_free(struct queue_entry *n)
{
    struct queue_client *c = n->client;
    if (n->link) {
        *n->link = n->next_gathered;
        if (n->next_gathered)
            n->next_gathered->link = n->link;
    }
    fd_closep(&n->fd);
    fd_closep(&n->body);
    arena_free(n->arena);
    free(n->recipients);
    free(n);
    queue_client_release(c);
}

/* Those that are whole wait for a permit, and are found no more. */
static struct queue_entry *find(struct queue_client *c, const struct msg_enqueue_ask *ask)
{
    for (struct queue_entry *n = c->gathered; n; n = n->next_gathered)
        if (!n->whole && n->letter == ask->letter && str_eq(n->message.session, ask->session))
            return n;
    return NULL;
}

static struct queue_entry *entry_new(struct queue_client *c, struct msg *m)
{
    const struct msg_enqueue_ask *ask = &m->enqueue_ask;
    struct queue_entry *n = MEM_NEW(struct queue_entry);
    *n = (struct queue_entry){.client = c, .arena = arena_new(1024), .fd = -1, .body = m->fd,
                              .verdict = VERDICT_YES, .next_gathered = c->gathered,
                              .link = &c->gathered};
    m->fd = -1;
    if (n->next_gathered)
        n->next_gathered->link = &n->next_gathered;
    c->gathered = n;
    c->entries++;
    n->letter = ask->letter;
    n->prefix = arena_str(n->arena, ask->prefix);
    n->message = (struct queue_message){
        .created_ms = queue_now_ms(), .size = ask->prefix.n + ask->size, .ret = ask->ret,
        .flags = ask->letter ? QUEUE_LIST : 0,
        .session = arena_str(n->arena, ask->session), .sender = arena_str(n->arena, ask->sender),
        .envid = arena_str(n->arena, ask->envid)};
    return n;
}

/* The worst answer counts: what may never be outweighs what cannot be said now. */
static void refuse(struct queue_entry *n, enum verdict v, const char *why)
{
    if (v == VERDICT_YES || n->verdict == VERDICT_REFUSED)
        return;
    n->verdict = v;
    snprintf(n->why, sizeof n->why, "%s", why);
}

/* --- recipients --- */

static struct queue_recipient recipient_of(struct queue_entry *n, const struct msg_recipient *r)
{
    return (struct queue_recipient){.address = arena_str(n->arena, r->address),
                                    .original = arena_str(n->arena, r->original),
                                    .orcpt = arena_str(n->arena, r->orcpt), .notify = r->notify,
                                    .destination = STR("")};
}

/* The sender hears of it at once; nothing waits. */
static void add_done(struct queue_entry *n, const struct msg_recipient *r)
{
    static const struct {
        enum queue_say say;
        const char *status, *why;
    } table[] = {
        [RECIPIENT_DELIVERED] = {QUEUE_SAY_DELIVERED, "2.0.0", "delivered to the mailbox"},
        [RECIPIENT_EXPANDED] = {QUEUE_SAY_EXPANDED, "2.0.0", "the address stands for several others, and "
                                                             "each of them is seen to"},
        [RECIPIENT_LOOPS] = {QUEUE_SAY_FAILED, "5.4.6", "the mail goes in a circle: it has been in this "
                                                        "mailbox already"},
        [RECIPIENT_UNKNOWN] = {QUEUE_SAY_FAILED, "5.1.1", "there is no such address"},
    };
    struct queue_attempt *a = ARENA_NEW(n->arena, struct queue_attempt);
    a->recipient = recipient_of(n, r);
    a->say = table[r->done].say;
    snprintf(a->status, sizeof a->status, "%s", table[r->done].status);
    snprintf(a->why, sizeof a->why, "%s", table[r->done].why);
    if (!queue_wants(n->message.sender, r->notify, a->say))
        return;
    a->next = n->done;
    n->done = a;
}

static void add_open(struct queue *q, struct queue_entry *n, const struct msg_recipient *r,
                     uint32_t flags)
{
    if (n->count == n->cap) {
        n->cap = n->cap ? 2 * n->cap : 4;
        n->recipients = mem_grow(n->recipients, n->cap, sizeof *n->recipients);
    }
    struct queue_recipient *to = &n->recipients[n->count++];
    *to = recipient_of(n, r);
    to->next_ms = n->message.created_ms;
    if (!(flags & ENQUEUE_NOW))
        to->next_ms += queue_backoff_ms(q->cfg->minimal_backoff_time, q->cfg->maximal_backoff_time,
                                        0, randombytes_random());
    if (flags & ENQUEUE_HOLD) {
        to->state = QUEUE_HELD;
        to->error = STR("held when it was taken");
    }
    if (flags & ENQUEUE_REMOTE) {
        to->route = QUEUE_REMOTE;
        to->destination = queue_destination_of(to->address);
    }
}

static void add_part(struct queue *q, struct queue_entry *n, const struct msg_enqueue_ask *ask)
{
    n->message.flags |= ask->flags & (ENQUEUE_NOW | ENQUEUE_REMOTE | ENQUEUE_SMTPUTF8);
    if (n->count + ask->recipients.n > RECIPIENTS_MAX) {
        refuse(n, VERDICT_REFUSED, "too many recipients");
        return;
    }
    for (size_t i = 0; i < ask->recipients.n; i++) {
        if (ask->recipients.v[i].done != RECIPIENT_OPEN)
            add_done(n, &ask->recipients.v[i]);
        else
            add_open(q, n, &ask->recipients.v[i], ask->flags);
    }
}

/* --- parts --- */

static void go_on(struct queue_client *c, struct queue_entry *n)
{
    if (!n->whole || n->permits)
        return;
    *n->link = n->next_gathered;
    if (n->next_gathered)
        n->next_gathered->link = n->link;
    n->link = NULL;
    c->gathered_count--;
    c->parts -= n->asks;
    queue_take_whole(c->queue, n);
}

static void on_permit(struct queue_client *c, void *arg, enum verdict verdict, const char *why)
{
    struct queue_entry *n = arg;
    n->permits--;
    refuse(n, verdict, why);
    go_on(c, n);
}

void queue_gather(struct queue_client *c, struct msg *m, enum verdict v, const char *why)
{
    const struct msg_enqueue_ask *ask = &m->enqueue_ask;
    struct queue_entry *n = find(c, ask);
    if (++c->parts > PARTS_MAX) {
        log_error("queue-parts", LS("session", ask->session),
                  LZ("why", "its SMTP program leaves too many parts without their end"));
        c->parts--;
        channel_fail(c->ch);
        return;
    }
    if (!n) {
        n = entry_new(c, m);
        if (++c->gathered_count > GATHERED_MAX)
            refuse(n, VERDICT_CANNOT_SAY, "too many messages at once");
    }
    if (ask->part != n->asks++)
        refuse(n, VERDICT_CANNOT_SAY, "a part of it is missing");
    n->ask_id = ask->id;
    n->whole = !ask->more;
    refuse(n, v, why);
    if (n->verdict == VERDICT_YES)
        add_part(c->queue, n, ask);
    n->permits++; /* ours: an answer that comes at once does not end it yet */
    if (n->verdict == VERDICT_YES && (ask->flags & ENQUEUE_REMOTE)) {
        n->permits++;
        queue_permit_ask(c, m, on_permit, n);
    }
    n->permits--;
    go_on(c, n);
}

/* The SMTP program is gone: what it had not said to its end is nobody's. */
void queue_gather_leave(struct queue_client *c)
{
    struct queue_entry *n = c->gathered;
    c->entries++;
    while (n) {
        struct queue_entry *next = n->next_gathered;
        if (!n->whole) {
            n->whole = true;
            refuse(n, VERDICT_CANNOT_SAY, "its SMTP program ended");
            go_on(c, n);
        }
        n = next;
    }
    c->entries--;
}

void queue_gather_end(struct queue_client *c)
{
    while (c->gathered)
        queue_entry_free(c->gathered);
}
