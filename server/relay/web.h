/*
 * One HTTPS page, through libcurl in the event loop. Names are not looked up here: the caller gives
 * the addresses. Nothing but https, no redirects, no proxy, bounded in size and time; the server's
 * certificate is always checked.
 */
#ifndef FACTEUR_RELAY_WEB_H
#define FACTEUR_RELAY_WEB_H

#include "base/mem.h"

#include <event2/event.h>

struct web;
struct web_ask;

/* body: empty unless why is NULL. Views for the time of the call. */
typedef void (*web_fn)(void *arg, struct str body, const char *why);

struct web *web_new(struct event_base *base);
void web_free(struct web *w); /* NULL is fine; no callbacks are made */

/* https://HOST/PATH from one of addresses ("192.0.2.1,[2001:db8::1]"); authorities: PEM, copied. The
 * callback comes once, from the event loop. */
struct web_ask *web_start(struct web *w, struct str host, const char *path, struct str addresses,
                          struct str authorities, size_t size_max, int64_t timeout_s, web_fn fn,
                          void *arg);
void web_cancel(struct web_ask *a); /* NULL is fine */

#endif
