/*
 * The header that a load balancer says before the octets of its client (HAProxy's PROXY protocol,
 * versions 1 and 2, doc/proxy-protocol.txt). Pure: octets in, addresses out.
 */
#ifndef FACTEUR_IO_PROXY_H
#define FACTEUR_IO_PROXY_H

#include "base/err.h"
#include "base/str.h"
#include "io/addr.h"

/* The longest header taken, with the extensions of version 2. */
#define PROXY_HEADER_MAX 4096

enum proxy_event {
    PROXY_MORE, /* all of it belongs to the header, and more must come */
    PROXY_DONE,
    PROXY_BAD,
};

struct proxy_header {
    bool local; /* the balancer speaks for itself: its own address counts */
    struct addr client;
};

/* in: everything that came so far. PROXY_DONE: *used octets of it are the header. PROXY_BAD: e says
 * what is wrong; that is known as soon as no continuation could be right. */
enum proxy_event proxy_header_parse(struct str in, size_t *used, struct proxy_header *out,
                                    struct err *e);

#endif
