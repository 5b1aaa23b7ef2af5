/* From the file to the wire. */
#include "relay/source.h"

#include <errno.h>
#include <string.h>

#define PIECE (32 * 1024)

static int read_piece(const struct source *s, uint64_t at, char *p, size_t *n, struct err *e)
{
    *n = s->size - at < PIECE ? (size_t)(s->size - at) : PIECE;
    if (fd_pread_all(s->fd, p, *n, (off_t)at) != 0)
        return err_temp(e, "reading the message at %llu: %s", (unsigned long long)at,
                        strerror(errno));
    return 0;
}

/* The header ends at the first empty line. */
static void look(struct source *s, struct str piece, bool *in_head, char *last)
{
    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        s->wire_size += c == '\n' ? 2 : 1;
        if (*in_head && c == '\n' && *last == '\n')
            *in_head = false;
        if ((unsigned char)c >= 0x80) {
            s->eight_bit = true;
            s->eight_bit_head = s->eight_bit_head || *in_head;
        }
        *last = c;
    }
}

int source_open(struct source *s, int fd, uint64_t size, struct err *e)
{
    char piece[PIECE], last = '\n';
    bool in_head = true;
    *s = (struct source){.fd = fd, .size = size};
    for (uint64_t at = 0; at < size;) {
        size_t n;
        if (read_piece(s, at, piece, &n, e) != 0)
            return -1;
        look(s, (struct str){piece, n}, &in_head, &last);
        at += n;
    }
    if (last != '\n')
        s->wire_size += 2;
    source_rewind(s);
    return 0;
}

void source_rewind(struct source *s)
{
    s->at = 0;
    s->last = '\n';
}

static void encode(struct source *s, struct str piece, struct buf *out)
{
    while (piece.n) {
        if (s->last == '\n' && piece.p[0] == '.' && !s->bare)
            buf_byte(out, '.');
        ptrdiff_t end = str_find(piece, '\n');
        size_t n = end < 0 ? piece.n : (size_t)end;
        buf_add(out, piece.p, n);
        if (end >= 0)
            buf_add(out, "\r\n", 2);
        s->last = end >= 0 ? '\n' : piece.p[piece.n - 1];
        piece = str_skip(piece, end >= 0 ? n + 1 : n);
    }
}

int source_read(struct source *s, struct buf *out, struct err *e)
{
    char piece[PIECE];
    size_t n;
    if (read_piece(s, s->at, piece, &n, e) != 0)
        return -1;
    encode(s, (struct str){piece, n}, out);
    s->at += n;
    if (s->at < s->size)
        return 1;
    if (s->last != '\n')
        buf_add(out, "\r\n", 2);
    if (!s->bare)
        buf_add(out, ".\r\n", 3);
    return 0;
}
