/*
 * Which messages the text index has, and the hash of each one's base name: in blocks of some messages, since a
 * search has to know all of them.
 *
 * Of a change one block is in memory; it belongs to the struct store_text, which says when it is to be written.
 */
#ifndef FACTEUR_STORE_TEXT_KNOWN_H
#define FACTEUR_STORE_TEXT_KNOWN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* A message's row is folder << 32 | uid, its block's row / TEXT_KNOWN_BLOCK. */
#define TEXT_KNOWN_BLOCK 1024
#define TEXT_KNOWN_TABLE                                                                           \
    "CREATE TABLE known(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;"
#define TEXT_KNOWN_GET "SELECT id, data FROM known WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
#define TEXT_KNOWN_PUT "INSERT OR REPLACE INTO known(id, data) VALUES(?1, ?2)"
#define TEXT_KNOWN_DROP "DELETE FROM known WHERE id = ?1"

struct text_known {
    sqlite3_stmt *get, *put, *drop;      /* of the statements above; borrowed */
    int64_t id;                          /* of the block at hand, when open */
    bool open, changed;
    uint64_t hash[TEXT_KNOWN_BLOCK];     /* 0: the index does not have it */
};

/* Calls fn for each message from row first to row last. A result of SQLite: SQLITE_OK, or an error. */
int text_known_each(struct text_known *k, int64_t first, int64_t last,
                    void (*fn)(void *ctx, uint32_t uid, uint64_t hash), void *ctx);
/* Sets a message's hash inside a change; *before is what it was. Likewise. */
int text_known_set(struct text_known *k, int64_t row, uint64_t hash, uint64_t *before);
/* Writes the block at hand, at the latest before the commit. Likewise. */
int text_known_write(struct text_known *k);
void text_known_forget(struct text_known *k); /* the change was taken back */

#endif
