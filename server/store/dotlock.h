/*
 * Lock files "<name>.lock" as Dovecot 2.3 takes them, so that both can work on one maildir.
 *
 * The lock is a file created with O_EXCL that holds "pid:host". One left by a dead process of this host is taken
 * over, and one that says no pid when it and the file it guards were untouched for stale_seconds; a living holder
 * is waited for, unless the lock is older than that and than the machine's start: then he only has the dead one's
 * pid. Where Dovecot's lock becomes the new file (subscriptions) it says no pid, but Dovecot heeds ours.
 */
#ifndef FACTEUR_STORE_DOTLOCK_H
#define FACTEUR_STORE_DOTLOCK_H

#include "base/err.h"
#include "base/str.h"

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

/* Takes the lock, waiting at most stale_seconds + 2. all_say: everybody who takes it says his pid, so one that is
 * still empty after 10 seconds is taken over, too. 0, or -1 and a temporary *e. */
int store_dotlock_take(struct store_dotlock *l, int dir_fd, const char *name, int stale_seconds,
                       bool all_say, struct err *e);
/* True while the lock file is still ours (nobody took it over). */
bool store_dotlock_held(const struct store_dotlock *l);
/* Removes it when it is still ours. Fine when not held. */
void store_dotlock_drop(struct store_dotlock *l);
/* Writes the guarded file anew while the lock is still ours, durably. */
int store_dotlock_replace(struct store_dotlock *l, struct str data, struct err *e);

#define AUTO_DOTLOCK CLEANUP(store_dotlock_drop) struct store_dotlock

#endif
