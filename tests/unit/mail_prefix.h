/* Feeds a parser every prefix of its input, each in a block of exactly its size, so that
 * AddressSanitizer sees the first byte read too many. */
#ifndef FACTEUR_TESTS_MAIL_PREFIX_H
#define FACTEUR_TESTS_MAIL_PREFIX_H

#include "base/mem.h"

#include <stdlib.h>

static inline void each_prefix(struct str text, void (*feed)(struct arena *a, struct str s))
{
    for (size_t n = 0; n <= text.n; n++) {
        AUTO_ARENA a = arena_new(1024);
        char *exact = malloc(n ? n : 1);
        if (n)
            memcpy(exact, text.p, n);
        feed(a, (struct str){exact, n});
        free(exact);
    }
}

#endif
