/*
 * The graph of aliases that one recipient expands to: a node an address, no address twice, with the
 * limits of virtual_alias_recursion_limit and virtual_alias_expansion_limit. Pure; asks nobody.
 */
#ifndef FACTEUR_DIRECTORY_GRAPH_H
#define FACTEUR_DIRECTORY_GRAPH_H

#include "directory/names.h"

struct graph_node {
    struct graph_node *next; /* in the order they were found */
    struct name_address addr;
    unsigned depth;
    bool is_final; /* no aliases are looked for: it leads to itself, or it was asked for as such */
    bool keeps;    /* an alias that leads to itself too */
    bool of_group; /* a group led here */
    const void *list; /* the caller's; a new address has that of what leads to it */
    struct graph_node **to;
    size_t to_n, to_cap;
    unsigned char colour; /* for the search for loops */
    void *user;           /* the caller's */
};

struct graph;

/* The limits are those of the two options. All lies in the arena but what graph_free frees. */
struct graph *graph_new(struct arena *a, unsigned depth_limit, size_t size_limit);
void graph_free(struct graph *g);

/* The first node. */
struct graph_node *graph_root(struct graph *g, const struct name_address *addr, bool is_final);
/* from leads to addr. An address that leads to itself ends there: that becomes a final node. 0, or
 * -1 with a temporary error when a limit is passed. */
int graph_edge(struct graph *g, struct graph_node *from, const struct name_address *addr,
               struct err *e);
/* The next node that nobody has looked at, or NULL. */
struct graph_node *graph_next(struct graph *g);
/* The first of all nodes; the others follow by their next. */
struct graph_node *graph_first(const struct graph *g);

/* When all is expanded: -1 with an error that names an address when some alias leads in a circle
 * that no address on it ends. */
int graph_check_loops(struct graph *g, struct err *e);

#endif
