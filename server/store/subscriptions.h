/*
 * The subscriptions file, Dovecot's version 1 (one name a line) and 2 ("V\t2", an empty line, then
 * names with their hierarchy parts tab-separated and escaped).
 *
 * Names here are IMAP names with '.' as separator, in modified UTF-7 as on disk. A changed file is
 * replaced under subscriptions.lock.
 */
#ifndef FACTEUR_STORE_SUBSCRIPTIONS_H
#define FACTEUR_STORE_SUBSCRIPTIONS_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct store_names { /* a list; everything lies in the caller's arena */
    struct str *name;
    size_t count;
};

/* All names in file order, without repeats. */
int store_subscriptions_read(int root_fd, struct arena *a, struct store_names *out, struct err *e);
/* Adds or removes one name; no change is success. The name is checked as a folder name is (a name
 * that does not exist may be subscribed, RFC 3501 section 6.3.6). */
int store_subscriptions_set(int root_fd, struct str name, bool on, struct err *e);

#endif
