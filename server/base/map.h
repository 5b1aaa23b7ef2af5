/*
 * A hash table from bytes to pointers, keyed with a random key so that nobody outside can choose
 * colliding names. Keys are copied; values belong to the caller.
 */
#ifndef FACTEUR_BASE_MAP_H
#define FACTEUR_BASE_MAP_H

#include "base/str.h"

struct map;

struct map *map_new(void);
/* Frees the table; free_value, if given, is called for every value. NULL is fine. */
void map_free(struct map *m, void (*free_value)(void *));
void *map_get(const struct map *m, struct str key);              /* NULL: not there */
void *map_put(struct map *m, struct str key, void *value);       /* the value replaced, or NULL */
void *map_take(struct map *m, struct str key);                   /* removes; the value, or NULL */
size_t map_count(const struct map *m);
/* Walks the table: start with *at = 0; false at the end. The value just returned may be taken. */
bool map_next(const struct map *m, size_t *at, struct str *key, void **value);

/* Keyed 64-bit hash with the process's random key. */
uint64_t map_hash(struct str key);

#endif
