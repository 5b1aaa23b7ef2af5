/*
 * MTA-STS for jobs: which policy holds for a domain now (RFC 8461 section 5). Policies are kept in
 * memory for their max_age, a bounded number of them, and told to a keeper that outlives this program;
 * a domain is asked for once, however many jobs wait for it. What a domain once said holds until its
 * time is up, even when the DNS or its web server does not answer any more.
 */
#ifndef FACTEUR_RELAY_STRICT_H
#define FACTEUR_RELAY_STRICT_H

#include "io/web.h"
#include "ipc/message.h"
#include "relay/dns.h"
#include "relay/sts.h"

struct strict;
struct strict_wait;

/* mode STS_NONE: no policy. mx: views for the time of the call. */
typedef void (*strict_fn)(void *arg, enum sts_mode mode, const struct str *mx, size_t n);

struct strict *strict_new(struct event_base *base, struct dns *dns);
void strict_free(struct strict *s); /* NULL is fine; no callbacks are made */
void strict_trust(struct strict *s, struct str authorities); /* PEM, copied */

/* fn is told of every policy that was fetched; strict_restore takes what it was told, of a program
 * before this one. What was fetched meanwhile goes before it, and so does the end of its time. */
typedef void (*strict_keep_fn)(void *arg, const struct msg_sts_policy *p);
void strict_on_fetched(struct strict *s, strict_keep_fn fn, void *arg);
void strict_restore(struct strict *s, const struct msg_sts_policy *p);

/* Calls back once: from here when the answer is known, else from the event loop, and *wait is what
 * strict_cancel takes until then. */
void strict_start(struct strict *s, struct str domain, strict_fn fn, void *arg,
                  struct strict_wait **wait);
/* Mail waits because of the policy: the next strict_start looks whether there is a new one (RFC
 * 8461 section 5.1, step 3). */
void strict_doubt(struct strict *s, struct str domain);
void strict_cancel(struct strict_wait *w); /* NULL is fine */

#endif
