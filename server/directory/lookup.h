/*
 * Asking maps: one key in several maps at once. Each map's sources are asked in turn until one has
 * an answer; tables of different maps that share their search are answered by one search, so that
 * what is said about an entry comes from one moment.
 */
#ifndef FACTEUR_DIRECTORY_LOOKUP_H
#define FACTEUR_DIRECTORY_LOOKUP_H

#include "directory/dirset.h"

struct join;

struct lookup_want {
    const struct dirmap *map;
    bool exists;  /* only whether; no values then */
    bool current; /* for a login: within the cache time even while no server answers */
    bool *stale;  /* NULL, or becomes true when the answer is from before an outage */

    enum ldapmap_answer answer;
    const struct ldapmap_value *values; /* entry and root are NULL for static: and plain sources */
    size_t count;
    const char *why;                   /* for LDAPMAP_CANNOT_SAY: for the log, names the map */
    const struct map_source *source;   /* that was asked last; NULL: none */
    const struct ldapmap_query *query; /* of that source; NULL when it is no table */

    size_t next; /* for lookup.c */
    bool answered;
};

typedef void (*lookup_fn)(void *arg);

/* fn comes once, from the event loop, when all wants have their answers. All lies in the arena and
 * is valid as long as it; the set must be held meanwhile. extra: further attributes, see ldapmap.h.
 */
void lookup_run(struct dirset *set, struct arena *a, struct lookup_want *wants, size_t n,
                struct str key, const char *const *extra, lookup_fn fn, void *arg);
/* The same; its first searches go with others of join (join.h), when that is sent. */
void lookup_run_joined(struct dirset *set, struct arena *a, struct lookup_want *wants, size_t n,
                       struct str key, const char *const *extra, struct join *join, lookup_fn fn,
                       void *arg);

/* True when a plain or static source says yes already, without asking anybody. */
bool lookup_is_listed(const struct dirmap *map, struct str domain);
/* True when asking would take a search. */
bool lookup_has_tables(const struct dirmap *map);

/* The entry, among those the query's key matched, that a value was read from; NULL for none. */
const struct ldapmap_entry *lookup_entry(const struct lookup_want *w, size_t value);

#endif
