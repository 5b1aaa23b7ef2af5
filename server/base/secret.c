/* Secrets in guarded memory (libsodium): never swapped, never dumped, wiped when freed. */
#include "base/mem.h"

#include <sodium.h>
#include <stdlib.h>

#define SLOT_BYTES 4080 /* with the library's own 16 in front: a page */
#define KEPT_MAX 64

struct secret_pool {
    char *kept[KEPT_MAX]; /* wiped */
    size_t n;
};

struct secret secret_copy(struct str s)
{
    /* Guarded memory is laid out by the library's start, which may be called again at no cost. */
    char *p = sodium_init() < 0 ? NULL : sodium_malloc(s.n + 1);
    if (!p)
        return (struct secret){.p = NULL};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct secret){.p = p, .n = s.n};
}

static char *slot_of(const struct secret *s)
{
    return s->p + s->n + 1 - SLOT_BYTES;
}

static void give_back(struct secret_pool *pool, char *slot, size_t used)
{
    sodium_memzero(slot + SLOT_BYTES - used, used);
    if (pool->n < KEPT_MAX)
        pool->kept[pool->n++] = slot;
    else
        sodium_free(slot);
}

void secret_free(struct secret *s)
{
    if (s->p && s->pool)
        give_back(s->pool, slot_of(s), s->n + 1);
    else if (s->p)
        sodium_free(s->p);
    *s = (struct secret){.p = NULL};
}

struct secret_pool *secret_pool_new(void)
{
    return MEM_NEW(struct secret_pool);
}

void secret_pool_free(struct secret_pool *pool)
{
    if (!pool)
        return;
    while (pool->n)
        sodium_free(pool->kept[--pool->n]);
    free(pool);
}

/* It ends where the slot does: what is behind it is a page that nobody may touch. */
struct secret secret_pool_copy(struct secret_pool *pool, struct str s)
{
    if (!pool || s.n >= SLOT_BYTES)
        return secret_copy(s);
    char *slot = pool->n ? pool->kept[--pool->n]
                         : sodium_init() < 0 ? NULL : sodium_malloc(SLOT_BYTES);
    if (!slot)
        return (struct secret){.p = NULL};
    char *p = slot + SLOT_BYTES - s.n - 1;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct secret){.p = p, .n = s.n, .pool = pool};
}

void mem_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool secret_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}
