/*
 * Finding an address in a map as Postfix does (canonical(5), relocated(5)): user+extension@domain,
 * user@domain, then, where the domain is one of our own, user+extension and user, then @domain. The
 * first key with an answer decides.
 */
#ifndef FACTEUR_DIRECTORY_FIND_H
#define FACTEUR_DIRECTORY_FIND_H

#include "directory/lookup.h"

#define FIND_KEYS_MAX 40

struct find_result {
    enum ldapmap_answer answer;
    const struct ldapmap_value *values;
    size_t count;
    struct str extension; /* with its delimiter, when the key that matched did not have it */
    const char *why;      /* for LDAPMAP_CANNOT_SAY */
};

/* From the event loop, or from inside find_* when the map has no sources. */
typedef void (*find_fn)(void *arg, const struct find_result *r);

/* All lies in the arena; the set must be held meanwhile. */
void find_address(struct dirset *set, struct arena *a, const struct dirmap *map,
                  const struct name_address *addr, find_fn fn, void *arg);
/* The same with any keys, folded, in their order. */
void find_keys(struct dirset *set, struct arena *a, const struct dirmap *map,
               const struct str *keys, size_t n, find_fn fn, void *arg);

/* Bare user names stand for addresses of this domain: it is myorigin or in mydestination (as far as
 * that is known without asking). */
bool find_is_own_domain(const struct dirset *set, struct str domain);

#endif
