/* Pairing replies with asks. */
#include "ipc/rpc.h"
#include "base/log.h"
#include "base/map.h"

#include <stdlib.h>

#define LINKS_MAX 128

struct rpc_link {
    struct rpc *rpc;
    struct channel *ch;
    size_t under_way;
};

struct call {
    struct rpc *rpc;
    uint64_t id;
    struct rpc_link *link; /* NULL: never sent */
    enum msg_type asked;
    rpc_fn fn;
    void *arg;
    struct event *timer;
};

struct rpc {
    struct event_base *base;
    unsigned self, peer;
    struct rpc_link links[LINKS_MAX];
    unsigned next; /* where the search for the least busy link starts */
    uint64_t last_id;
    struct map *calls;
    rpc_fn told;
    void *told_arg;
};

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

static void call_free(void *arg)
{
    struct call *c = arg;
    if (c->link)
        c->link->under_way--;
    event_free(c->timer);
    free(c);
}

static void call_end(struct call *c, struct msg *reply)
{
    rpc_fn fn = c->fn;
    void *arg = c->arg;
    map_take(c->rpc->calls, id_key(&c->id));
    call_free(c);
    fn(arg, reply);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    call_end(arg, NULL);
}

static bool more_follow(const struct msg *m)
{
    return (m->type == MSG_resolve_reply && m->resolve_reply.more) ||
           (m->type == MSG_relay_reply && m->relay_reply.more);
}

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    struct rpc_link *link = arg;
    uint64_t id = msg_id(m);
    struct call *c = map_get(link->rpc->calls, id_key(&id));
    if (id == 0 && link->rpc->told)
        link->rpc->told(link->rpc->told_arg, m);
    if (!c || c->link != link)
        return; /* cancelled, or timed out */
    if (m->type == MSG_unread) {
        call_end(c, NULL);
        return;
    }
    if (!msg_answers(m->type, c->asked)) {
        log_error("ipc-wrong-answer", LZ("from", program_name(link->rpc->peer)),
                  LZ("asked", msg_name(c->asked)), LZ("answer", msg_name(m->type)));
        channel_fail(ch);
        return;
    }
    if (more_follow(m))
        c->fn(c->arg, m);
    else
        call_end(c, m);
}

/* A call of that link no younger than last, or NULL. */
static struct call *find_call(const struct rpc_link *link, uint64_t last)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(link->rpc->calls, &at, &key, &value)) {
        struct call *c = value;
        if (c->link == link && c->id <= last)
            return c;
    }
    return NULL;
}

/* Answers every call of the link with NULL; a callback may start new calls, so look anew each time,
 * and leave those alone: they go over the channel that has taken the place of this one. */
static void drop_calls(struct rpc_link *link)
{
    uint64_t last = link->rpc->last_id;
    struct call *c;
    while (link->under_way && (c = find_call(link, last)) != NULL)
        call_end(c, NULL);
}

static void on_close(struct channel *ch, void *arg)
{
    struct rpc_link *link = arg;
    log_warning("ipc-lost", LZ("peer", program_name(link->rpc->peer)));
    if (link->ch == ch)
        link->ch = NULL;
    drop_calls(link);
    channel_free(ch);
}

static const struct channel_ops link_ops = {on_message, on_close};

struct rpc *rpc_new(struct event_base *base, unsigned self, unsigned peer)
{
    struct rpc *r = MEM_NEW(struct rpc);
    *r = (struct rpc){.base = base, .self = self, .peer = peer};
    for (unsigned i = 0; i < LINKS_MAX; i++)
        r->links[i].rpc = r;
    r->calls = map_new();
    return r;
}

void rpc_free(struct rpc *r)
{
    if (!r)
        return;
    map_free(r->calls, call_free);
    for (unsigned i = 0; i < LINKS_MAX; i++)
        channel_free(r->links[i].ch);
    free(r);
}

void rpc_link(struct rpc *r, unsigned index, int fd)
{
    if (index >= LINKS_MAX) {
        fd_closep(&fd);
        return;
    }
    struct rpc_link *link = &r->links[index];
    struct channel *old = link->ch;
    link->ch = channel_new(r->base, fd, r->self, r->peer, &link_ops, link);
    if (old) {
        drop_calls(link);
        channel_free(old);
    }
}

static struct rpc_link *least_busy(struct rpc *r)
{
    struct rpc_link *best = NULL;
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        struct rpc_link *l = &r->links[(r->next + i) % LINKS_MAX];
        if (l->ch && (!best || l->under_way < best->under_way))
            best = l;
    }
    if (best)
        r->next = (unsigned)(best - r->links + 1) % LINKS_MAX;
    return best;
}

uint64_t rpc_call(struct rpc *r, struct msg *m, int64_t timeout_ms, rpc_fn fn, void *arg)
{
    struct call *c = MEM_NEW(struct call);
    *c = (struct call){.rpc = r, .id = ++r->last_id, .asked = m->type, .fn = fn, .arg = arg};
    msg_set_id(m, c->id);
    c->timer = evtimer_new(r->base, on_timer, c);
    map_put(r->calls, id_key(&c->id), c);
    struct rpc_link *link = least_busy(r);
    if (!link || channel_send(link->ch, m) != 0) {
        timeout_ms = 0;
    } else {
        c->link = link;
        link->under_way++;
    }
    struct timeval tv = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    event_add(c->timer, &tv);
    return c->id;
}

void rpc_cancel(struct rpc *r, uint64_t id)
{
    struct call *c = map_take(r->calls, id_key(&id));
    if (c)
        call_free(c);
}

void rpc_abandon(struct rpc *r, uint64_t id, rpc_fn fn, void *arg)
{
    struct call *c = map_get(r->calls, id_key(&id));
    if (!c)
        return;
    c->fn = fn;
    c->arg = arg;
}

void rpc_tell(struct rpc *r, struct msg *m)
{
    struct rpc_link *link = least_busy(r);
    if (link)
        channel_send(link->ch, m);
}

void rpc_on_told(struct rpc *r, rpc_fn fn, void *arg)
{
    r->told = fn;
    r->told_arg = arg;
}

size_t rpc_under_way(const struct rpc *r)
{
    return map_count(r->calls);
}

bool rpc_connected(const struct rpc *r)
{
    for (unsigned i = 0; i < LINKS_MAX; i++)
        if (r->links[i].ch)
            return true;
    return false;
}
