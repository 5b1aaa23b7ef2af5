/* Blocks of what the text index has; see text_known.h. Numbers are as this machine has them. */
#include "store/text_known.h"

#include <string.h>

/* The hashes of the row that the statement is at; those behind its end are 0. */
static void take_row(struct text_known *k, uint64_t hash[TEXT_KNOWN_BLOCK])
{
    const void *p = sqlite3_column_blob(k->get, 1);
    size_t n = (size_t)sqlite3_column_bytes(k->get, 1), max = TEXT_KNOWN_BLOCK * sizeof *hash;
    memset(hash, 0, max);
    if (p)
        memcpy(hash, p, n < max ? n : max);
}

int text_known_each(struct text_known *k, int64_t first, int64_t last,
                    void (*fn)(void *, uint32_t, uint64_t), void *ctx)
{
    uint64_t hash[TEXT_KNOWN_BLOCK];
    int r;
    sqlite3_bind_int64(k->get, 1, first / TEXT_KNOWN_BLOCK);
    sqlite3_bind_int64(k->get, 2, last / TEXT_KNOWN_BLOCK);
    while ((r = sqlite3_step(k->get)) == SQLITE_ROW) {
        uint32_t uid = (uint32_t)(sqlite3_column_int64(k->get, 0) * TEXT_KNOWN_BLOCK);
        take_row(k, hash);
        for (uint32_t i = 0; i < TEXT_KNOWN_BLOCK; i++)
            if (hash[i])
                fn(ctx, uid + i, hash[i]);
    }
    if (r != SQLITE_DONE)
        return r;
    return sqlite3_reset(k->get);
}

static int open_block(struct text_known *k, int64_t id)
{
    int r = k->open ? text_known_write(k) : SQLITE_OK;
    if (r != SQLITE_OK)
        return r;
    sqlite3_bind_int64(k->get, 1, id);
    sqlite3_bind_int64(k->get, 2, id);
    r = sqlite3_step(k->get);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return r;
    memset(k->hash, 0, sizeof k->hash);
    if (r == SQLITE_ROW)
        take_row(k, k->hash);
    k->id = id;
    k->open = true;
    k->changed = false;
    return sqlite3_reset(k->get);
}

int text_known_set(struct text_known *k, int64_t row, uint64_t hash, uint64_t *before)
{
    int64_t id = row / TEXT_KNOWN_BLOCK;
    int r = k->open && k->id == id ? SQLITE_OK : open_block(k, id);
    if (r != SQLITE_OK)
        return r;
    uint64_t *at = &k->hash[row % TEXT_KNOWN_BLOCK];
    *before = *at;
    k->changed |= *at != hash;
    *at = hash;
    return SQLITE_OK;
}

int text_known_write(struct text_known *k)
{
    size_t n = TEXT_KNOWN_BLOCK;
    if (!k->open || !k->changed)
        return SQLITE_OK;
    while (n && k->hash[n - 1] == 0)
        n--;
    sqlite3_stmt *st = n ? k->put : k->drop;
    sqlite3_bind_int64(st, 1, k->id);
    if (n)
        sqlite3_bind_blob(st, 2, k->hash, (int)(n * sizeof *k->hash), SQLITE_STATIC);
    int r = sqlite3_step(st);
    if (r != SQLITE_DONE)
        return r;
    k->changed = false;
    return sqlite3_reset(st);
}

void text_known_forget(struct text_known *k)
{
    k->open = k->changed = false;
}
