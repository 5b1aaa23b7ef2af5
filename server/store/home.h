/*
 * Makes a missing home below the mailbox base.
 *
 * Called by a privileged process, or by the plain user in single_uid mode. The base and what lies
 * between it and the home stay the caller's (root's), 0755; the home is made under a temporary name,
 * given to its owner, and renamed into place without replacing anything. Nothing below the base is followed:
 * openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. The base itself may lie behind a link: its path is the
 * administrator's, and what it leads to is checked.
 */
#ifndef FACTEUR_STORE_HOME_H
#define FACTEUR_STORE_HOME_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define STORE_HOME_PATH_MAX 1024 /* bytes */
#define STORE_HOME_DEPTH_MAX 16  /* components below the base */

/*
 * Finds or makes the home (an absolute path strictly below base, 0700, owner uid:gid) and sets *fd to
 * an O_PATH | O_DIRECTORY descriptor of it, the caller's to close. Every directory made
 * here is durable before the next is made in it. 0; -1 and *e, always temporary (the mail can wait until a person has
 * looked), naming what stands in the way: a bad path, a symbolic link, something else than a directory,
 * a directory on the way that is not the caller's, a home of another owner, or open to others.
 * A race lost to another process that made the same home is success.
 */
int store_home_make(const char *base, struct str home, uid_t uid, gid_t gid, int *fd, struct err *e);

/* The same without making anything: 0; 1 when the home (or something on the way) does not exist. */
int store_home_open(const char *base, struct str home, uid_t uid, int *fd, struct err *e);

/* Checks only the form of the path: absolute, strictly below base, no empty, "." or ".." component,
 * no NUL, bounded. 0, or -1 and *e. */
int store_home_check(const char *base, struct str home, struct err *e);

#endif
