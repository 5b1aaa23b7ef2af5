/*
 * Special uses of folders (RFC 6154): which one holds sent mail, drafts and so on.
 *
 * Folders called Sent, Drafts, Trash, Junk and Archive have the use of that name, until another folder
 * is given it: the file "special-use" in the maildir's root, one line a folder ("\Sent \Drafts" TAB
 * name), replaced as a whole under special-use.lock. A use belongs to one folder at a time. A line for a
 * folder that is not there says nothing. Runs as the owner.
 */
#ifndef FACTEUR_STORE_SPECIAL_USE_H
#define FACTEUR_STORE_SPECIAL_USE_H

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

enum store_use {
    STORE_USE_ARCHIVE = 1,
    STORE_USE_DRAFTS = 2,
    STORE_USE_JUNK = 4,
    STORE_USE_SENT = 8,
    STORE_USE_TRASH = 16,
};
#define STORE_USES 5

const char *store_use_name(unsigned bit); /* "\\Sent" */

struct store_uses {
    struct str folder[STORE_USES]; /* by bit; p NULL when no folder has it */
};

/* Who has which use. exists holds the folders that there are. 0, or -1 and *e. */
int store_uses_read(int root_fd, struct arena *a, const struct map *exists, struct store_uses *out,
                    struct err *e);
/* The bits of one folder. */
unsigned store_uses_of(const struct store_uses *u, struct str folder);

/* Gives the uses to the folder, which takes them from those that had them. Durable. */
int store_uses_set(int root_fd, struct str folder, unsigned uses, struct err *e);
/* A folder was renamed, with what lies below it: the uses in before (read before it) go along. */
int store_uses_renamed(int root_fd, struct str from, struct str to, const struct store_uses *before,
                       struct err *e);
/* A folder was deleted: a new one of that name starts without. */
int store_uses_deleted(int root_fd, struct str folder, struct err *e);

#endif
