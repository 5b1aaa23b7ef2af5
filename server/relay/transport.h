/*
 * Values of transport_maps, as Postfix's transport(5) writes them, and the keys they are asked by.
 * Pure.
 */
#ifndef FACTEUR_RELAY_TRANSPORT_H
#define FACTEUR_RELAY_TRANSPORT_H

#include "base/err.h"
#include "base/mem.h"

enum transport_kind {
    TRANSPORT_SMTP,
    TRANSPORT_LMTP,    /* RFC 2033; nexthop is a host, and there is one */
    TRANSPORT_ERROR,   /* refuse, with status and text */
    TRANSPORT_RETRY,   /* put off, with status and text */
    TRANSPORT_DISCARD, /* throw away */
    TRANSPORT_LOCAL    /* delivered here: nothing for the relay */
};

struct transport {
    enum transport_kind kind;
    struct str nexthop; /* [HOST]:PORT or DOMAIN; empty: as without the map */
    char status[16];
    struct str text;
};

/* smtp:NEXTHOP and relay:NEXTHOP, with an empty nexthop or none; lmtp:HOST:PORT, with inet: before
 * HOST or not; error:, retry: and discard: with [STATUS] TEXT; local: and virtual:. Views into text.
 * 0, or -1 with a permanent error: a transport that there is not. */
int transport_parse(struct str text, struct transport *out, struct err *e);

#define TRANSPORT_KEYS 14
/* user+extension@domain, user@domain, the domain, its parents with a dot before them, and *. The
 * delimiters are those of recipient_delimiter. */
size_t transport_keys(struct arena *a, struct str address, struct str domain,
                      struct str delimiters, struct str keys[TRANSPORT_KEYS]);

#endif
