/* Logins with a token. */
#include "directory/bearer.h"
#include "ipc/rpc.h"
#include "protocol/sasl/bearer.h"

#include <stdlib.h>

#define MARGIN_MS 2000 /* for the way to the filter program and back */

struct bearer {
    struct bearer *next, **at; /* among all */
    struct bearers *all;
    struct dirset *set;
    struct arena *arena;
    struct str mechanism;
    struct sasl_bearer said; /* its token is a view of the one below */
    struct secret token;
    struct str claimed; /* the entry of whom the client says it is; empty: none */
    struct str user;    /* for the log */
    bool known_ip;
    unsigned char ip[16];
    struct guard_try try;
    exchange_fn fn;
    void *arg;
};

struct bearers {
    struct rpc *filter;
    struct bearer *first;
};

/* --- ends --- */

static void destroy(struct bearer *b)
{
    *b->at = b->next;
    if (b->next)
        b->next->at = b->at;
    secret_free(&b->token);
    dirset_release(b->set);
    arena_free(b->arena);
    free(b);
}

static void finish(struct bearer *b, const struct login_result *r, struct str data)
{
    struct exchange_reply reply = {.data = data, .user = b->user, .login = r};
    guard_forgive(b->set->guard, &b->try); /* nobody has said that it was wrong */
    b->fn(b->arg, &reply);
    destroy(b);
}

static void cannot_say(struct bearer *b, const char *why)
{
    finish(b, &(struct login_result){.verdict = VERDICT_CANNOT_SAY, .why = why}, (struct str){0});
}

/* r: a "no". */
static void refuse(struct bearer *b, enum sasl_bearer_fault fault, const struct login_result *r)
{
    const struct config_list *scope = &b->set->cfg->oauth2_scope;
    AUTO_BUF words = {0}, data = {0};
    for (size_t i = 0; i < scope->n; i++)
        buf_printf(&words, "%s%.*s", i ? " " : "", STR_FMT(scope->v[i]));
    sasl_bearer_refuse(&data, b->mechanism, fault, buf_view(&words));
    finish(b, r, buf_view(&data));
}

static void refuse_wrong(struct bearer *b, enum sasl_bearer_fault fault, const char *why)
{
    guard_wrong(b->set->guard, &b->try);
    refuse(b, fault, &(struct login_result){.verdict = VERDICT_NO, .why = why});
}

/* --- whose the token is --- */

static struct str folded(struct bearer *b, struct str dn)
{
    struct str normal = name_dn(b->arena, dn);
    return normal.n ? normal : dn;
}

static void on_found(void *arg, const struct login_result *r)
{
    struct bearer *b = arg;
    bool is_claimed = b->said.user[0] == '\0' || str_eq(b->claimed, folded(b, r->box.dn));
    if (r->verdict == VERDICT_YES && !is_claimed) {
        refuse_wrong(b, SASL_BEARER_TOKEN, "the token is another user's");
    } else if (r->verdict == VERDICT_NO) {
        refuse(b, SASL_BEARER_TOKEN, r);
    } else {
        if (r->verdict == VERDICT_YES)
            guard_right(b->set->guard, &b->try);
        finish(b, r, (struct str){0});
    }
}

static void on_introspected(void *arg, struct msg *m)
{
    struct bearer *b = arg;
    const struct msg_introspect_reply *r = m ? &m->introspect_reply : NULL;
    const char *why = r ? arena_strz(b->arena, r->text) : "the filter program does not answer";
    if (!r || r->verdict == VERDICT_CANNOT_SAY) {
        cannot_say(b, why);
    } else if (r->verdict != VERDICT_YES) {
        refuse_wrong(b, r->lacks_scope ? SASL_BEARER_SCOPE : SASL_BEARER_TOKEN, why);
    } else {
        struct str name = arena_str(b->arena, r->user);
        if (b->user.n == 0)
            b->user = name;
        login_vouched(b->set, name, b->known_ip ? b->ip : NULL, on_found, b);
    }
}

static void introspect(struct bearer *b)
{
    struct msg m = MSG_INIT(introspect_ask);
    m.introspect_ask.token = b->said.token;
    rpc_call(b->all->filter, &m, b->set->cfg->oauth2_timeout * 1000 + MARGIN_MS, on_introspected, b);
}

/* --- whom the client says it is --- */

/* The entry is looked for in any case: it tells whether the token is that user's. */
static void on_may_try(void *arg, const struct login_result *r)
{
    struct bearer *b = arg;
    if (r->verdict == VERDICT_NO) {
        refuse(b, SASL_BEARER_TOKEN, r);
    } else if (r->verdict != VERDICT_YES) {
        finish(b, r, (struct str){0});
    } else {
        b->claimed = arena_str(b->arena, folded(b, r->box.dn));
        introspect(b);
    }
}

/* --- the beginning --- */

bool bearer_is_offered(const struct dirset *set, struct str mechanism)
{
    return set && set->cfg->oauth2_introspection_url.n && sasl_is_bearer(mechanism);
}

static struct bearer *add(struct bearers *all, struct dirset *set, const struct exchange_step *step,
                          exchange_fn fn, void *arg)
{
    struct bearer *b = MEM_NEW(struct bearer);
    *b = (struct bearer){.all = all, .set = dirset_hold(set), .next = all->first, .at = &all->first,
                         .arena = arena_new(1024), .known_ip = step->ip != NULL, .fn = fn,
                         .arg = arg};
    if (step->ip)
        memcpy(b->ip, step->ip, sizeof b->ip);
    b->mechanism = arena_str(b->arena, step->mechanism);
    if (b->next)
        b->next->at = &b->next;
    all->first = b;
    return b;
}

void bearer_run(struct bearers *all, struct dirset *set, const struct exchange_step *step,
                exchange_fn fn, void *arg)
{
    struct bearer *b = add(all, set, step, fn, arg);
    struct str said = step->data ? *step->data : (struct str){"", 0};
    struct err e = {0};
    if (sasl_bearer_parse(b->mechanism, said, &b->said, &e) != 0) {
        refuse(b, SASL_BEARER_REQUEST, &(struct login_result){.verdict = VERDICT_NO, .why = e.log});
        return;
    }
    b->token = secret_copy(b->said.token);
    b->said.token = (struct str){b->token.p, b->token.n};
    b->user = str_from(b->said.user);
    if (!b->token.p)
        cannot_say(b, "no guarded memory");
    else if (b->user.n == 0)
        introspect(b);
    else
        login_may_try(b->set, b->user, b->known_ip ? b->ip : NULL, &b->try, on_may_try, b);
}

/* --- all --- */

void bearers_link(struct bearers *all, int fd)
{
    rpc_link(all->filter, 0, fd);
}

struct bearers *bearers_new(struct event_base *base)
{
    struct bearers *all = MEM_NEW(struct bearers);
    all->filter = rpc_new(base, DIRECTORY, FILTER);
    return all;
}

void bearers_free(struct bearers *all)
{
    if (!all)
        return;
    rpc_free(all->filter);
    while (all->first)
        destroy(all->first);
    free(all);
}
