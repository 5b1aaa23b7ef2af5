/*
 * A blocking LDAP client for administrators' commands: searches in pages, and the changes that they
 * apply. Programs that serve anybody use ldapmap.h's machine instead.
 */
#ifndef FACTEUR_LDAPMAP_LDAPMAP_CLIENT_H
#define FACTEUR_LDAPMAP_LDAPMAP_CLIENT_H

#include "ldapmap/ldapmap.h"

struct ldapmap_client;

/* Connects and binds as the settings say (kept by reference): 0, or -1 and a temporary error. */
int ldapmap_client_open(const struct ldapmap_conn_settings *s, struct ldapmap_client **out,
                        struct err *e);
void ldapmap_client_close(struct ldapmap_client *c); /* NULL is fine */

/* Valid until it returns. */
typedef void (*ldapmap_client_fn)(void *arg, const struct ldapmap_entry *entry);

enum { LDAPMAP_CLIENT_NONE = 1 }; /* no such base: success without entries */

/* Every entry, 500 a page (RFC 2696). attrs: NULL-terminated. 0, LDAPMAP_CLIENT_NONE, or -1 and an
 * error that names base and filter. */
int ldapmap_client_search(struct ldapmap_client *c, const char *base, enum ldapmap_scope scope,
                          const char *filter, const char *const *attrs, ldapmap_client_fn fn,
                          void *arg, struct err *e);

enum ldapmap_change_kind { LDAPMAP_ADD, LDAPMAP_DELETE, LDAPMAP_REPLACE };
struct ldapmap_change {
    enum ldapmap_change_kind kind;
    const char *attr;
    const char *value; /* NULL: all of them (with DELETE) */
};
/* A new entry of LDAPMAP_ADDs, or changes to one: 0, or -1 and the server's error. */
int ldapmap_client_add(struct ldapmap_client *c, const char *dn, const struct ldapmap_change *v,
                       size_t n, struct err *e);
int ldapmap_client_modify(struct ldapmap_client *c, const char *dn, const struct ldapmap_change *v,
                          size_t n, struct err *e);
/* The password modify operation (RFC 3062): the server stores it as it stores passwords. */
int ldapmap_client_password(struct ldapmap_client *c, const char *dn, const struct secret *password,
                            struct err *e);

/* What came of a login by a SASL mechanism. */
enum ldapmap_sasl {
    LDAPMAP_SASL_YES,
    LDAPMAP_SASL_NO,           /* the server cannot check this password by it, or it is wrong */
    LDAPMAP_SASL_UNKNOWN_HERE, /* Cyrus SASL on this machine does not have it */
    LDAPMAP_SASL_CANNOT_SAY,
};
/* Logs in over a connection of its own, which is closed again. who: with YES, the authorization identity
 * (RFC 4532); e: with the others, the server's words. */
enum ldapmap_sasl ldapmap_client_sasl(const struct ldapmap_conn_settings *s, const char *mechanism,
                                      const char *name, const struct secret *password,
                                      struct arena *a, struct str *who, struct err *e);

#endif
