/* Looking for a local user. */
#include "directory/local.h"
#include "base/clock.h"
#include "directory/trace.h"
#include "directory/user.h"

struct local {
    struct dirset *set;
    struct arena *arena;
    struct str name;
    local_fn fn;
    void *arg;
    struct box box;
    struct lookup_want limit;
    struct ldapmap_search search; /* by user_filter; for the trace */
    int64_t began;
    bool *stale;
    struct err err;
};

static void cannot_say(struct local *l)
{
    l->fn(l->arg, VERDICT_CANNOT_SAY, NULL, l->err.log);
}

static void on_limit(void *arg)
{
    struct local *l = arg;
    if (box_limit(&l->limit, &l->box.limit, &l->err) != 0)
        cannot_say(l);
    else
        l->fn(l->arg, VERDICT_YES, &l->box, "");
}

static void on_user(void *arg, const struct search_result *r)
{
    struct local *l = arg;
    const struct ldapmap_entry *entry;
    trace_search(l->set->trace, STR("user_filter"), l->name, &l->search, r, l->began);
    *l->stale = *l->stale || r->stale;
    if (user_read(r, &entry, &l->err) != 0) {
        cannot_say(l);
    } else if (!entry) {
        l->fn(l->arg, VERDICT_NO, NULL, "user_filter matches no entry");
    } else if (box_of_entry(l->set, l->arena, entry, l->name, &l->box, &l->err) != 0) {
        cannot_say(l);
    } else {
        l->limit = (struct lookup_want){.map = &l->set->limit_maps, .stale = l->stale};
        lookup_run(l->set, l->arena, &l->limit, 1, l->name, NULL, on_limit, l);
    }
}

void local_run(struct dirset *set, struct arena *a, struct str user, bool *stale, local_fn fn,
               void *arg)
{
    struct local *l = ARENA_NEW(a, struct local);
    *l = (struct local){.set = set, .arena = a, .fn = fn, .arg = arg, .stale = stale};
    if (name_login_read(a, user, &l->name, &l->err) != 0) {
        fn(arg, VERDICT_NO, NULL, "no login name");
        return;
    }
    l->search = user_search(set, a, l->name, set->asked_attrs);
    l->began = set->trace ? clock_real_us() : 0;
    picture_search(set->picture, set->searcher, a, &l->search, 0, on_user, l);
}
