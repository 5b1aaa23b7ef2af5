/*
 * One page over HTTP, through libcurl in the event loop. Names are not looked up here: the caller gives
 * the addresses, or a connection. No redirects, no proxy, bounded in size and time; with https the
 * server's certificate is always checked. What libcurl kept is wiped when it frees it, since some of it
 * is secret.
 */
#ifndef FACTEUR_IO_WEB_H
#define FACTEUR_IO_WEB_H

#include "base/mem.h"

#include <event2/event.h>

struct web;
struct web_ask;

struct web_request {
    const char *url; /* "https://HOST/PATH"; http with a connection only */
    struct str host;
    uint16_t port;
    struct str addresses;   /* "192.0.2.1,[2001:db8::1]"; not looked at with a connection */
    int fd;                 /* a connection that is made, taken over; -1: one is made to addresses */
    struct str authorities; /* PEM, copied */
    const char *header;     /* one more header line, copied; NULL: none */
    const char *form;       /* the body of a POST, kept by the caller until the end; NULL: GET */
    size_t size_max;
    int64_t timeout_ms;
};

/* why: NULL, or what kept an answer from coming; then the rest is empty. Views for the time of the
 * call. */
struct web_answer {
    const char *why;
    long status;
    const char *type; /* Content-Type; may be empty */
    struct str body;
};
typedef void (*web_fn)(void *arg, const struct web_answer *w);

/* Sets libcurl up, once, while files can be read. */
void web_prepare(void);

struct web *web_new(struct event_base *base);
void web_free(struct web *w); /* NULL is fine; no callbacks are made */

/* The callback comes once, from the event loop. */
struct web_ask *web_start(struct web *w, const struct web_request *r, web_fn fn, void *arg);
void web_cancel(struct web_ask *a); /* NULL is fine */

#endif
