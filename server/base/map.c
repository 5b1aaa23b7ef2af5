/* Open addressing, linear probing, tombstones; grows at three quarters. */
#include "base/map.h"
#include "base/mem.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

struct slot {
    char *key; /* NULL: empty; &gone: removed */
    size_t n;
    uint64_t hash;
    void *value;
};

struct map {
    struct slot *slots;
    size_t cap, live, used; /* used counts tombstones too */
};

static char gone;
static unsigned char hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void hash_init(void)
{
    if (sodium_init() < 0)
        abort();
    randombytes_buf(hash_key, sizeof hash_key);
}

uint64_t map_hash(struct str key)
{
    uint64_t h;
    pthread_once(&hash_once, hash_init);
    crypto_shorthash((unsigned char *)&h, (const unsigned char *)(key.n ? key.p : ""), key.n,
                     hash_key);
    return h;
}

struct map *map_new(void)
{
    return MEM_NEW(struct map);
}

static bool is_live(const struct slot *s)
{
    return s->key && s->key != &gone;
}

void map_free(struct map *m, void (*free_value)(void *))
{
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++) {
        if (!is_live(&m->slots[i]))
            continue;
        if (free_value)
            free_value(m->slots[i].value);
        free(m->slots[i].key);
    }
    free(m->slots);
    free(m);
}

static struct slot *find(const struct map *m, struct str key, uint64_t hash)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct slot *s = &m->slots[i];
        if (!s->key)
            return NULL;
        if (s->key != &gone && s->hash == hash && str_eq((struct str){s->key, s->n}, key))
            return s;
    }
}

static void place(struct slot *slots, size_t cap, struct slot what)
{
    size_t i = what.hash & (cap - 1);
    while (slots[i].key)
        i = (i + 1) & (cap - 1);
    slots[i] = what;
}

static void rehash(struct map *m)
{
    size_t cap = 16;
    while (cap < m->live * 3)
        cap *= 2;
    struct slot *slots = mem_array(cap, sizeof *slots);
    for (size_t i = 0; i < m->cap; i++)
        if (is_live(&m->slots[i]))
            place(slots, cap, m->slots[i]);
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->used = m->live;
}

void *map_get(const struct map *m, struct str key)
{
    struct slot *s = find(m, key, map_hash(key));
    return s ? s->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash = map_hash(key);
    struct slot *s = find(m, key, hash);
    if (s) {
        void *old = s->value;
        s->value = value;
        return old;
    }
    if ((m->used + 1) * 4 > m->cap * 3)
        rehash(m);
    place(m->slots, m->cap, (struct slot){mem_strdup(key), key.n, hash, value});
    m->live++;
    m->used++;
    return NULL;
}

void *map_take(struct map *m, struct str key)
{
    struct slot *s = find(m, key, map_hash(key));
    if (!s)
        return NULL;
    void *value = s->value;
    free(s->key);
    *s = (struct slot){.key = &gone};
    m->live--;
    return value;
}

size_t map_count(const struct map *m)
{
    return m->live;
}

bool map_next(const struct map *m, size_t *at, struct str *key, void **value)
{
    while (*at < m->cap) {
        struct slot *s = &m->slots[(*at)++];
        if (!is_live(s))
            continue;
        *key = (struct str){s->key, s->n};
        *value = s->value;
        return true;
    }
    return false;
}
