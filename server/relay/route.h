/*
 * Where mail for a destination goes, as far as it can be said without asking anybody: how a
 * destination is written, and the order of mail exchangers (RFC 5321 section 5.1). Pure.
 */
#ifndef FACTEUR_RELAY_ROUTE_H
#define FACTEUR_RELAY_ROUTE_H

#include "base/err.h"
#include "base/mem.h"

struct nexthop {
    struct str host; /* without brackets; an address when it was a literal */
    uint16_t port;
    bool exchangers; /* look for its mail exchangers; else the host itself */
};

/* "example.org", "example.org:2525", "[mail.example.org]:587", "[192.0.2.1]", "[IPv6:2001:db8::1]",
 * "[2001:db8::1]:25". Views into text. 0, or -1 with a permanent error. */
int route_parse(struct str text, uint16_t default_port, struct nexthop *out, struct err *e);

/* A name server, as dns_servers writes it: "192.0.2.1:53", "[2001:db8::1]:53", "2001:db8::1". port is empty
 * where it names none. Views into text. */
void route_name_server(struct str text, struct str *host, struct str *port);

struct exchanger {
    struct str name; /* lower case, no dot at the end; "" for the root (RFC 7505) */
    uint16_t preference;
    uint32_t random; /* the order among equals */
};

void route_sort(struct exchanger *v, size_t n);

/* The root alone, at whatever preference: the domain takes no mail (RFC 7505 section 3). */
bool route_is_null(const struct exchanger *v, size_t n);

/* Cuts a sorted list before the exchangers that are no nearer than we are (RFC 5321 section 5.1):
 * what is left of n. */
size_t route_without_us(const struct exchanger *v, size_t n, struct str us);

/* A name in wire form (RFC 1035 section 3.1, not compressed) as text in lower case. out holds 256
 * bytes. 0, or -1 when it is cut short or no host name. */
int route_name(struct str wire, char out[256]);

#endif
