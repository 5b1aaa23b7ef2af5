/* The inside of a query: shared by query.c (what is asked) and walk.c (what the entries mean). */
#ifndef FACTEUR_LDAPMAP_QUERY_H
#define FACTEUR_LDAPMAP_QUERY_H

#include "ldapmap/internal.h"

/* The entries of one search, as they come. */
struct ldapmap_pile {
    struct ldapmap_entry **entries;
    size_t count, cap;
};

/* Where the walk through one search's entries stands; a reference leads to a frame above. */
struct ldapmap_frame {
    struct ldapmap_frame *below;
    const struct ldapmap_pile *pile;
    const struct ldapmap_entry *root; /* NULL in the lowest frame: each entry is its own */
    uint32_t depth;                   /* 1 for the lowest */
    size_t entry, attr, value;
    bool entered; /* the current entry has been looked over */
    bool is_leaf, is_terminal;
};

/* One table's part of a query. */
struct ldapmap_part_query {
    const struct ldapmap_table *table;
    bool finished;
    struct ldapmap_result result;
    struct ldapmap_value *values;
    size_t cap;
    uint32_t expansions;
    struct ldapmap_frame *frame;
};

enum ldapmap_state { STATE_FIRST, STATE_FIRST_SENT, STATE_WALK, STATE_REFERENCE_SENT };

struct ldapmap_query {
    struct arena *arena;
    struct ldapmap_limits limits;
    enum ldapmap_state state;
    bool exists_only;
    struct str key;
    struct ldapmap_search first;
    struct ldapmap_part_query *parts;
    size_t part_count, part; /* part: the one being walked */
    struct ldapmap_pile matched;
    struct ldapmap_pile *pile; /* filled by the search under way */
    size_t searches, entries, bytes;
    const char *passed; /* the limit that was passed, NULL while none was */
};

/* Walks until a reference asks for a search (true, *out filled) or the part is finished (false). */
bool ldapmap_walk(struct ldapmap_query *q, struct ldapmap_part_query *p,
                  struct ldapmap_search *out);
/* The frame for a search's entries, on top of the part's others. */
void ldapmap_walk_push(struct ldapmap_query *q, struct ldapmap_part_query *p,
                       const struct ldapmap_pile *pile);
/* Ends the part in "cannot say"; the error's text is "TABLE: " and what is given. */
void ldapmap_part_fail(struct ldapmap_part_query *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
