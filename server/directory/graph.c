/* The graph of aliases. */
#include "directory/graph.h"
#include "base/map.h"

#include <stdlib.h>

struct graph {
    struct arena *arena;
    unsigned depth_limit;
    size_t size_limit;
    struct map *by_key; /* "a" or "f" (final) and the address's key, to its node */
    struct graph_node *root, **last, *waiting; /* waiting: the first that nobody has looked at, or NULL */
    size_t nodes, ends; /* ends: nodes that lead nowhere so far, which is what recipients become */
};

struct graph *graph_new(struct arena *a, unsigned depth_limit, size_t size_limit)
{
    struct graph *g = ARENA_NEW(a, struct graph);
    *g = (struct graph){.arena = a, .depth_limit = depth_limit, .size_limit = size_limit};
    g->by_key = map_new();
    g->last = &g->root;
    return g;
}

void graph_free(struct graph *g)
{
    map_free(g->by_key, NULL);
}

static struct graph_node *node_get(struct graph *g, const struct name_address *addr, bool is_final,
                                   unsigned depth)
{
    struct str key = arena_concat(g->arena, is_final ? STR("f") : STR("a"), addr->key);
    struct graph_node *n = map_get(g->by_key, key);
    if (n)
        return n;
    n = ARENA_NEW(g->arena, struct graph_node);
    *n = (struct graph_node){.addr = *addr, .depth = depth, .is_final = is_final};
    map_put(g->by_key, key, n);
    *g->last = n;
    g->last = &n->next;
    if (!g->waiting)
        g->waiting = n;
    g->nodes++;
    g->ends++;
    return n;
}

struct graph_node *graph_root(struct graph *g, const struct name_address *addr, bool is_final)
{
    return node_get(g, addr, is_final, 1);
}

static void add_to(struct graph *g, struct graph_node *from, struct graph_node *to)
{
    for (size_t i = 0; i < from->to_n; i++)
        if (from->to[i] == to)
            return;
    if (from->to_n == from->to_cap) {
        size_t cap = from->to_cap ? 2 * from->to_cap : 4;
        struct graph_node **v = arena_array(g->arena, cap, sizeof *v);
        if (from->to_n)
            memcpy(v, from->to, from->to_n * sizeof *v);
        from->to = v;
        from->to_cap = cap;
    }
    from->to[from->to_n++] = to;
}

static int check_limits(const struct graph *g, const struct graph_node *from, struct err *e)
{
    if (from->depth >= g->depth_limit)
        return err_temp(e,
                        "aliases of %.*s are nested deeper than virtual_alias_recursion_limit (%u)",
                        STR_FMT(g->root->addr.key), g->depth_limit);
    /* The inner aliases are bounded too, generously: each costs searches. */
    if (g->ends > g->size_limit || g->nodes > 4 * g->size_limit + g->depth_limit)
        return err_temp(e, "%.*s leads to more than virtual_alias_expansion_limit (%zu) recipients",
                        STR_FMT(g->root->addr.key), g->size_limit);
    return 0;
}

int graph_edge(struct graph *g, struct graph_node *from, const struct name_address *addr,
               struct err *e)
{
    bool self = str_eq(addr->key, from->addr.key);
    size_t before = g->nodes;
    if (check_limits(g, from, e) != 0)
        return -1;
    if (from->to_n == 0)
        g->ends--;
    from->keeps = from->keeps || self;
    struct graph_node *to = node_get(g, addr, self, from->depth + 1);
    if (g->nodes > before)
        to->list = from->list;
    add_to(g, from, to);
    return check_limits(g, from, e);
}

struct graph_node *graph_next(struct graph *g)
{
    struct graph_node *n = g->waiting;
    if (n)
        g->waiting = n->next;
    return n;
}

struct graph_node *graph_first(const struct graph *g)
{
    return g->root;
}

enum { WHITE, GREY, BLACK };

struct frame {
    struct graph_node *node;
    size_t at;
};

/* A circle, from the address it comes back to, is sound when one of it keeps a copy itself: two
 * people may forward to each other, and one to another address of his own. */
static bool is_sound(const struct frame *top, const struct graph_node *to)
{
    while (top->node != to && !top->node->keeps)
        top--;
    return top->node->keeps;
}

/* An explicit stack, for paths may be as long as there are nodes. */
int graph_check_loops(struct graph *g, struct err *e)
{
    struct frame *stack = arena_array(g->arena, g->nodes + 1, sizeof *stack);
    size_t depth = 0;
    stack[depth++] = (struct frame){g->root, 0};
    g->root->colour = GREY;
    while (depth) {
        struct frame *f = &stack[depth - 1];
        if (f->at == f->node->to_n) {
            f->node->colour = BLACK;
            depth--;
            continue;
        }
        struct graph_node *to = f->node->to[f->at++];
        if (to->colour == GREY && !is_sound(f, to))
            return err_temp(e, "alias loop: %.*s leads to %.*s, which leads back to it",
                            STR_FMT(to->addr.key), STR_FMT(f->node->addr.key));
        if (to->colour != WHITE)
            continue;
        to->colour = GREY;
        stack[depth++] = (struct frame){to, 0};
    }
    return 0;
}
