/*
 * Values of transport_maps, as Postfix's transport(5) writes them, and the keys they are asked by.
 * Pure.
 */
#ifndef FACTEUR_RELAY_TRANSPORT_H
#define FACTEUR_RELAY_TRANSPORT_H

#include "base/err.h"
#include "base/mem.h"

struct transport {
    bool is_error;      /* refuse, with status and text */
    struct str nexthop; /* [HOST]:PORT or DOMAIN; empty: as without the map */
    char status[16];
    struct str text;
};

/* smtp:NEXTHOP and relay:NEXTHOP, with an empty nexthop or none; error:[STATUS] TEXT. Views into
 * text. 0, or -1 with a permanent error: a transport that there is not. */
int transport_parse(struct str text, struct transport *out, struct err *e);

#define TRANSPORT_KEYS 12
/* The domain, its parents with a dot before them, and *. */
size_t transport_keys(struct str domain, struct str keys[TRANSPORT_KEYS]);

#endif
