/* The message anew, with another header or body: in a descriptor of its own, for the old one is
 * sealed, or in the hands of others. */
#include "smtp/smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE 65536

static uint64_t header_size(const struct message *m, const struct new_parts *p)
{
    return p->has_header ? p->header.n + 1 : m->body_at - m->trace_size + !m->head_ended;
}

uint64_t rebuild_size(const struct message *m, const struct new_parts *p)
{
    return m->trace_size + header_size(m, p) + (p->has_body ? p->body.n : m->fd_size - m->body_at);
}

static int copy(int from, uint64_t at, uint64_t end, int to)
{
    char piece[PIECE];
    while (at < end) {
        size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
        if (fd_pread_all(from, piece, n, (off_t)at) != 0 || fd_write_all(to, piece, n) != 0)
            return -1;
        at += n;
    }
    return 0;
}

static int write_header(const struct message *m, const struct new_parts *p, int to)
{
    if (!p->has_header) {
        if (copy(m->fd, m->trace_size, m->body_at, to) != 0)
            return -1;
        return m->head_ended ? 0 : fd_write_all(to, "\n", 1);
    }
    if (fd_write_all(to, p->header.p, p->header.n) != 0)
        return -1;
    return fd_write_all(to, "\n", 1);
}

static int write_all(const struct message *m, const struct new_parts *p, int to)
{
    if (copy(m->fd, 0, m->trace_size, to) != 0 || write_header(m, p, to) != 0)
        return -1;
    if (p->has_body)
        return fd_write_all(to, p->body.p, p->body.n);
    return copy(m->fd, m->body_at, m->fd_size, to);
}

static int seal(int fd)
{
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int rebuild_message(struct session *s, const struct new_parts *p, int spool, struct err *e)
{
    struct message *m = &s->mail.message;
    AUTO_FD to = spool >= 0 ? spool
                            : memfd_create("facteur-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t size = rebuild_size(m, p);
    if (to < 0 || write_all(m, p, to) != 0 || (spool < 0 && seal(to) != 0))
        return err_temp(e, "the filtered message: %s", strerror(errno));
    close(m->fd);
    m->fd = to;
    to = -1;
    m->fd_size = size;
    message_charge(s, spool < 0 ? size : 0);
    return 0;
}
