/* Asking maps. */
#include "directory/lookup.h"
#include "base/clock.h"
#include "directory/join.h"
#include "directory/maps.h"
#include "directory/trace.h"

#include <stdlib.h>

#define WANTS_MAX 16

static const struct ldapmap_limits limits = {
    .searches = 1000,
    .entries = 100000,
    .bytes = (size_t)16 << 20,
};

struct lookup {
    struct dirset *set;
    struct arena *arena;
    struct lookup_want *wants;
    size_t n;
    struct str key;
    const char *const *extra;
    struct join *join; /* NULL: each search goes by itself */
    lookup_fn fn;
    void *arg;
    size_t pending; /* queries under way */
};

/* Some wants that one query answers. */
struct asked {
    struct lookup *l;
    struct searcher *searcher;
    struct ldapmap_query *query;
    struct lookup_want *wants[WANTS_MAX];
    size_t n;
    struct ldapmap_search search; /* under way; for the trace */
    int64_t began;
};

static void step(struct lookup *l);

/* --- queries --- */

static void take_answer(struct asked *q, size_t i)
{
    struct lookup_want *w = q->wants[i];
    const struct ldapmap_result *r = ldapmap_query_result(q->query, i);
    w->query = q->query;
    w->answer = r->answer;
    w->values = r->values;
    w->count = r->count;
    if (w->answer == LDAPMAP_CANNOT_SAY)
        w->why = arena_printf(q->l->arena, "%s: %s", w->map->option, r->err.log).p;
    w->answered = w->answer != LDAPMAP_NO || w->next == w->map->n;
}

static void on_search(void *arg, const struct search_result *r);

/* For whom the search is made: the names of the maps. */
static struct str asked_for(const struct asked *q)
{
    AUTO_BUF maps = {0};
    for (size_t i = 0; i < q->n; i++)
        buf_printf(&maps, "%s%s", i ? " " : "", q->wants[i]->map->option);
    return arena_str(q->l->arena, buf_view(&maps));
}

static void send_search(struct asked *q)
{
    struct lookup *l = q->l;
    unsigned flags = q->wants[0]->current ? PICTURE_CURRENT : 0;
    struct str label = l->set->trace ? asked_for(q) : (struct str){0};
    q->began = l->set->trace ? clock_real_us() : 0;
    if (!l->join || q->wants[0]->exists ||
        !join_add(l->join, q->searcher, &q->search, flags, label, l->key, on_search, q))
        picture_search(l->set->picture, q->searcher, l->arena, &q->search, flags, on_search, q);
}

/* The query's next search; false when it is finished. */
static bool query_continue(struct asked *q)
{
    struct ldapmap_search search;
    if (ldapmap_query_next(q->query, &search)) {
        q->search = search;
        send_search(q);
        return true;
    }
    for (size_t i = 0; i < q->n; i++)
        take_answer(q, i);
    return false;
}

static void on_search(void *arg, const struct search_result *r)
{
    struct asked *q = arg;
    for (size_t i = 0; r->stale && i < q->n; i++)
        if (q->wants[i]->stale)
            *q->wants[i]->stale = true;
    if (q->l->set->trace && !r->told)
        trace_search(q->l->set->trace, asked_for(q), q->l->key, &q->search, r, q->began);
    for (size_t i = 0; i < r->count; i++)
        ldapmap_query_entry(q->query, &r->entries[i]);
    ldapmap_query_done(q->query, r->code, r->diagnostic);
    if (query_continue(q))
        return;
    if (--q->l->pending == 0)
        step(q->l);
}

static void query_start(struct asked *q)
{
    struct lookup *l = q->l;
    const struct ldapmap_table *tables[WANTS_MAX];
    for (size_t i = 0; i < q->n; i++)
        tables[i] = q->wants[i]->source->table;
    q->searcher = q->wants[0]->source->searcher;
    q->query = q->wants[0]->exists
                   ? ldapmap_query_exists(l->arena, &limits, tables[0], l->key)
                   : ldapmap_query_new(l->arena, &limits, tables, q->n, l->key, l->extra);
    l->pending++;
    if (!query_continue(q))
        l->pending--;
}

/* --- one round: the next source of every want that has no answer yet --- */

