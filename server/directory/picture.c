/* What the directory said, by question and by entry. */
#include "directory/picture.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "directory/names.h"

#include <stdlib.h>

#define BYTES_MAX ((size_t)32 << 20)
#define ONE_MAX ((size_t)1 << 20) /* an answer larger than that is not kept */
#define OVERHEAD 400              /* of one answer, about */
#define WATCHED_MS 600000         /* how long an answer is kept while changes are told */
#define DOWN_MS 1000 /* after a failure, old answers are given without asking for so long */
#define LOG_AGAIN_MS 60000

struct kept;

/* That an answer holds an entry. */
struct ref {
    struct ref *next, **at; /* among all of that entry */
    struct kept *kept;
    struct str dn, stamp;
};

struct kept {
    struct kept *older, *newer;
    struct arena *arena; /* it lies in there itself */
    struct str key;
    const char *filter;
    struct search_result result;
    int64_t asked;
    uint64_t epoch; /* 0: changes are not told */
    struct ref *refs;
    size_t ref_count, bytes;
};

struct waiter {
    struct waiter *next;
    struct arena *arena;
    unsigned flags;
    search_fn fn;
    void *arg;
    struct search_result result;
};

/* A search under way, in an arena of its own, which becomes the kept answer's. */
struct flight {
    struct flight *next, **at; /* among all */
    struct picture *p;
    struct arena *arena;
    struct str key;
    struct ldapmap_search what;
    struct waiter *waiters;
    int64_t asked;
    uint64_t epoch;
    bool outdated; /* something changed since: not to be kept, nobody joins */
};

struct picture {
    struct event_base *base;
    struct picture_rules rules;
    struct map *by_key, *by_dn; /* of struct kept; of struct entry_refs */
    struct map *flights_by_key;
    struct flight *flights;
    struct kept *oldest, *newest;
    struct waiter *ready, **ready_last; /* their callbacks come from the event loop */
    struct event *finish;
    uint64_t epoch; /* of the watching; 0: none */
    uint64_t last_epoch;
    const struct searcher *watched;
    struct str watched_base; /* in normal form */
    char *base_seen;         /* the base asked about last, and whether it is watched */
    bool base_covered;
    int64_t down_until, last_logged;
    struct picture_counts counts;
};

/* --- kept answers --- */

/* What the table by DN holds: the references to one entry. */
struct entry_refs {
    struct ref *first;
};

static void ref_drop(struct ref *r)
{
    *r->at = r->next;
    if (r->next)
        r->next->at = r->at;
}

static void kept_drop(struct picture *p, struct kept *k)
{
    for (size_t i = 0; i < k->ref_count; i++) {
        ref_drop(&k->refs[i]);
        struct entry_refs *head = map_get(p->by_dn, k->refs[i].dn);
        if (head && !head->first)
            free(map_take(p->by_dn, k->refs[i].dn));
    }
    *(k->older ? &k->older->newer : &p->oldest) = k->newer;
    *(k->newer ? &k->newer->older : &p->newest) = k->older;
    map_take(p->by_key, k->key);
    p->counts.kept--;
    p->counts.bytes -= k->bytes;
    arena_free(k->arena);
}

static bool is_no(const struct kept *k)
{
    return k->result.count == 0;
}

static size_t drop_if(struct picture *p, bool (*which)(const struct kept *, const void *),
                      const void *arg)
{
    size_t n = 0;
    struct kept *next;
    for (struct kept *k = p->oldest; k; k = next) {
        next = k->newer;
        if (!which(k, arg))
            continue;
        kept_drop(p, k);
        n++;
    }
    return n;
}

static bool which_no(const struct kept *k, const void *arg)
{
    (void)arg;
    return is_no(k);
}

static bool which_all(const struct kept *k, const void *arg)
{
    (void)k;
    (void)arg;
    return true;
}

/* Drops what shows this entry with another stamp: true when there was such. Where no attributes were
 * asked for, or the reader may not see stamps, there is nothing to compare. */
static bool drop_older_of(struct picture *p, struct str dn, struct str stamp)
{
    struct entry_refs *head = map_get(p->by_dn, dn);
    bool any = false;
    for (struct ref *r = head ? head->first : NULL; r;) {
        if (r->stamp.n == 0 || stamp.n == 0 || str_eq(r->stamp, stamp)) {
            r = r->next;
            continue;
        }
        any = true;
        kept_drop(p, r->kept); /* the head may be gone with it */
        head = map_get(p->by_dn, dn);
        r = head ? head->first : NULL;
    }
    return any;
}

bool picture_is_stamp(struct str name)
{
    return str_caseeq(name, STR("entryCSN")) || str_caseeq(name, STR("modifyTimestamp"));
}

