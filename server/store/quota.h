/*
 * Maildir++ quota: the file maildirsize in the root.
 *
 *   <bytes>S[,<count>C]      the limit it was made for
 *   <bytes> <messages>       a count, then changes, one a line, added up
 *
 * Counted anew when the limit changed, the file passed 5120 bytes, or it says "full" and is older than
 * 15 minutes. INBOX and all folders count, Trash too. Runs as the owner.
 */
#ifndef FACTEUR_STORE_QUOTA_H
#define FACTEUR_STORE_QUOTA_H

#include "base/err.h"

#include <stdint.h>

enum store_room { STORE_ROOM = 0, STORE_FULL = 1 }; /* -1: cannot say */

struct store_usage {
    uint64_t bytes, messages; /* bytes on disk */
};

/* Is there room for extra more bytes in one message? limit_bytes 0: no limit. STORE_ROOM, STORE_FULL
 * (with *e permanent and a client text), or -1 and a temporary *e. The free space of the disk is looked at
 * too: too little is -1. usage may be NULL. */
int store_quota_check(int root_fd, uint64_t limit_bytes, uint64_t extra, struct store_usage *usage,
                      struct err *e);
/* Notes a change; nothing happens when the maildir keeps no maildirsize. */
int store_quota_add(int root_fd, int64_t bytes, int64_t messages, struct err *e);

/* 0 when the file system of fd has room for extra bytes and 16 MiB beyond; -1 and a temporary *e. */
int store_disk_check(int fd, uint64_t extra, struct err *e);

#endif
