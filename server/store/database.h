/*
 * Opening a maildir's SQLite databases: the index and the text index.
 *
 * A database lies in the maildir's root, is the owner's, 0600, and may be removed or replaced at any moment.
 * SQLite wants a path; that it led to the file which was looked at is checked here. Runs as the owner.
 */
#ifndef FACTEUR_STORE_DATABASE_H
#define FACTEUR_STORE_DATABASE_H

#include "store/fs.h"

#include <sqlite3.h>

struct store_database {
    sqlite3 *db; /* NULL: not open */
    dev_t dev;
    ino_t ino;
};

/* Opens <root>/name; flags: O_CREAT, O_EXCL or 0. 0; -1 with errno, and with d->db where SQLite itself has
 * something to say: close it. */
int store_database_open(struct store_database *d, int root_fd, const char *name, int flags);
/* Does the file that was opened still have its name? */
bool store_database_in_place(const struct store_database *d, int root_fd, const char *name);
/* Removes it with its log. */
void store_database_remove(int root_fd, const char *name);

#endif
