/*
 * Opening LDAP connections without stopping the event loop: libldap connects, starts TLS and binds
 * blocking, so a few helper threads do that and hand the ready handle back through an eventfd. A
 * handle belongs to one thread at a time: the helper's until it is handed over.
 */
#ifndef FACTEUR_DIRECTORY_OPENER_H
#define FACTEUR_DIRECTORY_OPENER_H

#include "ldapmap/ldapmap_conn.h"

#include <event2/event.h>

struct opener;

/* In the event loop: ld is NULL with an error, else the callee's. */
typedef void (*opener_fn)(void *arg, LDAP *ld, const struct err *e);

struct opener *opener_new(struct event_base *base);
/* Opens and binds as the settings say; they must stay until fn comes. */
void opener_open(struct opener *o, const struct ldapmap_conn_settings *settings, opener_fn fn,
                 void *arg);
/* Ends the helpers and frees all; what was asked for is answered before. False when a helper is
 * inside libldap still: nothing is freed then, and the process must end without running exit
 * handlers. */
bool opener_free(struct opener *o);

#endif
