/* libunbound in an event loop. */
#include "relay/dns.h"
#include "base/log.h"
#include "relay/route.h"

#include <stdlib.h>
#include <unbound.h>

#define ASK_S 60
#define RECORDS_MAX 100

struct dns {
    struct ub_ctx *ctx;
    struct event_base *base;
    struct event *readable;
    struct dns_ask *asks;
};

struct dns_ask {
    struct dns *dns;
    struct dns_ask *next, **link;
    dns_fn fn;
    void *arg;
    int id;
    bool under_way; /* at libunbound */
    char why[100];
    struct event *timer;
};

static void ask_free(struct dns_ask *a)
{
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
    event_free(a->timer);
    free(a);
}

void dns_cancel(struct dns_ask *a)
{
    if (!a)
        return;
    if (a->under_way)
        ub_cancel(a->dns->ctx, a->id);
    ask_free(a);
}

/* The ask is gone before its callback runs, which may start others. */
static void end(struct dns_ask *a, const struct dns_answer *answer)
{
    dns_fn fn = a->fn;
    void *arg = a->arg;
    ask_free(a);
    fn(arg, answer);
}

static void end_without(struct dns_ask *a, const char *why)
{
    struct dns_answer answer = {.status = DNS_CANNOT_SAY, .why = why};
    end(a, &answer);
}

static const char *rcode_text(int rcode)
{
    return rcode == 2 ? "the name servers failed (SERVFAIL)"
           : rcode == 5 ? "the name servers refused to answer (REFUSED)"
                        : "the name servers gave no useful answer";
}

static void give(struct dns_ask *a, const struct ub_result *r)
{
    struct str data[RECORDS_MAX];
    struct dns_answer answer = {.data = data, .secure = r->secure};
    char canonical[256];
    if (r->bogus)
        answer.why = "the answer's signatures are wrong (DNSSEC)";
    else if (r->nxdomain)
        answer.status = DNS_NO_NAME;
    else if (r->rcode != 0)
        answer.why = rcode_text(r->rcode);
    else if (!r->havedata)
        answer.status = DNS_NO_RECORDS;
    else
        answer.status = DNS_FOUND;
    while (answer.status == DNS_FOUND && answer.n < RECORDS_MAX && r->data[answer.n]) {
        data[answer.n] = (struct str){r->data[answer.n], (size_t)r->len[answer.n]};
        answer.n++;
    }
    if (answer.status == DNS_FOUND && r->canonname) {
        struct str name = str_head(str_from(r->canonname), sizeof canonical - 1);
        memcpy(canonical, name.p, name.n);
        str_lower(canonical, name.n);
        while (name.n && canonical[name.n - 1] == '.')
            name.n--;
        answer.canonical = (struct str){canonical, name.n};
    }
    end(a, &answer);
}

static void on_resolved(void *arg, int err, struct ub_result *r)
{
    struct dns_ask *a = arg;
    a->under_way = false;
    if (err == 0 && r)
        give(a, r);
    else
        end_without(a, ub_strerror(err));
    ub_resolve_free(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dns_ask *a = arg;
    (void)fd;
    (void)what;
    if (a->under_way)
        ub_cancel(a->dns->ctx, a->id);
    end_without(a, a->why[0] ? a->why : "the name servers did not answer in time");
}

struct dns_ask *dns_start(struct dns *d, struct str name, enum dns_type type, dns_fn fn, void *arg)
{
    struct dns_ask *a = MEM_NEW(struct dns_ask);
    struct timeval tv = {ASK_S, 0};
    AUTO_FREE char *z = mem_strdup(name);
    *a = (struct dns_ask){.dns = d, .fn = fn, .arg = arg, .next = d->asks, .link = &d->asks};
    if (a->next)
        a->next->link = &a->next;
    d->asks = a;
    a->timer = evtimer_new(d->base, on_timer, a);
    int r = ub_resolve_async(d->ctx, z, type, 1, a, on_resolved, &a->id);
    a->under_way = r == 0;
    if (r != 0) {
        snprintf(a->why, sizeof a->why, "%s", ub_strerror(r));
        tv.tv_sec = 0;
    }
    event_add(a->timer, &tv);
    return a;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct dns *d = arg;
    (void)fd;
    (void)what;
    int r = ub_process(d->ctx);
    if (r != 0)
        log_error("dns", LZ("why", ub_strerror(r)));
}

/* As libunbound writes it: ADDRESS@PORT. */
static void server_text(struct str s, char out[128])
{
    struct str host, port;
    route_name_server(s, &host, &port);
    host = str_head(host, 100);
    port = str_head(port, 5);
    snprintf(out, 128, "%.*s%s%.*s", STR_FMT(host), port.n ? "@" : "", STR_FMT(port));
}

static int add_anchors(struct dns *d, struct str anchors, struct err *e)
{
    struct str line;
    size_t n = 0;
    bool any = anchors.n > 0;
    while (str_line(&anchors, &line)) {
        AUTO_FREE char *z = mem_strdup(str_trim(line));
        if (z[0] == '\0' || z[0] == ';')
            continue;
        int r = ub_ctx_add_ta(d->ctx, z);
        if (r != 0)
            return err_perm(e, "dns_trust_anchor: %s", ub_strerror(r));
        n++;
    }
    return any && n == 0 ? err_perm(e, "dns_trust_anchor: there is no record in it") : 0;
}

static int set_up(struct dns *d, const struct config_list *servers, struct str anchors,
                  struct err *e)
{
    /* The thread shares our filter; a second process could not be started. */
    int r = ub_ctx_async(d->ctx, 1);
    if (r == 0)
        r = ub_ctx_set_option(d->ctx, "do-not-query-localhost:", "no");
    /* The house's own networks have names too. */
    if (r == 0)
        r = ub_ctx_set_option(d->ctx, "unblock-lan-zones:", "yes");
    if (r == 0)
        r = ub_ctx_set_option(d->ctx, "insecure-lan-zones:", "yes");
    if (r != 0)
        return err_perm(e, "libunbound: %s", ub_strerror(r));
    if (add_anchors(d, anchors, e) != 0)
        return -1;
    for (size_t i = 0; i < servers->n; i++) {
        char text[128];
        server_text(servers->v[i], text);
        if ((r = ub_ctx_set_fwd(d->ctx, text)) != 0)
            return err_perm(e, "dns_servers: \"%.*s\": %s", STR_FMT(str_head(servers->v[i], 100)),
                            ub_strerror(r));
    }
    return 0;
}

struct dns *dns_new(struct event_base *base, const struct config_list *servers, struct str anchors,
                    struct err *e)
{
    struct dns *d = MEM_NEW(struct dns);
    d->base = base;
    d->ctx = ub_ctx_create();
    if (!d->ctx) {
        err_perm(e, "libunbound: no context");
        free(d);
        return NULL;
    }
    if (set_up(d, servers, anchors, e) != 0) {
        dns_free(d);
        return NULL;
    }
    d->readable = event_new(base, ub_fd(d->ctx), EV_READ | EV_PERSIST, on_readable, d);
    event_add(d->readable, NULL);
    return d;
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    while (d->asks)
        dns_cancel(d->asks);
    if (d->readable)
        event_free(d->readable);
    ub_ctx_delete(d->ctx);
    free(d);
}
