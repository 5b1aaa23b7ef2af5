/* Channels between children, their shared counts, and the ports they serve. */
#include "master/master.h"

#include <errno.h>

static bool send_link(struct child *to, const struct child *peer, int fd)
{
    struct msg msg = MSG_INIT(link);
    msg.fd = fd;
    msg.link.peer = kind_program(peer->kind);
    msg.link.index = peer->index;
    return child_send(to, &msg);
}

static int connect_two(struct child *a, struct child *b)
{
    int pair[2];
    if (channel_pair(pair) != 0) {
        log_error("link", LZ("program", kind_name(a->kind)), LZ("to", kind_name(b->kind)),
                  LZ("why", strerror(errno)));
        return -1;
    }
    send_link(a, b, pair[0]);
    send_link(b, a, pair[1]);
    fd_closep(&pair[0]);
    fd_closep(&pair[1]);
    return 0;
}

int links_connect(struct child *c)
{
    struct master *m = c->m;
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].ch && kinds_linked(c->kind, m->child[i].kind) &&
            connect_two(c, &m->child[i]) != 0)
            return -1;
    return 0;
}

void links_counters(struct child *c)
{
    struct msg msg = MSG_INIT(counters);
    msg.fd = c->m->counters_fd[c->kind];
    msg.counters.index = c->index;
    if (msg.fd < 0)
        return;
    child_send(c, &msg);
    msg = (struct msg)MSG_INIT(rates);
    msg.fd = c->m->rates_fd;
    msg.rates.index = c->index;
    child_send(c, &msg);
}

static void send_port(struct child *c, const struct port *p)
{
    struct msg msg = MSG_INIT(listener);
    if (p->fd < 0 || kind_of_service(p->service) != c->kind)
        return;
    msg.fd = p->fd;
    msg.listener.number = p->number;
    msg.listener.service = (uint8_t)p->service;
    child_send(c, &msg);
}

void links_ports(struct child *c)
{
    struct master *m = c->m;
    for (size_t i = 0; i < m->ports.n; i++)
        if (m->ports.v[i].number)
            send_port(c, &m->ports.v[i]);
}

void links_new_ports(struct master *m)
{
    for (size_t i = 0; i < m->ports.n; i++) {
        struct port *p = &m->ports.v[i];
        if (p->number)
            continue;
        p->number = ++m->last_port_number;
        for (size_t j = 0; j < m->children; j++)
            if (m->child[j].state == CHILD_READY)
                send_port(&m->child[j], p);
    }
}
