/* Listening sockets. */
#include "master/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 1024
#define PORTS_MAX 256
#define RETRY_MS 50

enum { PROTOCOLS_ALL, PROTOCOLS_IPV4, PROTOCOLS_IPV6 };

struct wanting {
    const struct config *cfg;
    struct ports *out;
    struct findings *f;
};

static void set_port(struct port *p, uint16_t number)
{
    if (p->sa.ss_family == AF_INET)
        ((struct sockaddr_in *)&p->sa)->sin_port = htons(number);
    else
        ((struct sockaddr_in6 *)&p->sa)->sin6_port = htons(number);
}

/* "192.0.2.1", "2001:db8::1" or "[2001:db8::1]" */
static int parse_address(struct str text, struct port *p)
{
    char z[64];
    struct sockaddr_in *v4 = (struct sockaddr_in *)&p->sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&p->sa;
    if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = str_head(str_skip(text, 1), text.n - 2);
    if (text.n >= sizeof z)
        return -1;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    memset(&p->sa, 0, sizeof p->sa);
    if (inet_pton(AF_INET, z, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        p->sa_length = sizeof *v4;
        return 0;
    }
    if (inet_pton(AF_INET6, z, &v6->sin6_addr) != 1)
        return -1;
    v6->sin6_family = AF_INET6;
    p->sa_length = sizeof *v6;
    return 0;
}

static bool same_address(const struct port *a, const struct port *b)
{
    return a->sa_length == b->sa_length && memcmp(&a->sa, &b->sa, a->sa_length) == 0;
}

static void add_port(struct wanting *w, const struct port *p)
{
    char text[64];
    port_text(p, text);
    for (size_t i = 0; i < w->out->n; i++) {
        if (!same_address(&w->out->v[i], p))
            continue;
        if (w->out->v[i].service != p->service)
            finding_error(w->f, "%s_port and %s_port: both want %s",
                          service_name(w->out->v[i].service), service_name(p->service), text);
        return;
    }
    if (w->out->n >= PORTS_MAX) {
        finding_error(w->f, "inet_interfaces: more than %d ports", PORTS_MAX);
        return;
    }
    w->out->v = mem_grow(w->out->v, w->out->n + 1, sizeof *w->out->v);
    w->out->v[w->out->n++] = *p;
}

static void add_service(struct wanting *w, struct str address, bool may_lack)
{
    const struct config *c = w->cfg;
    const struct {
        enum service service;
        int64_t port;
    } all[] = {
        {SERVICE_SMTP, c->smtp_port},   {SERVICE_SUBMISSION, c->submission_port},
        {SERVICE_SUBMISSIONS, c->submissions_port}, {SERVICE_IMAP, c->imap_port},
        {SERVICE_IMAPS, c->imaps_port}, {SERVICE_POP3, c->pop3_port},
        {SERVICE_POP3S, c->pop3s_port}, {SERVICE_LMTP, c->lmtp_port},
    };
    struct port p = {.fd = -1, .may_lack = may_lack};
    if (parse_address(address, &p) != 0) {
        finding_error(w->f, "inet_interfaces: \"%.*s\" is no address", STR_FMT(address));
        return;
    }
    int without = p.sa.ss_family == AF_INET ? PROTOCOLS_IPV6 : PROTOCOLS_IPV4;
    if (c->inet_protocols == without)
        return;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        p.service = all[i].service;
        set_port(&p, (uint16_t)all[i].port);
        if (all[i].port)
            add_port(w, &p);
    }
}

void ports_want(const struct config *cfg, struct ports *out, struct findings *f)
{
    struct wanting w = {cfg, out, f};
    bool any = cfg->inet_protocols == PROTOCOLS_ALL;
    for (size_t i = 0; i < cfg->inet_interfaces.n; i++) {
        struct str name = cfg->inet_interfaces.v[i];
        if (str_eq(name, STR("all"))) {
            add_service(&w, STR("0.0.0.0"), false);
            add_service(&w, STR("::"), any);
        } else if (str_eq(name, STR("loopback-only")) || str_eq(name, STR("localhost"))) {
            add_service(&w, STR("127.0.0.1"), false);
            add_service(&w, STR("::1"), any);
        } else {
            add_service(&w, name, false);
        }
    }
}

/* --- opening --- */

static int open_once(const struct port *p)
{
    int on = 1;
    AUTO_FD fd = socket(p->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return -1;
    if (p->sa.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&p->sa, p->sa_length) != 0 || listen(fd, BACKLOG) != 0)
        return -1;
    int r = fd;
    fd = -1;
    return r;
}

/* Programs that outlived a killed master let go of their ports within moments. */
static int open_patiently(const struct port *p, int patience_ms)
{
    const struct timespec pause = {0, RETRY_MS * 1000000L};
    int fd = open_once(p);
    for (; fd < 0 && errno == EADDRINUSE && patience_ms > 0; patience_ms -= RETRY_MS) {
        nanosleep(&pause, NULL);
        fd = open_once(p);
    }
    return fd;
}

static bool is_lacking(const struct port *p, int why)
{
    return p->may_lack && (why == EAFNOSUPPORT || why == EADDRNOTAVAIL);
}

static bool take_over(struct port *p, const struct ports *old)
{
    for (size_t i = 0; old && i < old->n; i++) {
        const struct port *o = &old->v[i];
        if (o->fd < 0 || o->service != p->service || !same_address(o, p))
            continue;
        p->fd = o->fd;
        p->number = o->number;
        return true;
    }
    return false;
}

int ports_open(struct ports *p, const struct ports *old, int patience_ms, struct err *e)
{
    char text[64];
    for (size_t i = 0; i < p->n; i++) {
        struct port *port = &p->v[i];
        if (port->fd >= 0 || take_over(port, old))
            continue;
        port->fd = open_patiently(port, patience_ms);
        int why = errno;
        if (port->fd >= 0 || is_lacking(port, why))
            continue;
        port_text(port, text);
        return err_perm(e, "%s_port: %s: %s", service_name(port->service), text, strerror(why));
    }
    return 0;
}

void ports_close_others(struct ports *p, const struct ports *kept)
{
    for (size_t i = 0; i < p->n; i++) {
        bool keep = false;
        for (size_t j = 0; kept && j < kept->n; j++)
            keep = keep || kept->v[j].fd == p->v[i].fd;
        if (!keep)
            fd_closep(&p->v[i].fd);
    }
}

void ports_free(struct ports *p)
{
    free(p->v);
    *p = (struct ports){NULL, 0};
}

void port_text(const struct port *p, char out[64])
{
    char ip[INET6_ADDRSTRLEN] = "";
    if (p->sa.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&p->sa;
        inet_ntop(AF_INET, &a->sin_addr, ip, sizeof ip);
        snprintf(out, 64, "%s:%u", ip, ntohs(a->sin_port));
    } else {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&p->sa;
        inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof ip);
        snprintf(out, 64, "[%s]:%u", ip, ntohs(a->sin6_port));
    }
}