static void answer_yes(struct lookup *l, struct lookup_want *w, struct str value)
{
    struct ldapmap_value *v = ARENA_NEW(l->arena, struct ldapmap_value);
    v->value = value;
    w->answer = LDAPMAP_YES;
    w->values = v;
    w->count = 1;
    w->answered = true;
}

/* Sources that need no search, up to the next that does (true), or to an answer. */
static bool advance(struct lookup *l, struct lookup_want *w)
{
    while (!w->answered) {
        if (w->next == w->map->n) {
            w->answered = true;
            break;
        }
        w->source = &w->map->v[w->next++];
        if (w->source->kind == SOURCE_LDAP)
            return true;
        if (w->source->kind == SOURCE_PAIRS) {
            const struct str *value = maps_pair(w->source, l->key);
            if (value)
                answer_yes(l, w, *value);
            continue;
        }
        if (w->source->kind == SOURCE_STATIC || str_caseeq(w->source->text, l->key))
            answer_yes(l, w, w->source->text);
    }
    return false;
}

static bool fits(const struct asked *q, const struct lookup_want *w)
{
    const struct lookup_want *first = q->wants[0];
    return !first->exists && !w->exists && first->current == w->current && q->n < WANTS_MAX &&
           ldapmap_table_shares(first->source->table, w->source->table);
}

static void gather(struct lookup *l, struct lookup_want *w, struct asked *groups, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        if (!fits(&groups[i], w))
            continue;
        groups[i].wants[groups[i].n++] = w;
        return;
    }
    groups[*count] = (struct asked){.l = l, .wants = {w}, .n = 1};
    (*count)++;
}

static bool is_finished(const struct lookup *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->wants[i].answered)
            return false;
    return true;
}

/* Rounds until some query is under way or all is answered; a query that needs no search (a key of
 * another domain) is over at once. */
static void rounds(struct lookup *l)
{
    while (l->pending == 0 && !is_finished(l)) {
        struct asked *groups = arena_array(l->arena, l->n, sizeof *groups);
        size_t count = 0;
        for (size_t i = 0; i < l->n; i++)
            if (advance(l, &l->wants[i]))
                gather(l, &l->wants[i], groups, &count);
        for (size_t i = 0; i < count; i++)
            query_start(&groups[i]);
    }
}

static void step(struct lookup *l)
{
    rounds(l);
    if (l->pending == 0)
        l->fn(l->arg);
}

static void on_answered_at_once(evutil_socket_t fd, short what, void *arg)
{
    struct lookup *l = arg;
    (void)fd;
    (void)what;
    l->fn(l->arg);
}

void lookup_run(struct dirset *set, struct arena *a, struct lookup_want *wants, size_t n,
                struct str key, const char *const *extra, lookup_fn fn, void *arg)
{
    lookup_run_joined(set, a, wants, n, key, extra, NULL, fn, arg);
}

void lookup_run_joined(struct dirset *set, struct arena *a, struct lookup_want *wants, size_t n,
                       struct str key, const char *const *extra, struct join *join, lookup_fn fn,
                       void *arg)
{
    struct lookup *l = ARENA_NEW(a, struct lookup);
    *l = (struct lookup){.set = set,
                         .arena = a,
                         .wants = wants,
                         .n = n,
                         .key = arena_str(a, key),
                         .extra = extra,
                         .join = join,
                         .fn = fn,
                         .arg = arg};
    for (size_t i = 0; i < n; i++)
        wants[i].answer = LDAPMAP_NO;
    rounds(l);
    if (l->pending == 0)
        event_base_once(pools_base(set->pools), -1, EV_TIMEOUT, on_answered_at_once, l, NULL);
}

/* --- about maps and answers --- */

bool lookup_is_listed(const struct dirmap *map, struct str domain)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct map_source *m = &map->v[i];
        if (m->kind == SOURCE_PAIRS && maps_pair(m, domain))
            return true;
        if (m->kind == SOURCE_STATIC || (m->kind == SOURCE_PLAIN && str_caseeq(m->text, domain)))
            return true;
    }
    return false;
}

bool lookup_has_tables(const struct dirmap *map)
{
    for (size_t i = 0; i < map->n; i++)
        if (map->v[i].kind == SOURCE_LDAP)
            return true;
    return false;
}

const struct ldapmap_entry *lookup_entry(const struct lookup_want *w, size_t value)
{
    return value < w->count ? w->values[value].root : NULL;
}