static struct str stamp_of(const struct ldapmap_entry *entry)
{
    static const char *const names[] = {"entryCSN", "modifyTimestamp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct ldapmap_attr *attr = ldapmap_entry_attr(entry, names[i]);
        if (attr && attr->count)
            return attr->values[0];
    }
    return (struct str){0};
}

static void add_refs(struct picture *p, struct kept *k)
{
    bool changed = false;
    for (size_t i = 0; i < k->result.count; i++)
        changed |= drop_older_of(p, k->result.entries[i].dn, stamp_of(&k->result.entries[i]));
    if (changed)
        drop_if(p, which_no, NULL);
    k->refs = arena_array(k->arena, k->result.count + 1, sizeof *k->refs);
    for (size_t i = 0; i < k->result.count; i++) {
        const struct ldapmap_entry *entry = &k->result.entries[i];
        struct ref *r = &k->refs[k->ref_count++];
        struct entry_refs *head = map_get(p->by_dn, entry->dn);
        if (!head) {
            head = MEM_NEW(struct entry_refs);
            map_put(p->by_dn, entry->dn, head);
        }
        *r = (struct ref){head->first, &head->first, k, entry->dn, stamp_of(entry)};
        if (r->next)
            r->next->at = &r->next;
        head->first = r;
    }
}

static int64_t kept_for(const struct picture *p, const struct kept *k)
{
    if (p->epoch && k->epoch == p->epoch)
        return WATCHED_MS;
    return is_no(k) ? p->rules.no_ms : p->rules.yes_ms;
}

static bool is_fresh(const struct picture *p, const struct kept *k, int64_t now)
{
    return now - k->asked < kept_for(p, k);
}

/* In an outage. That nothing was found serves too: an address is found by way of others that are
 * not there. Whoever makes a "no" of it must not. */
static bool is_usable(const struct picture *p, const struct kept *k, int64_t now)
{
    return now - k->asked < kept_for(p, k) + p->rules.stale_ms;
}

static void make_room(struct picture *p, int64_t now)
{
    while (p->oldest && (p->counts.bytes > BYTES_MAX ||
                         now - p->oldest->asked > WATCHED_MS + p->rules.stale_ms))
        kept_drop(p, p->oldest);
}

/* Success, or the question whether there is any entry at all, which ends with its first. */
static bool is_good(const struct flight *f, const struct search_result *r)
{
    return r->code == LDAP_SUCCESS ||
           (r->code == LDAP_SIZELIMIT_EXCEEDED && f->what.sizelimit == 1 && r->count == 1);
}

/* Takes the flight's arena over when it is kept. */
static void keep(struct picture *p, struct flight *f, const struct search_result *r)
{
    bool lasts = p->epoch && f->epoch == p->epoch;
    if (f->outdated || !is_good(f, r) || arena_used(f->arena) > ONE_MAX ||
        (!lasts && (r->count ? p->rules.yes_ms : p->rules.no_ms) == 0))
        return;
    struct kept *k = map_get(p->by_key, f->key);
    if (k)
        kept_drop(p, k);
    k = ARENA_NEW(f->arena, struct kept);
    *k = (struct kept){.arena = f->arena,
                       .key = f->key,
                       .filter = f->what.filter,
                       .result = *r,
                       .asked = f->asked,
                       .epoch = f->epoch};
    f->arena = NULL;
    add_refs(p, k);
    k->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = k;
    p->newest = k;
    map_put(p->by_key, k->key, k);
    k->bytes = arena_used(k->arena) + OVERHEAD;
    p->counts.kept++;
    p->counts.bytes += k->bytes;
    make_room(p, clock_mono_ms());
}

/* --- answering --- */

enum origin { FROM_SERVER, FROM_MEMORY, FROM_BEFORE_OUTAGE };

static void make_ready(struct picture *p, struct waiter *w, const struct search_result *r,
                       enum origin origin)
{
    w->result = (struct search_result){
        .code = r->code, .count = r->count, .stale = origin == FROM_BEFORE_OUTAGE};
    if (origin == FROM_SERVER)
        w->result.server = arena_str(w->arena, r->server);
    w->result.diagnostic = arena_str(w->arena, r->diagnostic);
    w->result.entries = arena_array(w->arena, r->count + 1, sizeof *w->result.entries);
    for (size_t i = 0; i < r->count; i++)
        ldapmap_entry_copy(w->arena, &r->entries[i], &w->result.entries[i]);
    w->next = NULL;
    *p->ready_last = w;
    p->ready_last = &w->next;
    event_active(p->finish, EV_TIMEOUT, 0);
}

static void on_finish(evutil_socket_t fd, short what, void *arg)
{
    struct picture *p = arg;
    (void)fd;
    (void)what;
    while (p->ready) {
        struct waiter *w = p->ready;
        if (!(p->ready = w->next))
            p->ready_last = &p->ready;
        w->fn(w->arg, &w->result);
    }
}

