/*
 * Connections that come through a load balancer: its header (io/proxy.h) is read before anything
 * else and tells who the client is. Where one is expected, a connection without it is closed, and so
 * is one of an address that haproxy_trusted_networks does not name: else any client could say who it
 * is. Exactly the header is taken from the socket; what follows may be a TLS handshake.
 */
#ifndef FACTEUR_IPC_BEHIND_H
#define FACTEUR_IPC_BEHIND_H

#include "config/config.h"
#include "io/addr.h"
#include "ipc/message.h"

#include <event2/event.h>

/* The client's connection begins; from: who it is, or NULL when the socket's peer is. fd is the
 * callee's. */
typedef void (*behind_fn)(void *arg, enum service service, int fd, const struct addr *from);

struct behind;

struct behind *behind_new(struct event_base *base, behind_fn fn, void *arg);
void behind_free(struct behind *b); /* closes those that wait; NULL is fine */

bool behind_is_expected(const struct config *cfg, enum service service);
/* Takes over fd; cfg is needed only now. */
void behind_accept(struct behind *b, const struct config *cfg, enum service service, int fd);

#endif
