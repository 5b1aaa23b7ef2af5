/*
 * An end to waiting while a connection is opened. libldap's timeouts do not hold inside a TLS handshake:
 * with GnuTLS it asks a silent server again and again, without a pause and without an end; and a message
 * that stops in its middle is waited for. So each octet that is read or written then goes through a layer
 * that waits no longer than LDAP_OPT_NETWORK_TIMEOUT for a server that says nothing.
 */
#ifndef FACTEUR_LDAPMAP_PATIENCE_H
#define FACTEUR_LDAPMAP_PATIENCE_H

#include <ldap.h>

/* For connections that ld makes from now on. An LDAP result code. */
int patience_begin(LDAP *ld);
/* The connection is open: what is waited for from here on is the caller's affair. */
void patience_end(LDAP *ld);

#endif
