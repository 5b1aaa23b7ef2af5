/*
 * Files and directories, relative to descriptors, never through a symbolic link.
 *
 * The room's own ground: opening with the checks every file of a maildir needs, whole small files,
 * durable directories, random names, and the one table that turns errno into a struct err. What the
 * machine refuses for now (no space, no descriptors, I/O errors, locks) is temporary.
 */
#ifndef FACTEUR_STORE_FS_H
#define FACTEUR_STORE_FS_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <sys/stat.h>

#define STORE_NAME_MAX 255 /* bytes in one file name, as Linux file systems have it */

/* Fills *e from errno with the text "context: reason", and a client text for a full disk; -1. */
int store_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Opens a directory for reading and as a base for *at calls; the last component may not be a
 * symbolic link. -1 and errno. */
int store_dir_open(int at, const char *name);
/* Opens a regular file and fills *st (may be NULL); a symbolic link, FIFO, device or directory is
 * refused with errno EINVAL and never blocks. flags as for open(2); O_CREAT makes it 0600. */
int store_file_open(int at, const char *name, int flags, struct stat *st);
/* Reads a whole regular file of at most max bytes into b: 0; 1 when it does not exist; -1 and *e. */
int store_file_read(int at, const char *name, struct buf *b, size_t max, struct err *e);
/* Writes name anew: temporary file, fsync, rename over name, fsync of the directory. */
int store_file_replace(int at, const char *name, struct str data, struct err *e);
/* The same for who is the only one to write it now: by way of name.tmp, so that nothing piles up where writers
 * die. seen: what the file was when it was read; Dovecot tells a new one by the seconds of its modification
 * time too, so they become larger; then the new file's. May be NULL. */
int store_file_replace_locked(int at, const char *name, struct str data, struct stat *seen, struct err *e);

/* Renames a file without replacing anything (EEXIST); by link and unlink where the file system has no
 * such rename. -1 and errno. */
int store_file_move(int from_dir, const char *from, int to_dir, const char *to);

int store_dir_sync(int dir_fd, struct err *e); /* fsync of a directory */
/* mkdir 0700; an existing real directory is fine (*made false, made may be NULL). */
int store_dir_make(int at, const char *name, bool *made, struct err *e);
/* Removes a directory and all in it, at most depth levels below it; links are removed, never followed. */
int store_dir_remove(int at, const char *name, unsigned depth, struct err *e);
/* Calls fn for every entry except . and .. until fn returns non-zero, which is returned; -1 and *e when
 * the directory cannot be read. The name is NUL-terminated too; type is a DT_ value. */
int store_dir_each(int dir_fd, int (*fn)(void *ctx, struct str name, unsigned char type), void *ctx,
                   struct err *e);

/* Writes prefix and 16 random hex digits to out. */
void store_random_name(char out[64], const char *prefix);

#endif
