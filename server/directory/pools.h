/*
 * The connections in use, shared by everything that has the same connection settings, over reloads
 * too: a new configuration with the same servers and rights goes on with the open connections.
 */
#ifndef FACTEUR_DIRECTORY_POOLS_H
#define FACTEUR_DIRECTORY_POOLS_H

#include "directory/binder.h"
#include "directory/search.h"

struct pools;

struct pools *pools_new(struct event_base *base);
/* At the end, when nobody uses them any more. False: see opener_free. */
bool pools_free(struct pools *p);
struct event_base *pools_base(const struct pools *p);
struct opener *pools_opener(const struct pools *p);

/* One more user of the searcher (binder) with these settings; made when there is none. */
struct searcher *pools_searcher(struct pools *p, const struct ldapmap_conn_settings *s, size_t n);
struct binder *pools_binder(struct pools *p, const struct ldapmap_conn_settings *s, size_t n);
/* One user less; the last one closes the connections. Never from inside a callback of theirs. */
void pools_drop_searcher(struct pools *p, struct searcher *s);
void pools_drop_binder(struct pools *p, struct binder *b);

/* Sums over all. */
void pools_counts(const struct pools *p, struct searcher_counts *s, struct binder_counts *b);

#endif
