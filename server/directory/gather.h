/*
 * The octets of an LDAP connection, in few system calls. libldap reads each TLS record in two parts
 * and asks poll() before and after; it writes each request by itself. Here what has come is read at
 * once, below TLS; and requests made in one turn of the event loop go out together, above TLS. What a
 * server does not take at once waits for it.
 *
 * The layers belong to the handle and end with it.
 */
#ifndef FACTEUR_DIRECTORY_GATHER_H
#define FACTEUR_DIRECTORY_GATHER_H

#include <event2/event.h>
#include <ldap.h>
#include <stdbool.h>

struct gather;

/* From the event loop: what was gathered could not be written, so the connection is of no use. */
typedef void (*gather_fn)(void *arg);

/* ld is open, and nothing is under way on it. writes: requests are gathered too. Where passwords are
 * sent they should not be: copies would lie about. NULL when libldap does not have it. */
struct gather *gather_new(LDAP *ld, struct event_base *base, bool writes, gather_fn failed,
                          void *arg);

/* The event loop says that the socket can be read: libldap need not ask again. */
void gather_readable(struct gather *g);
/* Octets are here already that make no socket readable. */
bool gather_has_more(const struct gather *g);

#endif
