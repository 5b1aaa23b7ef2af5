/* Delivery: header lines, body, fsync, rename, directory fsync. */
#include "store/deliver.h"
#include "store/maildir.h"
#include "store/quota.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNK 65536

/* pread and never a mapping: whoever holds an unsealed descriptor may cut the file short. */
static int copy_body(struct store_writer *w, int body_fd, uint64_t size, struct err *e)
{
    char chunk[CHUNK];
    for (uint64_t at = 0; at < size;) {
        size_t want = size - at < sizeof chunk ? (size_t)(size - at) : sizeof chunk;
        ssize_t n = pread(body_fd, chunk, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_errno(e, "read the message to deliver");
        if (n == 0)
            return err_temp(e, "the message to deliver ends after %llu of %llu bytes",
                            (unsigned long long)at, (unsigned long long)size);
        if (store_writer_write(w, (struct str){chunk, (size_t)n}, e) != 0)
            return -1;
        at += (uint64_t)n;
    }
    return 0;
}

int store_deliver(int maildir_fd, struct str header_lines, int body_fd, uint64_t size,
                  struct store_delivered *out, struct err *e)
{
    struct store_writer w;
    if (store_disk_check(maildir_fd, header_lines.n + size, e) != 0 ||
        store_writer_begin(&w, maildir_fd, e) != 0)
        return -1;
    if (store_writer_write(&w, header_lines, e) != 0 || copy_body(&w, body_fd, size, e) != 0) {
        store_writer_abort(&w);
        return -1;
    }
    if (store_writer_commit_new(&w, e) != 0)
        return -1;
    /* The message is safe; a count that could not be noted is mended by the next recount. */
    (void)store_quota_add(maildir_fd, (int64_t)w.size, 1, NULL);
    if (out) {
        snprintf(out->base, sizeof out->base, "%s", w.base);
        out->size = w.size;
        out->vsize = w.vsize;
    }
    return 0;
}