/* libldap's own codes, and those that mean "not now": as if nobody had answered. */
static bool is_outage(int code)
{
    return code < 0 || code == LDAP_BUSY || code == LDAP_UNAVAILABLE;
}

static const struct kept *kept_in_outage(struct picture *p, struct str key, unsigned flags,
                                         int64_t now)
{
    const struct kept *k = map_get(p->by_key, key);
    if (flags & PICTURE_CURRENT || p->rules.stale_ms == 0 || !k || !is_usable(p, k, now))
        return NULL;
    p->counts.stale++;
    if (now - p->last_logged > LOG_AGAIN_MS) {
        p->last_logged = now;
        log_warning("directory-stale", LN("age_ms", now - k->asked),
                    LZ("meaning", "no server answers; lookups are served from what was known"));
    }
    return k;
}

static void flight_unlink(struct flight *f)
{
    *f->at = f->next;
    if (f->next)
        f->next->at = f->at;
    if (!f->outdated)
        map_take(f->p->flights_by_key, f->key);
}

static void flight_free(struct flight *f)
{
    arena_free(f->arena);
    free(f);
}

static void on_searched(void *arg, const struct search_result *r)
{
    struct flight *f = arg;
    struct picture *p = f->p;
    int64_t now = clock_mono_ms();
    bool outage = is_outage(r->code);
    struct waiter *next;
    flight_unlink(f);
    if (outage)
        p->down_until = now + DOWN_MS;
    else
        p->down_until = 0;
    for (struct waiter *w = f->waiters; w; w = next) {
        next = w->next;
        const struct kept *k = outage ? kept_in_outage(p, f->key, w->flags, now) : NULL;
        make_ready(p, w, k ? &k->result : r, k ? FROM_BEFORE_OUTAGE : FROM_SERVER);
    }
    keep(p, f, r);
    flight_free(f);
}

/* --- asking --- */

static bool wants_nothing(const struct ldapmap_search *what)
{
    return strcmp(what->attrs[0], LDAP_NO_ATTRS) == 0;
}

static struct str search_key(struct arena *a, const struct searcher *s,
                             const struct ldapmap_search *what)
{
    AUTO_BUF b = {0};
    buf_printf(&b, "%p %d %d %d ", (const void *)s, what->scope, what->sizelimit, what->deref);
    buf_add(&b, what->base, strlen(what->base) + 1);
    buf_add(&b, what->filter, strlen(what->filter) + 1);
    for (const char *const *attr = what->attrs; *attr; attr++)
        buf_add(&b, *attr, strlen(*attr) + 1);
    return arena_str(a, buf_view(&b));
}

/* What is to be asked, with the stamps, in the flight's own arena. */
static void copy_search(struct flight *f, const struct ldapmap_search *what)
{
    static const char *const stamps[] = {"entryCSN", "modifyTimestamp"};
    size_t n = 0;
    while (what->attrs[n])
        n++;
    const char **attrs = arena_array(f->arena, n + 3, sizeof *attrs);
    for (size_t i = 0; i < n; i++)
        attrs[i] = arena_strz(f->arena, str_from(what->attrs[i]));
    if (!wants_nothing(what))
        memcpy(attrs + n, stamps, sizeof stamps);
    f->what = *what;
    f->what.base = arena_strz(f->arena, str_from(what->base));
    f->what.filter = arena_strz(f->arena, str_from(what->filter));
    f->what.attrs = attrs;
}

/* Is this search told about by those who watch? */
static bool is_watched(struct picture *p, const struct searcher *s,
                       const struct ldapmap_search *what)
{
    if (!p->epoch || s != p->watched || what->deref != 0)
        return false;
    if (!p->base_seen || strcmp(p->base_seen, what->base) != 0) {
        AUTO_ARENA a = arena_new(512);
        struct str dn = name_dn(a, str_from(what->base));
        p->base_covered = dn.n && str_ends(dn, p->watched_base);
        free(p->base_seen);
        p->base_seen = mem_strdup(str_from(what->base));
    }
    return p->base_covered;
}

static struct flight *flight_new(struct picture *p, struct searcher *s, struct str key,
                                 const struct ldapmap_search *what)
{
    struct flight *f = MEM_NEW(struct flight);
    *f = (struct flight){.p = p, .asked = clock_mono_ms(), .next = p->flights, .at = &p->flights};
    if (f->next)
        f->next->at = &f->next;
    p->flights = f;
    f->arena = arena_new(1024);
    f->key = arena_str(f->arena, key);
    f->epoch = is_watched(p, s, what) ? p->epoch : 0;
    copy_search(f, what);
    map_put(p->flights_by_key, f->key, f);
    search_run(s, f->arena, &f->what, on_searched, f);
    return f;
}

