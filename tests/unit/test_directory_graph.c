/* directory/graph.h: addresses are single words here. */
#include "directory/graph.h"
#include "tests/unit/test_directory.h"

#include <stdio.h>

struct fixture {
    struct arena *a;
    struct graph *g;
    struct err e;
};

static struct fixture begin(unsigned depth, size_t size)
{
    struct fixture f = {.a = arena_new(4096)};
    f.g = graph_new(f.a, depth, size);
    struct name_address root = {.key = STR("a")};
    graph_root(f.g, &root, false);
    return f;
}

static void end(struct fixture *f)
{
    graph_free(f->g);
    arena_free(f->a);
}

static struct graph_node *node(struct fixture *f, const char *key)
{
    for (struct graph_node *n = graph_first(f->g); n; n = n->next)
        if (str_eq(n->addr.key, str_from(key)) && !n->is_final)
            return n;
    return NULL;
}

/* x leads to each letter of to. */
static int leads(struct fixture *f, const char *x, const char *to)
{
    int r = 0;
    for (; *to && r == 0; to++) {
        struct name_address addr = {.key = arena_str(f->a, (struct str){to, 1})};
        r = graph_edge(f->g, node(f, x), &addr, &f->e);
    }
    return r;
}

static size_t count_nodes(struct fixture *f)
{
    size_t n = 0;
    while (graph_next(f->g))
        n++;
    return n;
}

void test_graph_duplicates(void)
{
    struct fixture f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "bcb") == 0);
    CU_ASSERT(leads(&f, "b", "d") == 0);
    CU_ASSERT(leads(&f, "c", "db") == 0);
    CU_ASSERT(count_nodes(&f) == 4);
    CU_ASSERT(graph_check_loops(f.g, &f.e) == 0);
    UNIT_STR(graph_first(f.g)->next->addr.key, "b");
    UNIT_STR(graph_first(f.g)->next->next->addr.key, "c");
    end(&f);
}

void test_graph_keeps(void)
{
    struct fixture f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "ab") == 0);
    struct graph_node *first = graph_next(f.g), *second = graph_next(f.g);
    CU_ASSERT(first->keeps && !first->is_final);
    CU_ASSERT(second->is_final);
    UNIT_STR(second->addr.key, "a");
    CU_ASSERT(graph_check_loops(f.g, &f.e) == 0);
    end(&f);
}

void test_graph_loops(void)
{
    struct fixture f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "b") == 0 && leads(&f, "b", "a") == 0);
    CU_ASSERT(graph_check_loops(f.g, &f.e) == -1);
    UNIT_STR(str_from(f.e.log), "alias loop: a leads to b, which leads back to it");
    end(&f);
    /* One that the first address does not stand on, found through another branch. */
    f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "bcd") == 0 && leads(&f, "b", "c") == 0 && leads(&f, "c", "b") == 0);
    CU_ASSERT(graph_check_loops(f.g, &f.e) == -1);
    end(&f);
}

void test_graph_mutual(void)
{
    struct fixture f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "ab") == 0 && leads(&f, "b", "ba") == 0);
    CU_ASSERT(graph_check_loops(f.g, &f.e) == 0);
    CU_ASSERT(count_nodes(&f) == 4);
    end(&f);
    f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "b") == 0 && leads(&f, "b", "ba") == 0);
    CU_ASSERT(graph_check_loops(f.g, &f.e) == 0);
    end(&f);
    /* Who keeps a copy must be of the circle, not before it. */
    f = begin(10, 10);
    CU_ASSERT(leads(&f, "a", "ab") == 0 && leads(&f, "b", "c") == 0 && leads(&f, "c", "b") == 0);
    CU_ASSERT(graph_check_loops(f.g, &f.e) == -1);
    end(&f);
}

void test_graph_depth(void)
{
    struct fixture f = begin(3, 10);
    CU_ASSERT(leads(&f, "a", "b") == 0 && leads(&f, "b", "c") == 0);
    CU_ASSERT(leads(&f, "c", "d") == -1);
    CU_ASSERT(strstr(f.e.log, "virtual_alias_recursion_limit (3)") != NULL);
    end(&f);
}

void test_graph_size(void)
{
    struct fixture f = begin(10, 3);
    CU_ASSERT(leads(&f, "a", "bcd") == 0);
    CU_ASSERT(leads(&f, "b", "e") == 0); /* three still */
    CU_ASSERT(leads(&f, "c", "fg") == -1);
    CU_ASSERT(strstr(f.e.log, "virtual_alias_expansion_limit (3)") != NULL);
    end(&f);
}
