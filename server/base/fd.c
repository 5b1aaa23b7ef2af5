/* Whole reads and writes on descriptors. */
#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

void fd_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int fd_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t r = write(fd, at, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        at += r;
        n -= (size_t)r;
    }
    return 0;
}

int fd_pread_all(int fd, void *p, size_t n, off_t at)
{
    char *to = p;
    while (n) {
        ssize_t r = pread(fd, to, n, at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0)
            errno = EIO;
        if (r <= 0)
            return -1;
        to += r;
        at += r;
        n -= (size_t)r;
    }
    return 0;
}

int fd_read_all(int fd, struct buf *b, size_t max)
{
    for (;;) {
        char *at = buf_room(b, 16384);
        if (!at) {
            errno = EFBIG;
            return -1;
        }
        ssize_t r = read(fd, at, 16384);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            return 0;
        b->n += (size_t)r;
        if (b->n > max) {
            errno = EFBIG;
            return -1;
        }
    }
}
