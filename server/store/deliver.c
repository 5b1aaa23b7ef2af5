/* Delivery: header lines and body, made durable in new/. */
#include "store/deliver.h"
#include "store/maildir.h"
#include "store/quota.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define CHUNK 65536
#define HEADER_MAX (CHUNK / 2) /* a longer one is written alone */

/* The body's beginning goes with the header in one write. pread and never a mapping: whoever holds an
 * unsealed descriptor may cut the file short. */
static int write_message(struct store_writer *w, struct str header, int body_fd, uint64_t size,
                         struct err *e)
{
    char chunk[CHUNK];
    size_t held = header.n <= HEADER_MAX ? header.n : 0;
    if (held < header.n && store_writer_write(w, header, e) != 0)
        return -1;
    if (held)
        memcpy(chunk, header.p, held);
    for (uint64_t at = 0; at < size;) {
        size_t room = sizeof chunk - held;
        size_t want = size - at < room ? (size_t)(size - at) : room;
        ssize_t n = pread(body_fd, chunk + held, want, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return store_errno(e, "read the message to deliver");
        if (n == 0)
            return err_temp(e, "the message to deliver ends after %llu of %llu bytes",
                            (unsigned long long)at, (unsigned long long)size);
        if (store_writer_write(w, (struct str){chunk, held + (size_t)n}, e) != 0)
            return -1;
        at += (uint64_t)n;
        held = 0;
    }
    return held ? store_writer_write(w, (struct str){chunk, held}, e) : 0;
}

int store_deliver(int maildir_fd, struct str header_lines, int body_fd, uint64_t size,
                  struct store_delivered *out, struct err *e)
{
    struct store_writer w;
    if (store_writer_begin(&w, maildir_fd, e) != 0)
        return -1;
    if (write_message(&w, header_lines, body_fd, size, e) != 0) {
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
