/*
 * Delivery of one message into a maildir: written once, durable once. Runs as the owner.
 */
#ifndef FACTEUR_STORE_DELIVER_H
#define FACTEUR_STORE_DELIVER_H

#include "base/err.h"
#include "base/str.h"

struct store_delivered {
    char base[224];       /* base name of the new file, for the log */
    uint64_t size, vsize; /* on disk; with CR LF */
};

/*
 * Writes header_lines (whole lines, CR LF or LF) and then size bytes of body_fd from offset 0 into the
 * maildir's new/, with CR LF as LF. 0 only when a power cut could not lose it: rename, fsync of
 * the file and of new/. A body that is shorter than size, or changes while it is read, is a temporary
 * error and leaves nothing. maildirsize, where there is one, is told. out may be NULL. Whether there is
 * room, the caller has asked (store_quota_check).
 */
int store_deliver(int maildir_fd, struct str header_lines, int body_fd, uint64_t size,
                  struct store_delivered *out, struct err *e);

#endif
