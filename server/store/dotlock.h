/*
 * Lock files "<name>.lock" as Dovecot 2.3 takes them, so that both can work on one maildir.
 *
 * The lock is a file created with O_EXCL that holds "pid:host". One left by a dead process of this
 * host, or untouched (like the file it guards) for stale_seconds, is taken over, and one that its holder
 * died in before he wrote his pid after 10 seconds; a living holder is waited for.
 */
#ifndef FACTEUR_STORE_DOTLOCK_H
#define FACTEUR_STORE_DOTLOCK_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

#define STORE_LOCK_UIDLIST_STALE 120 /* seconds; Dovecot's values */
#define STORE_LOCK_SUBSCRIPTIONS_STALE 30

struct store_dotlock {
    int dir_fd;      /* borrowed */
    int fd;          /* the lock file, -1 when not held */
    char path[280];  /* "<name>.lock" */
    char target[272];
    dev_t dev;
    ino_t ino;
};

#define STORE_DOTLOCK_NONE {.dir_fd = -1, .fd = -1}

/* Takes the lock, waiting at most stale_seconds + 2. with_pid: writes "pid:host" into it (a lock
 * that becomes the new file is left empty for its writer). 0, or -1 and a temporary *e. */
int store_dotlock_take(struct store_dotlock *l, int dir_fd, const char *name, int stale_seconds,
                       bool with_pid, struct err *e);
/* True while the lock file is still ours (nobody took it over). */
bool store_dotlock_held(const struct store_dotlock *l);
/* Removes it when it is still ours. Fine when not held. */
void store_dotlock_drop(struct store_dotlock *l);
/* fsyncs what was written to l->fd and renames it over the guarded file; the lock ends either way. */
int store_dotlock_replace(struct store_dotlock *l, struct err *e);

#define AUTO_DOTLOCK CLEANUP(store_dotlock_drop) struct store_dotlock

#endif
