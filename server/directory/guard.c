/* Counting wrong passwords by account. */
#include "directory/guard.h"
#include "base/clock.h"
#include "base/map.h"
#include "ipc/rates.h"

#include <stdlib.h>

#define KNOWN_MS (INT64_C(30) * 24 * 3600 * 1000)

struct network {
    uint64_t name;
    int64_t seen;
};

/* Times of tries, those under way included; the oldest first. */
struct tries {
    int64_t at[GUARD_LIMIT_MAX];
    unsigned n;
};

struct account {
    struct account *newer, *older;
    uint64_t name;
    struct tries strangers, own;
    struct network known[GUARD_NETWORKS_MAX];
};

struct guard {
    struct map *accounts;
    struct account *newest, *oldest;
};

static struct str key_of(const uint64_t *name)
{
    return (struct str){(const char *)name, sizeof *name};
}

/* --- accounts --- */

static void unlink_account(struct guard *g, struct account *a)
{
    *(a->newer ? &a->newer->older : &g->newest) = a->older;
    *(a->older ? &a->older->newer : &g->oldest) = a->newer;
}

static void link_newest(struct guard *g, struct account *a)
{
    a->newer = NULL;
    a->older = g->newest;
    *(g->newest ? &g->newest->newer : &g->oldest) = a;
    g->newest = a;
}

static struct account *find(struct guard *g, uint64_t name)
{
    struct account *a = map_get(g->accounts, key_of(&name));
    if (a) {
        unlink_account(g, a);
        link_newest(g, a);
    }
    return a;
}

static struct account *find_or_add(struct guard *g, uint64_t name)
{
    struct account *a = find(g, name);
    if (a)
        return a;
    if (map_count(g->accounts) >= GUARD_ACCOUNTS_MAX) {
        a = g->oldest;
        unlink_account(g, a);
        map_take(g->accounts, key_of(&a->name));
        free(a);
    }
    a = MEM_NEW(struct account);
    a->name = name;
    map_put(g->accounts, key_of(&name), a);
    link_newest(g, a);
    return a;
}

static struct network *known(struct account *a, uint64_t name, int64_t now)
{
    for (size_t i = 0; i < GUARD_NETWORKS_MAX; i++)
        if (a->known[i].name == name && a->known[i].seen && now - a->known[i].seen < KNOWN_MS)
            return &a->known[i];
    return NULL;
}

static void remember(struct account *a, uint64_t name, int64_t now)
{
    struct network *to = known(a, name, now);
    for (size_t i = 0; !to && i < GUARD_NETWORKS_MAX; i++)
        to = a->known[i].seen ? NULL : &a->known[i];
    if (!to)
        to = &a->known[0];
    if (to->name != name)
        for (size_t i = 0; i < GUARD_NETWORKS_MAX; i++)
            to = a->known[i].seen < to->seen ? &a->known[i] : to;
    *to = (struct network){name, now};
}

/* --- tries --- */

static void drop_first(struct tries *t, unsigned n)
{
    memmove(t->at, t->at + n, (t->n - n) * sizeof t->at[0]);
    t->n -= n;
}

static bool add(struct tries *t, unsigned limit, int64_t now, int64_t ms)
{
    unsigned old = 0;
    while (old < t->n && now - t->at[old] >= ms)
        old++;
    drop_first(t, old);
    if (t->n >= limit)
        return false;
    t->at[t->n++] = now;
    return true;
}

static bool take_back(struct tries *t, int64_t at)
{
    for (unsigned i = t->n; i-- > 0;)
        if (t->at[i] == at) {
            memmove(t->at + i, t->at + i + 1, (t->n - i - 1) * sizeof t->at[0]);
            t->n--;
            return true;
        }
    return false;
}

bool guard_begin(struct guard *g, const struct guard_rules *rules, struct str account,
                 const unsigned char ip[16], struct guard_try *t)
{
    char room[17];
    unsigned limit = rules->limit < GUARD_LIMIT_MAX ? rules->limit : GUARD_LIMIT_MAX;
    int64_t now = clock_mono_ms();
    *t = (struct guard_try){0};
    if (limit == 0 || config_network_match(rules->exceptions, ip))
        return true;
    *t = (struct guard_try){true, map_hash(account), map_hash(rates_network(ip, room)), now};
    struct account *a = find_or_add(g, t->account);
    bool is_known = known(a, t->network, now) != NULL;
    unsigned half = limit > 1 ? limit / 2 : 1;
    t->counted = add(is_known ? &a->own : &a->strangers, is_known ? limit - half + (limit == 1) : half,
                     now, rules->ms);
    return t->counted;
}

/* --- the end of a try --- */

void guard_right(struct guard *g, struct guard_try *t)
{
    struct account *a = t->counted ? find_or_add(g, t->account) : NULL;
    t->counted = false;
    if (!a)
        return;
    a->strangers.n = a->own.n = 0;
    remember(a, t->network, clock_mono_ms());
}

void guard_wrong(struct guard *g, struct guard_try *t)
{
    (void)g;
    t->counted = false;
}

void guard_forgive(struct guard *g, struct guard_try *t)
{
    struct account *a = t->counted ? find(g, t->account) : NULL;
    t->counted = false;
    if (a && !take_back(&a->strangers, t->at))
        take_back(&a->own, t->at);
}

/* --- all --- */

struct guard *guard_new(void)
{
    struct guard *g = MEM_NEW(struct guard);
    g->accounts = map_new();
    return g;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    map_free(g->accounts, free);
    free(g);
}
