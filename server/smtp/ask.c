/* Asking other programs on behalf of a session, which may end before the answer comes. */
#include "smtp/smtp.h"

#include <stdlib.h>

struct ask {
    struct session *s;
    struct ask *next, **link;
    struct rpc *rpc;
    uint64_t id;
    ask_fn fn;
    void *arg;
};

static void ask_free(struct ask *a)
{
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    free(a);
}

static bool more_follow(const struct msg *reply)
{
    return reply && reply->type == MSG_resolve_reply && reply->resolve_reply.more;
}

static void on_reply(void *arg, struct msg *reply)
{
    struct ask *a = arg;
    struct session *s = a->s;
    ask_fn fn = a->fn;
    void *fn_arg = a->arg;
    if (more_follow(reply)) {
        fn(s, fn_arg, reply);
        return;
    }
    ask_free(a);
    fn(s, fn_arg, reply);
    session_release(s);
}

void ask(struct session *s, struct rpc *rpc, struct msg *m, int64_t timeout_ms, ask_fn fn,
         void *arg)
{
    struct ask *a = MEM_NEW(struct ask);
    *a = (struct ask){.s = s, .rpc = rpc, .fn = fn, .arg = arg, .next = s->asks};
    a->link = &s->asks;
    if (a->next)
        a->next->link = &a->next;
    s->asks = a;
    session_hold(s);
    a->id = rpc_call(rpc, m, timeout_ms, on_reply, a);
}

/* An answer that comes after its session: the grants in it are nobody's. */
static void on_late_reply(void *arg, struct msg *reply)
{
    struct smtpd *d = arg;
    if (!reply)
        return;
    if (reply->type == MSG_auth_reply)
        grant_drop(d, &reply->auth_reply.grant);
    else if (reply->type == MSG_auth_step_reply)
        grant_drop(d, &reply->auth_step_reply.grant);
    else if (reply->type == MSG_resolve_reply)
        for (size_t i = 0; i < reply->resolve_reply.targets.n; i++)
            grant_drop(d, &reply->resolve_reply.targets.v[i].grant);
}

void ask_leave_all(struct session *s)
{
    while (s->asks) {
        rpc_abandon(s->asks->rpc, s->asks->id, on_late_reply, s->smtpd);
        ask_free(s->asks);
    }
}
