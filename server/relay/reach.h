/*
 * Which TCP ports the relay program has reason to connect to, by its configuration: what the kernel is
 * told to let it reach. Pure.
 */
#ifndef FACTEUR_RELAY_REACH_H
#define FACTEUR_RELAY_REACH_H

#include "base/err.h"
#include "config/config.h"

#define REACH_MAX 100

struct reach {
    bool any; /* transport_maps may lead to any port, since the values lie in maps */
    uint16_t v[REACH_MAX];
    size_t n;
};

/* servers: the name servers that are asked, as dns_servers writes them; relayhost_port: 0 for none.
 * 0, or -1 with a permanent error. */
int reach_from(const struct config *cfg, const struct config_list *servers, uint16_t relayhost_port,
               struct reach *out, struct err *e);
bool reach_has(const struct reach *r, uint16_t port);
/* Can all of b be reached where all of a can? */
bool reach_covers(const struct reach *a, const struct reach *b);

#endif
