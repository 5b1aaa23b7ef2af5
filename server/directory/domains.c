/* A few seconds' memory for domains. */
#include "directory/domains.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

#define DOMAINS_MAX 10000

struct fact {
    enum domain_class class;
    int64_t class_until, no_catch_all_until;
};

struct domains {
    struct map *facts;
};

struct domains *domains_new(void)
{
    struct domains *d = MEM_NEW(struct domains);
    d->facts = map_new();
    return d;
}

void domains_free(struct domains *d)
{
    if (!d)
        return;
    map_free(d->facts, free);
    free(d);
}

enum domain_class domains_class(const struct domains *d, struct str domain, int64_t now)
{
    const struct fact *f = map_get(d->facts, domain);
    return f && f->class_until > now ? f->class : DOMAIN_UNKNOWN;
}

bool domains_has_no_catch_all(const struct domains *d, struct str domain, int64_t now)
{
    const struct fact *f = map_get(d->facts, domain);
    return f && f->no_catch_all_until > now;
}

void domains_forget(struct domains *d)
{
    map_free(d->facts, free);
    d->facts = map_new();
}

/* When the table is full it starts anew: it holds nothing that is not asked again in a moment. */
static struct fact *fact_for(struct domains *d, struct str domain)
{
    struct fact *f = map_get(d->facts, domain);
    if (f)
        return f;
    if (map_count(d->facts) >= DOMAINS_MAX)
        domains_forget(d);
    f = MEM_NEW(struct fact);
    map_put(d->facts, domain, f);
    return f;
}

void domains_keep_class(struct domains *d, struct str domain, enum domain_class c, int64_t now)
{
    if (c == DOMAIN_UNKNOWN || c == DOMAIN_NONE)
        return;
    struct fact *f = fact_for(d, domain);
    f->class = c;
    f->class_until = now + DOMAINS_KEPT_MS;
}

void domains_keep_no_catch_all(struct domains *d, struct str domain, int64_t now)
{
    fact_for(d, domain)->no_catch_all_until = now + DOMAINS_KEPT_MS;
}
