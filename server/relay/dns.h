/*
 * Asking the DNS, through libunbound: its thread resolves, the answers come from the event loop.
 *
 * "There is no such name" and "it has no such records" are answers; everything else, a bogus
 * signature included, is "cannot say".
 */
#ifndef FACTEUR_RELAY_DNS_H
#define FACTEUR_RELAY_DNS_H

#include "base/err.h"
#include "base/mem.h"
#include "config/config.h"

#include <event2/event.h>

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };
enum dns_status { DNS_CANNOT_SAY, DNS_FOUND, DNS_NO_RECORDS, DNS_NO_NAME };

struct dns_answer {
    enum dns_status status;
    const char *why;        /* for DNS_CANNOT_SAY */
    const struct str *data; /* the records' data */
    size_t n;
    bool secure;          /* signed, all the way from the trust anchor; "there is none" too */
    struct str canonical; /* where a chain of CNAMEs led; empty without one */
};

struct dns;
struct dns_ask;
typedef void (*dns_fn)(void *arg, const struct dns_answer *a);

/* servers: ADDRESS or ADDRESS:PORT; none: from the root on. anchors: DS or DNSKEY records, one a
 * line (RFC 1035 section 5); none: nothing is validated, nothing secure. NULL with a permanent
 * error. */
struct dns *dns_new(struct event_base *base, const struct config_list *servers, struct str anchors,
                    struct err *e);
void dns_free(struct dns *d); /* NULL is fine; no callbacks are made */

/* The callback comes from the event loop, once, at the latest when the time is up. */
struct dns_ask *dns_start(struct dns *d, struct str name, enum dns_type type, dns_fn fn, void *arg);
void dns_cancel(struct dns_ask *a); /* NULL is fine */

#endif
