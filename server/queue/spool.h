/*
 * The queue's files: queue_directory with messages/ (one file a message, named after its id),
 * spool/ (messages on their way in, without names) and the lock that keeps a second queue out.
 *
 * A message file is ours alone: bytes are copied from the descriptor we are handed, which others
 * may still write to. It is durable after queue_spool_sync.
 */
#ifndef FACTEUR_QUEUE_SPOOL_H
#define FACTEUR_QUEUE_SPOOL_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_spool {
    int dir, messages, spool, lock; /* descriptors */
    struct queue_syncer *syncer;
};

/* Opens (makes when missing) the directories and takes the lock: 0, or -1 with an error that
 * names what is in the way: another owner, a directory open to others, another queue at work. */
int queue_spool_open(const char *path, struct queue_spool *s, struct err *e);
void queue_spool_close(struct queue_spool *s);

/* An empty file without a name, for reading and writing: the descriptor, or -1. */
int queue_spool_blank(struct queue_spool *s, struct err *e);
/* Room for size bytes and a reserve: 0, or -1. */
int queue_spool_room(const struct queue_spool *s, uint64_t size, struct err *e);

/* Makes a new file of size bytes: prefix, then the rest of body_fd from offset 0. Its descriptor, or -1
 * and nothing is left. *full: for want of room; EEXIST (*taken): there is a file of that id already. */
struct queue_copy {
    bool full, taken;
};
int queue_spool_copy(struct queue_spool *s, uint64_t id, struct str prefix, int body_fd,
                     uint64_t size, struct queue_copy *why, struct err *e);
/* The same with bytes from memory. */
int queue_spool_write(struct queue_spool *s, uint64_t id, struct str bytes, bool *full,
                      struct err *e);
/* Makes files and their names durable, together. 0 or -1; full as above. */
int queue_spool_sync(struct queue_spool *s, const int *fds, size_t n, bool *full, struct err *e);

/* Opens a message for reading: the descriptor; -1 and *missing when there is none. */
int queue_spool_read(struct queue_spool *s, uint64_t id, uint64_t size, bool *missing,
                     struct err *e);
void queue_spool_remove(struct queue_spool *s, uint64_t id);

/* Removes files without a message that are older than an hour, and what an earlier life left in
 * spool/. */
typedef bool (*queue_spool_known)(void *ctx, uint64_t id);
void queue_spool_clean(struct queue_spool *s, queue_spool_known known, void *ctx);

#endif
