/*
 * What is remembered about domains for a few seconds, so that a recipient costs no more searches
 * than its own: that a domain is hosted, and that a mailbox domain has no catch-all alias. Neither
 * can turn a good recipient away: a domain that is new is asked about each time until it is there,
 * and a catch-all is asked for before an address without a mailbox is unknown. "Cannot say" is
 * never kept.
 */
#ifndef FACTEUR_DIRECTORY_DOMAINS_H
#define FACTEUR_DIRECTORY_DOMAINS_H

#include "base/str.h"

enum domain_class {
    DOMAIN_UNKNOWN, /* not asked yet */
    DOMAIN_NONE,    /* not hosted here */
    DOMAIN_ALIAS,   /* virtual_alias_domains */
    DOMAIN_LOCAL,   /* mydestination */
    DOMAIN_RELAY,   /* relay_domains */
    DOMAIN_MAILBOX, /* virtual_mailbox_domains; also when it is in both */
};

struct domains;

#define DOMAINS_KEPT_MS 5000

struct domains *domains_new(void);
void domains_free(struct domains *d);

/* now: clock_mono_ms(). The class that is remembered, or DOMAIN_UNKNOWN. */
enum domain_class domains_class(const struct domains *d, struct str domain, int64_t now);
bool domains_has_no_catch_all(const struct domains *d, struct str domain, int64_t now);

void domains_forget(struct domains *d); /* all of it */

/* Remembers a class; DOMAIN_NONE and DOMAIN_UNKNOWN are not kept. */
void domains_keep_class(struct domains *d, struct str domain, enum domain_class c, int64_t now);
void domains_keep_no_catch_all(struct domains *d, struct str domain, int64_t now);

#endif
