/*
 * Searches, many at once over a few connections of the reader account. One that was under way on a
 * connection that died is made anew on another; what has no answer in time is abandoned. None
 * of them is ever answered "no entry" for such a reason: the code then is not success.
 */
#ifndef FACTEUR_DIRECTORY_SEARCH_H
#define FACTEUR_DIRECTORY_SEARCH_H

#include "directory/conns.h"

struct searcher;

struct search_result {
    int code; /* LDAP's result code, or libldap's own negative ones */
    struct str diagnostic;
    struct str server; /* that answered; empty: none did */
    struct ldapmap_entry *entries;
    size_t count;
    bool stale; /* from before an outage (picture.h): a "no" out of it counts for nothing */
    bool told;  /* the trace has the search already (join.h) */
};
/* From the event loop, never from inside search_run. */
typedef void (*search_fn)(void *arg, const struct search_result *r);

struct searcher *searcher_new(struct event_base *base, struct opener *opener,
                              const struct ldapmap_conn_settings *settings, size_t connections);
/* No callbacks any more; never from inside one. NULL is fine. */
void searcher_free(struct searcher *s);
const struct ldapmap_conn_settings *searcher_settings(const struct searcher *s);

/* Entries and texts go into the arena; it, and the strings of what, must outlive the call of fn. */
void search_run(struct searcher *s, struct arena *a, const struct ldapmap_search *what,
                search_fn fn, void *arg);

struct searcher_counts {
    size_t connections, up, waiting, under_way;
    uint64_t searches, failed;
};
void searcher_counts(const struct searcher *s, struct searcher_counts *out);

#endif