void picture_search(struct picture *p, struct searcher *s, struct arena *a,
                    const struct ldapmap_search *what, unsigned flags, search_fn fn, void *arg)
{
    struct waiter *w = ARENA_NEW(a, struct waiter);
    struct str key = search_key(a, s, what);
    const struct kept *k = map_get(p->by_key, key);
    int64_t now = clock_mono_ms();
    *w = (struct waiter){.arena = a, .flags = flags, .fn = fn, .arg = arg};
    if (k && is_fresh(p, k, now)) {
        p->counts.hits++;
        make_ready(p, w, &k->result, FROM_MEMORY);
        return;
    }
    struct flight *f = map_get(p->flights_by_key, key);
    if (!f && now < p->down_until && (k = kept_in_outage(p, key, flags, now))) {
        make_ready(p, w, &k->result, FROM_BEFORE_OUTAGE);
        return;
    }
    p->counts.shared += f != NULL;
    if (!f)
        f = flight_new(p, s, key, what);
    w->next = f->waiters;
    f->waiters = w;
}

/* --- forgetting --- */

static void outdate_flights(struct picture *p)
{
    for (struct flight *f = p->flights; f; f = f->next) {
        if (!f->outdated)
            map_take(p->flights_by_key, f->key);
        f->outdated = true;
    }
}

size_t picture_forget(struct picture *p)
{
    outdate_flights(p);
    return drop_if(p, which_all, NULL);
}

/* --- one user --- */

static bool contains_nocase(struct str s, struct str part)
{
    for (size_t i = 0; part.n && i + part.n <= s.n; i++)
        if (str_caseeq((struct str){s.p + i, part.n}, part))
            return true;
    return false;
}

static bool entry_names(const struct ldapmap_entry *entry, struct str user)
{
    for (size_t i = 0; i < entry->count; i++)
        for (size_t j = 0; j < entry->attrs[i].count; j++)
            if (str_caseeq(entry->attrs[i].values[j], user))
                return true;
    return contains_nocase(entry->dn, user);
}

static bool names_user(const struct kept *k, struct str user)
{
    if (contains_nocase(str_from(k->filter), user))
        return true;
    for (size_t i = 0; i < k->result.count; i++)
        if (entry_names(&k->result.entries[i], user))
            return true;
    return false;
}

static bool which_marked(const struct kept *k, const void *arg)
{
    const struct map *marked = arg;
    for (size_t i = 0; i < k->ref_count; i++)
        if (map_get(marked, k->refs[i].dn))
            return true;
    return is_no(k);
}

size_t picture_forget_user(struct picture *p, struct str user)
{
    struct map *marked = map_new();
    size_t n = 0;
    struct kept *next;
    outdate_flights(p);
    for (struct kept *k = p->oldest; k; k = next) {
        next = k->newer;
        if (!names_user(k, user))
            continue;
        for (size_t i = 0; i < k->ref_count; i++)
            map_put(marked, k->refs[i].dn, p);
        kept_drop(p, k);
        n++;
    }
    n += drop_if(p, which_marked, marked);
    map_free(marked, NULL);
    return n;
}

/* --- watching --- */

void picture_watched(struct picture *p, const struct searcher *s, struct str base)
{
    AUTO_ARENA a = arena_new(512);
    picture_unwatched(p);
    struct str dn = name_dn(a, base);
    if (dn.n == 0)
        return;
    p->watched = s;
    p->watched_base = (struct str){mem_strdup(dn), dn.n};
    p->epoch = ++p->last_epoch;
}

void picture_unwatched(struct picture *p)
{
    p->epoch = 0;
    free((char *)(uintptr_t)p->watched_base.p);
    p->watched_base = (struct str){0};
    free(p->base_seen);
    p->base_seen = NULL;
}

/* --- the picture --- */

struct picture *picture_new(struct event_base *base, const struct picture_rules *rules)
{
    struct picture *p = MEM_NEW(struct picture);
    p->base = base;
    p->rules = *rules;
    p->by_key = map_new();
    p->by_dn = map_new();
    p->flights_by_key = map_new();
    p->ready_last = &p->ready;
    p->finish = evtimer_new(base, on_finish, p);
    return p;
}

void picture_free(struct picture *p)
{
    if (!p)
        return;
    picture_forget(p);
    while (p->flights) {
        struct flight *f = p->flights;
        flight_unlink(f);
        flight_free(f);
    }
    picture_unwatched(p);
    event_free(p->finish);
    map_free(p->by_key, NULL);
    map_free(p->by_dn, free);
    map_free(p->flights_by_key, NULL);
    free(p);
}

void picture_counts(const struct picture *p, struct picture_counts *out)
{
    *out = p->counts;
    out->under_way = map_count(p->flights_by_key);
}
