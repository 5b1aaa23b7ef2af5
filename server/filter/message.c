/* The message at hand, as the filters so far have left it. */
#include "filter/filter.h"
#include "mail/header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADER_MAX (MILTER_FIELDS_SIZE_MAX + 65536)
#define PIECE (MILTER_CHUNK_MAX / 2) /* twice as long at most with CR LF */

static int read_header(struct message *m, uint64_t skip, struct err *e)
{
    uint64_t left = m->size - skip;
    size_t n = left < HEADER_MAX ? (size_t)left : HEADER_MAX;
    char *p = buf_room(&m->header, n);
    if (fd_pread_all(m->fd, p, n, (off_t)skip) != 0)
        return err_temp(e, "reading the message: %s", strerror(errno));
    m->header.n = n;
    struct str all = buf_view(&m->header);
    m->header.n = mail_header_size(all);
    if (m->header.n == HEADER_MAX)
        return err_temp(e, "the header is too large");
    m->body_at = skip + m->header.n;
    milter_fields_read(&m->fields, m->arena, buf_view(&m->header));
    return 0;
}

int message_open(struct message *m, int fd, uint64_t size, uint64_t skip, struct err *e)
{
    *m = (struct message){.fd = -1};
    if (skip > size || size > INT64_MAX)
        return err_temp(e, "a message of %llu octets, of which %llu are ours",
                        (unsigned long long)size, (unsigned long long)skip);
    *m = (struct message){.fd = fd, .size = size, .arena = arena_new(4096)};
    if (read_header(m, skip, e) == 0)
        return 0;
    m->fd = -1; /* the caller's again */
    message_close(m);
    return -1;
}

void message_close(struct message *m)
{
    fd_closep(&m->fd);
    milter_fields_free(&m->fields);
    buf_free(&m->header);
    buf_free(&m->body);
    buf_free(&m->edits);
    arena_free(m->arena);
    *m = (struct message){.fd = -1};
}

static void to_wire(struct str piece, struct buf *out)
{
    while (piece.n) {
        ptrdiff_t end = str_find(piece, '\n');
        size_t n = end < 0 ? piece.n : (size_t)end;
        buf_add(out, piece.p, n);
        if (end >= 0)
            buf_add(out, "\r\n", 2);
        piece = str_skip(piece, end >= 0 ? n + 1 : n);
    }
}

int message_body(const struct message *m, uint64_t *at, struct buf *out, struct err *e)
{
    char piece[PIECE];
    uint64_t all = m->body_changed ? m->body.n : m->size - m->body_at;
    size_t n = all - *at < PIECE ? (size_t)(all - *at) : PIECE;
    if (n == 0)
        return 0;
    if (m->body_changed)
        memcpy(piece, m->body.p + *at, n);
    else if (fd_pread_all(m->fd, piece, n, (off_t)(m->body_at + *at)) != 0)
        return err_temp(e, "reading the message: %s", strerror(errno));
    to_wire((struct str){piece, n}, out);
    *at += n;
    return 1;
}

/* --- edits --- */

static void collect(const struct message *m, const char *quarantine, struct buf *out)
{
    buf_str(out, buf_view(&m->edits));
    if (quarantine[0])
        milter_edits_add(out, MILTER_EDIT_QUARANTINE, str_from(quarantine));
    if (m->fields.changed) {
        AUTO_BUF header = {0};
        milter_fields_print(&m->fields, &header);
        milter_edits_add(out, MILTER_EDIT_HEADER, buf_view(&header));
    }
    if (m->body_changed)
        milter_edits_add(out, MILTER_EDIT_BODY, buf_view(&m->body));
}

int message_edits(const struct message *m, const char *quarantine, struct err *e)
{
    AUTO_BUF all = {0};
    collect(m, quarantine, &all);
    if (all.n == 0)
        return -1;
    int fd = memfd_create("facteur-edits", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && fd_write_all(fd, all.p, all.n) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    err_temp(e, "edits: %s", strerror(errno));
    fd_closep(&fd);
    return -2;
}
