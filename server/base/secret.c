/* Secrets in guarded memory (libsodium): never swapped, never dumped, wiped when freed. */
#include "base/mem.h"

#include <sodium.h>

struct secret secret_copy(struct str s)
{
    /* Guarded memory is laid out by the library's start, which may be called again at no cost. */
    char *p = sodium_init() < 0 ? NULL : sodium_malloc(s.n + 1);
    if (!p)
        return (struct secret){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct secret){p, s.n};
}

void secret_free(struct secret *s)
{
    if (s->p)
        sodium_free(s->p);
    *s = (struct secret){NULL, 0};
}

void mem_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool secret_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}
