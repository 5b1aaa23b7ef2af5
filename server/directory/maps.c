/* Named maps, and lists of keys and values. */
#include "directory/maps.h"
#include "base/map.h"

#include <stdlib.h>

bool maps_is_named(const struct config_option *o)
{
    return strcmp(o->type, "MAP") == 0 && (o->who & DIRECTORY) && (o->who & ~(MASTER | DIRECTORY));
}

/* --- lists --- */

/* The first of equal keys counts. */
static void put_pair(struct arena *a, struct map_source *m, struct str key, struct str value)
{
    struct str *v = ARENA_NEW(a, struct str);
    struct str name = arena_str(a, key);
    str_lower((char *)name.p, name.n);
    *v = arena_str(a, value);
    if (!map_get(m->pairs, name))
        map_put(m->pairs, name, v);
}

int maps_read_inline(struct arena *a, struct map_source *m, struct err *e)
{
    struct str rest, key, value;
    int r;
    m->kind = SOURCE_PAIRS;
    m->pairs = map_new();
    if (!config_map_braced(m->text, &rest))
        return err_perm(e, "inline: needs {KEY=VALUE …}");
    while ((r = config_map_inline_next(&rest, &key, &value, e)) == 1)
        put_pair(a, m, key, value);
    return r;
}

int maps_read_text(struct arena *a, struct map_source *m, struct str text, struct err *e)
{
    struct str key, value;
    unsigned line = 0;
    int r;
    m->kind = SOURCE_PAIRS;
    m->pairs = map_new();
    while ((r = config_map_text_next(&text, &line, &key, &value, e)) == 1)
        put_pair(a, m, key, value);
    return r == 0 ? 0 : err_prefix(e, "%.*s", STR_FMT(m->text));
}

const struct str *maps_pair(const struct map_source *m, struct str key)
{
    AUTO_FREE char *low = mem_strdup(key);
    str_lower(low, key.n);
    return map_get(m->pairs, (struct str){low, key.n});
}

/* --- asking --- */

struct asked {
    struct dirset *set;
    struct arena *arena;
    struct lookup_want want;
    maps_fn fn;
    void *arg;
};

static void on_lookup(void *arg)
{
    struct asked *q = arg;
    struct maps_result r = {.why = q->want.why};
    AUTO_BUF joined = BUF_MAX(MAPS_VALUE_MAX);
    int full = 0;
    for (size_t i = 0; i < q->want.count; i++) {
        if (i)
            full |= buf_byte(&joined, ',');
        full |= buf_str(&joined, q->want.values[i].value);
    }
    if (q->want.answer == LDAPMAP_NO)
        r.verdict = VERDICT_NO;
    else if (q->want.answer == LDAPMAP_YES && !full)
        r.verdict = VERDICT_YES;
    if (full)
        r.why = "the value is too long";
    r.value = r.verdict == VERDICT_YES ? buf_view(&joined) : (struct str){"", 0};
    q->fn(q->arg, &r);
    mem_wipe(joined.p, joined.n);
    dirset_release(q->set);
    arena_free(q->arena);
    free(q);
}

static const struct dirmap *find(const struct dirset *set, unsigned asker, struct str option)
{
    const struct config_option *o = config_find(option);
    if (!o || !(o->who & asker))
        return NULL;
    for (size_t i = 0; i < set->named_count; i++)
        if (str_eq(str_from(set->named[i].option), option))
            return &set->named[i];
    return NULL;
}

void maps_run(struct dirset *set, unsigned asker, struct str option, struct str key, maps_fn fn,
              void *arg)
{
    const struct dirmap *map = find(set, asker, option);
    if (!map) {
        fn(arg, &(struct maps_result){.why = "no map that the program may ask"});
        return;
    }
    struct asked *q = MEM_NEW(struct asked);
    *q = (struct asked){.set = dirset_hold(set), .arena = arena_new(1024), .want = {.map = map},
                        .fn = fn, .arg = arg};
    lookup_run(set, q->arena, &q->want, 1, key, NULL, on_lookup, q);
}
