/* Reading what a load balancer says before its client. */
#include "ipc/behind.h"
#include "base/log.h"
#include "io/proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WAITING_MAX 2000

enum { UPSTREAM_NONE, UPSTREAM_HAPROXY };

struct waiting {
    struct behind *all;
    struct waiting *next, **link;
    enum service service;
    int fd;
    struct event *readable, *timer;
    struct addr balancer;
    size_t n;
    char bytes[PROXY_HEADER_MAX];
};

struct behind {
    struct event_base *base;
    behind_fn fn;
    void *arg;
    struct waiting *waiting;
    size_t count;
};

bool behind_is_expected(const struct config *cfg, enum service service)
{
    struct str name = str_from(service_name(service));
    if (cfg->smtpd_upstream_proxy_protocol != UPSTREAM_HAPROXY)
        return false;
    for (size_t i = 0; i < cfg->haproxy_services.n; i++)
        if (str_eq(cfg->haproxy_services.v[i], name))
            return true;
    return false;
}

static void refused(enum service service, const struct addr *balancer, const char *why)
{
    log_warning("proxy-refused", LZ("client", balancer->text), LZ("service", service_name(service)),
                LZ("why", why));
}

/* Gives up the descriptor and nothing of it. */
static int leave(struct waiting *w)
{
    int fd = w->fd;
    event_free(w->readable);
    event_free(w->timer);
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->all->count--;
    free(w);
    return fd;
}

static void refuse(struct waiting *w, const char *why)
{
    refused(w->service, &w->balancer, why);
    close(leave(w));
}

static void go_on(struct waiting *w, const struct proxy_header *h)
{
    struct behind *b = w->all;
    enum service service = w->service;
    int fd = leave(w);
    b->fn(b->arg, service, fd, h->local ? NULL : &h->client);
}

/* What was looked at and belongs to the header is taken from the socket; no octet more. */
static void take(struct waiting *w, size_t upto)
{
    while (w->n < upto) {
        ssize_t got = recv(w->fd, w->bytes + w->n, upto - w->n, MSG_DONTWAIT);
        if (got <= 0)
            return; /* the next look finds out why */
        w->n += (size_t)got;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct waiting *w = arg;
    struct proxy_header h;
    struct err e = {0};
    size_t used = 0;
    (void)what;
    ssize_t got = recv((int)fd, w->bytes + w->n, sizeof w->bytes - w->n, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got <= 0) {
        refuse(w, "it closed before its header was there");
        return;
    }
    struct str seen = {w->bytes, w->n + (size_t)got};
    switch (proxy_header_parse(seen, &used, &h, &e)) {
    case PROXY_MORE:
        take(w, seen.n);
        break;
    case PROXY_BAD:
        refuse(w, e.log);
        break;
    case PROXY_DONE:
        take(w, used);
        if (w->n == used)
            go_on(w, &h);
        else
            refuse(w, strerror(errno));
        break;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    refuse(arg, "its header did not come in time");
}

void behind_accept(struct behind *b, const struct config *cfg, enum service service, int fd)
{
    struct addr balancer = {.text = ""};
    const struct timeval limit = {cfg->smtpd_upstream_proxy_timeout, 0};
    bool known = addr_peer(fd, &balancer) == 0 &&
                 config_network_match(&cfg->haproxy_trusted_networks, balancer.ip);
    if (!known || b->count >= WAITING_MAX) {
        refused(service, &balancer,
                known ? "too many are waiting" : "haproxy_trusted_networks does not name it");
        close(fd);
        return;
    }
    struct waiting *w = MEM_NEW(struct waiting);
    *w = (struct waiting){.all = b, .next = b->waiting, .link = &b->waiting, .service = service,
                          .fd = fd, .balancer = balancer};
    if (w->next)
        w->next->link = &w->next;
    b->waiting = w;
    b->count++;
    w->readable = event_new(b->base, fd, EV_READ | EV_PERSIST, on_readable, w);
    w->timer = evtimer_new(b->base, on_timer, w);
    event_add(w->readable, NULL);
    event_add(w->timer, &limit);
}

struct behind *behind_new(struct event_base *base, behind_fn fn, void *arg)
{
    struct behind *b = MEM_NEW(struct behind);
    *b = (struct behind){.base = base, .fn = fn, .arg = arg};
    return b;
}

void behind_free(struct behind *b)
{
    if (!b)
        return;
    while (b->waiting)
        close(leave(b->waiting));
    free(b);
}
