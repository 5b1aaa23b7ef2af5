/*
 * Opening LDAP connections without stopping the event loop: libldap connects, starts TLS and binds
 * blocking, so a few helper threads do that and hand the ready handle back through an eventfd. A
 * handle belongs to one thread at a time: the helper's until it is handed over.
 */
#ifndef FACTEUR_DIRECTORY_OPENER_H
#define FACTEUR_DIRECTORY_OPENER_H

#include "directory/servers.h"
#include "ldapmap/ldapmap_conn.h"

struct opener;

/* In the event loop: ld is NULL with an error, else the callee's, and open to the server of that
 * place in the settings. */
typedef void (*opener_fn)(void *arg, LDAP *ld, size_t place, const struct err *e);

struct opener *opener_new(struct event_base *base);
struct servers *opener_servers(struct opener *o);
/* Opens and binds as the settings say, to the first of the servers that answers in the order for
 * connection number (servers_order). They must stay until fn comes. */
void opener_open(struct opener *o, const struct ldapmap_conn_settings *settings, uint64_t number,
                 opener_fn fn, void *arg);
/* The same with the server of that place only. */
void opener_probe(struct opener *o, const struct ldapmap_conn_settings *settings, size_t place,
                  opener_fn fn, void *arg);
/* Ends the helpers and frees all; what was asked for is answered before. False when a helper is
 * inside libldap still: nothing is freed then, and the process must end without running exit
 * handlers. */
bool opener_free(struct opener *o);

#endif
