/* The connections in use, by their settings. */
#include "directory/pools.h"

#include <stdlib.h>

struct pool {
    struct pool *next;
    unsigned users;
    struct searcher *searcher; /* one of the two */
    struct binder *binder;
    size_t connections;
};

struct pools {
    struct event_base *base;
    struct opener *opener;
    struct pool *first;
};

struct pools *pools_new(struct event_base *base)
{
    struct pools *p = MEM_NEW(struct pools);
    p->base = base;
    p->opener = opener_new(base);
    return p;
}

bool pools_free(struct pools *p)
{
    if (!opener_free(p->opener))
        return false;
    free(p);
    return true;
}

struct event_base *pools_base(const struct pools *p)
{
    return p->base;
}

struct opener *pools_opener(const struct pools *p)
{
    return p->opener;
}

static void pool_free(struct pool *pool)
{
    searcher_free(pool->searcher);
    binder_free(pool->binder);
    free(pool);
}

static bool is_same(const struct ldapmap_conn_settings *x, const struct ldapmap_conn_settings *y)
{
    return x->timeout == y->timeout && ldapmap_conn_same(x, y);
}

static struct pool *pool_add(struct pools *p, size_t connections)
{
    struct pool *pool = MEM_NEW(struct pool);
    *pool = (struct pool){.next = p->first, .users = 1, .connections = connections};
    p->first = pool;
    return pool;
}

struct searcher *pools_searcher(struct pools *p, const struct ldapmap_conn_settings *s, size_t n)
{
    for (struct pool *pool = p->first; pool; pool = pool->next) {
        if (!pool->searcher || pool->connections != n ||
            !is_same(searcher_settings(pool->searcher), s))
            continue;
        pool->users++;
        return pool->searcher;
    }
    struct pool *pool = pool_add(p, n);
    return pool->searcher = searcher_new(p->base, p->opener, s, n);
}

struct binder *pools_binder(struct pools *p, const struct ldapmap_conn_settings *s, size_t n)
{
    for (struct pool *pool = p->first; pool; pool = pool->next) {
        if (!pool->binder || pool->connections != n || !is_same(binder_settings(pool->binder), s))
            continue;
        pool->users++;
        return pool->binder;
    }
    struct pool *pool = pool_add(p, n);
    return pool->binder = binder_new(p->base, p->opener, s, n);
}

static void drop(struct pools *p, const void *what)
{
    for (struct pool **at = &p->first; *at; at = &(*at)->next) {
        struct pool *pool = *at;
        if (pool->searcher != what && pool->binder != what)
            continue;
        if (--pool->users == 0) {
            *at = pool->next;
            pool_free(pool);
        }
        return;
    }
}

void pools_drop_searcher(struct pools *p, struct searcher *s)
{
    if (s)
        drop(p, s);
}

void pools_drop_binder(struct pools *p, struct binder *b)
{
    if (b)
        drop(p, b);
}

void pools_counts(const struct pools *p, struct searcher_counts *s, struct binder_counts *b)
{
    *s = (struct searcher_counts){0};
    *b = (struct binder_counts){0};
    for (const struct pool *pool = p->first; pool; pool = pool->next) {
        struct searcher_counts one = {0};
        struct binder_counts bind = {0};
        if (pool->searcher)
            searcher_counts(pool->searcher, &one);
        else
            binder_counts(pool->binder, &bind);
        s->connections += one.connections;
        s->up += one.up;
        s->waiting += one.waiting;
        s->under_way += one.under_way;
        s->searches += one.searches;
        s->failed += one.failed;
        b->connections += bind.connections;
        b->up += bind.up;
        b->waiting += bind.waiting;
        b->under_way += bind.under_way;
        b->binds += bind.binds;
        b->refused += bind.refused;
        b->failed += bind.failed;
    }
}
