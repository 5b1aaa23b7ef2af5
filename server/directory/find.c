/* Finding an address in a map. */
#include "directory/find.h"

struct find {
    struct dirset *set;
    struct arena *arena;
    const struct dirmap *map;
    struct str keys[FIND_KEYS_MAX];
    struct str left_out[FIND_KEYS_MAX]; /* the extension that a key lacks */
    size_t n, at;
    struct lookup_want want;
    find_fn fn;
    void *arg;
};

static void ask_next(struct find *f);

static void on_lookup(void *arg)
{
    struct find *f = arg;
    if (f->want.answer == LDAPMAP_NO && ++f->at < f->n) {
        ask_next(f);
        return;
    }
    struct find_result r = {.answer = f->want.answer, .why = f->want.why};
    if (r.answer == LDAPMAP_YES) {
        r.values = f->want.values;
        r.count = f->want.count;
        r.extension = f->left_out[f->at];
    }
    f->fn(f->arg, &r);
}

static void ask_next(struct find *f)
{
    f->want = (struct lookup_want){.map = f->map};
    lookup_run(f->set, f->arena, &f->want, 1, f->keys[f->at], NULL, on_lookup, f);
}

static struct find *find_new(struct dirset *set, struct arena *a, const struct dirmap *map,
                             find_fn fn, void *arg)
{
    struct find *f = ARENA_NEW(a, struct find);
    *f = (struct find){.set = set, .arena = a, .map = map, .fn = fn, .arg = arg};
    return f;
}

static void add_key(struct find *f, struct str key, struct str left_out)
{
    if (key.n == 0 || f->n == FIND_KEYS_MAX)
        return;
    f->keys[f->n] = key;
    f->left_out[f->n++] = left_out;
}

static void start(struct find *f)
{
    static const struct find_result nothing = {.answer = LDAPMAP_NO};
    if (f->map->n == 0 || f->n == 0)
        f->fn(f->arg, &nothing);
    else
        ask_next(f);
}

bool find_is_own_domain(const struct dirset *set, struct str domain)
{
    return str_caseeq(domain, set->names.myorigin) || lookup_is_listed(&set->local_domains, domain);
}

void find_address(struct dirset *set, struct arena *a, const struct dirmap *map,
                  const struct name_address *addr, find_fn fn, void *arg)
{
    struct find *f = find_new(set, a, map, fn, arg);
    struct str none = {0};
    add_key(f, addr->key, none);
    add_key(f, addr->short_key, addr->extension);
    if (find_is_own_domain(set, addr->domain)) {
        struct str domain = addr->at_domain;
        add_key(f, str_head(addr->key, addr->key.n - domain.n), none);
        if (addr->short_key.n)
            add_key(f, str_head(addr->short_key, addr->short_key.n - domain.n), addr->extension);
    }
    add_key(f, addr->at_domain, none);
    start(f);
}

void find_keys(struct dirset *set, struct arena *a, const struct dirmap *map,
               const struct str *keys, size_t n, find_fn fn, void *arg)
{
    struct find *f = find_new(set, a, map, fn, arg);
    for (size_t i = 0; i < n; i++)
        add_key(f, arena_str(a, keys[i]), (struct str){0});
    start(f);
}
