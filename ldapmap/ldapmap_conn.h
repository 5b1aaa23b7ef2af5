/*
 * The libldap side of LDAP tables: opening a connection, sending an engine's search, reading
 * entries.
 *
 * Opening blocks (name lookup, connect, TLS, bind: libldap offers no other way) for at most about
 * the settings' timeout per server and step, so an event loop does it in a helper thread. Sending
 * and reading do not block. A handle belongs to one thread at a time.
 */
#ifndef FACTEUR_LDAPMAP_LDAPMAP_CONN_H
#define FACTEUR_LDAPMAP_LDAPMAP_CONN_H

#include "ldapmap/ldapmap.h"

#include <ldap.h>

/* Tries the servers in order: connects, starts TLS where asked, binds where asked. 0 and a handle
 * to be closed with ldap_unbind_ext; -1 and a temporary error that names the last server tried. */
int ldapmap_conn_open(const struct ldapmap_conn_settings *s, LDAP **out, struct err *e);
/* The same with one of the servers only, by its place: an LDAP result code. */
int ldapmap_conn_open_at(const struct ldapmap_conn_settings *s, size_t server, LDAP **out,
                         struct err *e);
/* The same without the bind (for connections that check users' passwords). */
int ldapmap_conn_open_unbound(const struct ldapmap_conn_settings *s, LDAP **out, struct err *e);

/* Sends the search; 0 and its message id, or an LDAP result code to hand to ldapmap_query_done. */
int ldapmap_conn_search(LDAP *ld, const struct ldapmap_search *search, int *msgid);
/* Reads one entry: 0, else an LDAP result code. The lists are the arena's, the bytes stay in msg:
 * valid until ldap_msgfree. */
int ldapmap_conn_entry(struct arena *a, LDAP *ld, LDAPMessage *msg, struct ldapmap_entry *out);

/* The blocking driver: runs q to its end over *ld, opening it first where it is NULL and once again
 * where it was lost. Always finishes q; failures become its "cannot say". *ld may be NULL
 * afterwards. */
void ldapmap_conn_run(const struct ldapmap_conn_settings *s, LDAP **ld, struct ldapmap_query *q);

#endif
