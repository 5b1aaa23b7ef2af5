/*
 * Checking passwords by binding as the user, many at once: each connection of the pool carries one
 * bind at a time (RFC 4511 section 4.2.1: nothing else may be under way then), the others wait in
 * their order. Passwords lie in guarded memory here and are wiped when their bind is done; the copy
 * inside libldap's request is freed by libldap with the request.
 */
#ifndef FACTEUR_DIRECTORY_BINDER_H
#define FACTEUR_DIRECTORY_BINDER_H

#include "directory/bind_result.h"
#include "directory/conns.h"
#include "ipc/message.h"

struct binder;

/* From the event loop, never from inside binder_run. */
typedef void (*binder_fn)(void *arg, const struct bind_result *r);

struct binder *binder_new(struct event_base *base, struct opener *opener,
                          const struct ldapmap_conn_settings *settings, size_t connections);
/* No callbacks any more; never from inside one. NULL is fine. */
void binder_free(struct binder *b);
const struct ldapmap_conn_settings *binder_settings(const struct binder *b);

/* dn is copied; *password is taken over (and wiped at the end). An empty password is answered no
 * without asking: LDAP would take such a bind for an anonymous one and call it a success
 * (RFC 4513 section 5.1.2). */
void binder_run(struct binder *b, struct str dn, struct secret *password, binder_fn fn, void *arg);

struct binder_counts {
    size_t connections, up, waiting, under_way;
    uint64_t binds, refused, failed;
};
void binder_counts(const struct binder *b, struct binder_counts *out);

#endif
