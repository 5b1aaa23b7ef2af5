/* Grants: a table by keyed hash, and a list in order of age for each lifetime. */
#include "directory/grants.h"
#include "base/map.h"

#include <sodium.h>
#include <stdlib.h>

enum life { LIFE_DELIVER, LIFE_SESSION, LIFE_SUBMISSION, LIVES };

static const int64_t life_ms[LIVES] = {
    [LIFE_DELIVER] = 10 * 60 * 1000,
    [LIFE_SESSION] = 60 * 1000,
    [LIFE_SUBMISSION] = 24 * 60 * 60 * 1000,
};

struct grant_record {
    struct grant_record *older, *newer;
    struct grant id;
    uint64_t hash;
    uint64_t holder;
    int64_t expires;
    enum life life;
    bool ended; /* the login is not what it was any more */
    struct grant_fields f; /* its strings stand behind the record */
};

struct age_list {
    struct grant_record *oldest, *newest;
    size_t n;
};

struct grants {
    struct map *by_hash;
    struct age_list lists[LIVES];
    size_t limit;
    void (*removed)(void *arg, const struct grant_fields *f);
    void *removed_arg;
};

struct grants *grants_new(size_t limit)
{
    struct grants *g = MEM_NEW(struct grants);
    g->by_hash = map_new();
    g->limit = limit;
    return g;
}

static void record_free(void *p)
{
    struct grant_record *r = p;
    mem_wipe(&r->id, sizeof r->id);
    free(r);
}

void grants_free(struct grants *g)
{
    if (!g)
        return;
    map_free(g->by_hash, record_free);
    free(g);
}

static struct str id_bytes(const struct grant *id)
{
    return (struct str){(const char *)id->b, sizeof id->b};
}

/* The table is searched by a hash that nobody outside can compute; the handle itself is compared in
 * constant time afterwards. */
static struct str hash_key(const uint64_t *hash)
{
    return (struct str){(const char *)hash, sizeof *hash};
}

static enum life life_of(const struct grant_fields *f)
{
    if (f->kind != GRANT_LOGIN)
        return LIFE_DELIVER;
    return f->service <= SERVICE_SUBMISSIONS ? LIFE_SUBMISSION : LIFE_SESSION;
}

static struct str keep(char **room, struct str s)
{
    struct str copy = {*room, s.n};
    if (s.n)
        memcpy(*room, s.p, s.n);
    *room += s.n;
    return copy;
}

static struct grant_record *record_new(const struct grant_fields *f)
{
    size_t n = f->home.n + f->maildir.n + f->address.n + f->login.n + f->name.n + f->dn.n +
               f->sender.n;
    struct grant_record *r = mem_alloc(sizeof *r + n);
    char *room = (char *)(r + 1);
    r->f = *f;
    r->f.home = keep(&room, f->home);
    r->f.maildir = keep(&room, f->maildir);
    r->f.address = keep(&room, f->address);
    r->f.login = keep(&room, f->login);
    r->f.name = keep(&room, f->name);
    r->f.dn = keep(&room, f->dn);
    r->f.sender = keep(&room, f->sender);
    return r;
}

static void list_add(struct age_list *l, struct grant_record *r)
{
    r->older = l->newest;
    if (l->newest)
        l->newest->newer = r;
    else
        l->oldest = r;
    l->newest = r;
    l->n++;
}

static void list_take(struct age_list *l, struct grant_record *r)
{
    if (r->older)
        r->older->newer = r->newer;
    else
        l->oldest = r->newer;
    if (r->newer)
        r->newer->older = r->older;
    else
        l->newest = r->older;
    l->n--;
}

int grants_issue(struct grants *g, const struct grant_fields *f, uint64_t holder, int64_t now,
                 struct grant *out)
{
    enum life life = life_of(f);
    grants_sweep(g, now);
    if (g->lists[life].n >= g->limit)
        return -1;
    struct grant_record *r = record_new(f);
    do {
        randombytes_buf(r->id.b, sizeof r->id.b);
        r->hash = map_hash(id_bytes(&r->id));
    } while (grant_is_none(&r->id) || map_get(g->by_hash, hash_key(&r->hash)));
    r->holder = holder;
    r->life = life;
    r->expires = now + life_ms[life];
    map_put(g->by_hash, hash_key(&r->hash), r);
    list_add(&g->lists[life], r);
    *out = r->id;
    return 0;
}

struct grant_record *grants_find(struct grants *g, const struct grant *id, int64_t now)
{
    uint64_t hash = map_hash(id_bytes(id));
    struct grant_record *r = map_get(g->by_hash, hash_key(&hash));
    if (!r || !secret_eq(id_bytes(&r->id), id_bytes(id)) || r->expires <= now)
        return NULL;
    return r;
}

const struct grant_fields *grants_fields(const struct grant_record *r)
{
    return &r->f;
}

uint64_t grants_holder(const struct grant_record *r)
{
    return r->holder;
}

bool grants_may_redeem(const struct grant_record *r, unsigned program)
{
    switch (program) {
    case DELIVER:
        return r->f.kind == GRANT_DELIVER;
    case MASTER:
        return r->life == LIFE_SESSION;
    case QUEUE:
        return r->life == LIFE_SUBMISSION || r->f.kind == GRANT_RELAY;
    default:
        return false;
    }
}

bool grants_is_single_use(const struct grant_record *r)
{
    return r->life != LIFE_SUBMISSION;
}

void grants_remove(struct grants *g, struct grant_record *r)
{
    map_take(g->by_hash, hash_key(&r->hash));
    list_take(&g->lists[r->life], r);
    if (g->removed && r->life == LIFE_SUBMISSION)
        g->removed(g->removed_arg, &r->f);
    record_free(r);
}

size_t grants_end_login(struct grants *g, struct str login, uint32_t uid)
{
    size_t n = 0;
    for (struct grant_record *r = g->lists[LIFE_SUBMISSION].oldest; r; r = r->newer) {
        if (r->ended || r->f.uid != uid || !str_eq(r->f.login, login))
            continue;
        r->ended = true;
        n++;
    }
    return n;
}

bool grants_is_ended(const struct grant_record *r)
{
    return r->ended;
}

void grants_on_removed(struct grants *g, void (*fn)(void *arg, const struct grant_fields *f),
                       void *arg)
{
    g->removed = fn;
    g->removed_arg = arg;
}

void grants_drop_holder(struct grants *g, uint64_t holder)
{
    struct grant_record *r = g->lists[LIFE_SUBMISSION].oldest;
    while (r) {
        struct grant_record *newer = r->newer;
        if (r->holder == holder)
            grants_remove(g, r);
        r = newer;
    }
}

void grants_sweep(struct grants *g, int64_t now)
{
    for (size_t i = 0; i < LIVES; i++)
        while (g->lists[i].oldest && g->lists[i].oldest->expires <= now)
            grants_remove(g, g->lists[i].oldest);
}

size_t grants_count(const struct grants *g)
{
    return map_count(g->by_hash);
}
