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

/* Times of wrong ones, the oldest first, and how many are under way. */
struct tries {
    int64_t at[GUARD_LIMIT_MAX];
    unsigned n, under_way;
};

struct account {
    struct account *newer, *older;
    uint64_t name;
    struct tries strangers, own;
    struct network known[GUARD_NETWORKS_MAX];
    struct guard_try *waiting; /* the oldest first */
    unsigned waiting_n;
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

/* The oldest one that nobody waits at gives way. */
static void make_room(struct guard *g)
{
    struct account *a = g->oldest;
    while (a && a->waiting)
        a = a->newer;
    if (!a)
        return;
    unlink_account(g, a);
    map_take(g->accounts, key_of(&a->name));
    free(a);
}

static struct account *find_or_add(struct guard *g, uint64_t name)
{
    struct account *a = find(g, name);
    if (a)
        return a;
    if (map_count(g->accounts) >= GUARD_ACCOUNTS_MAX)
        make_room(g);
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

static void forget_old(struct tries *t, int64_t now, int64_t ms)
{
    unsigned old = 0;
    while (old < t->n && now - t->at[old] >= ms)
        old++;
    memmove(t->at, t->at + old, (t->n - old) * sizeof t->at[0]);
    t->n -= old;
}

static bool wait_for_others(struct account *a, struct guard_try *t)
{
    struct guard_try **end = &a->waiting;
    if (!t->again || a->waiting_n >= GUARD_WAITING_MAX)
        return false;
    while (*end)
        end = &(*end)->next;
    *end = t;
    a->waiting_n++;
    return true;
}

enum guard_answer guard_begin(struct guard *g, const struct guard_rules *rules, struct str account,
                              const unsigned char ip[16], struct guard_try *t)
{
    char room[17];
    unsigned limit = rules->limit < GUARD_LIMIT_MAX ? rules->limit : GUARD_LIMIT_MAX;
    int64_t now = clock_mono_ms();
    *t = (struct guard_try){.again = t->again, .arg = t->arg};
    if (limit == 0 || config_network_match(rules->exceptions, ip))
        return GUARD_GO;
    t->account = map_hash(account);
    t->network = map_hash(rates_network(ip, room));
    struct account *a = find_or_add(g, t->account);
    unsigned half = limit > 1 ? limit / 2 : 1;
    t->own = known(a, t->network, now) != NULL;
    if (t->own)
        half = limit - half + (limit == 1);
    struct tries *tries = t->own ? &a->own : &a->strangers;
    forget_old(tries, now, rules->ms);
    if (tries->n >= half)
        return GUARD_TOO_MANY;
    if (tries->n + tries->under_way >= half)
        return wait_for_others(a, t) ? GUARD_WAIT : GUARD_TOO_MANY;
    tries->under_way++;
    t->counted = true;
    return GUARD_GO;
}

void guard_seen(struct guard *g, struct str account, const unsigned char ip[16])
{
    char room[17];
    remember(find_or_add(g, map_hash(account)), map_hash(rates_network(ip, room)), clock_mono_ms());
}

/* --- the end of a try --- */

static struct account *end_try(struct guard *g, struct guard_try *t)
{
    struct account *a = t->counted ? find_or_add(g, t->account) : NULL;
    struct tries *tries = a ? (t->own ? &a->own : &a->strangers) : NULL;
    t->counted = false;
    if (tries && tries->under_way)
        tries->under_way--;
    return a;
}

/* All of them, since they may be of the other half; those that still have no place wait anew. */
static void wake(struct account *a)
{
    struct guard_try *all = a->waiting;
    a->waiting = NULL;
    a->waiting_n = 0;
    while (all) {
        struct guard_try *t = all;
        all = t->next;
        t->next = NULL;
        t->again(t->arg);
    }
}

void guard_right(struct guard *g, struct guard_try *t)
{
    struct account *a = end_try(g, t);
    if (!a)
        return;
    a->strangers.n = a->own.n = 0;
    remember(a, t->network, clock_mono_ms());
    wake(a);
}

void guard_wrong(struct guard *g, struct guard_try *t)
{
    bool own = t->own;
    struct account *a = end_try(g, t);
    if (!a)
        return;
    struct tries *tries = own ? &a->own : &a->strangers;
    if (tries->n < GUARD_LIMIT_MAX)
        tries->at[tries->n++] = clock_mono_ms();
    wake(a);
}

void guard_forgive(struct guard *g, struct guard_try *t)
{
    struct account *a = end_try(g, t);
    if (a)
        wake(a);
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
