/* A message on its way to a client; see body.h. */
#include "protocol/pop3/body.h"

void pop3_body_init(struct pop3_body *w, uint64_t lines)
{
    *w = (struct pop3_body){.lines_left = lines, .in_header = true};
}

static void end_line(struct pop3_body *w, struct buf *out)
{
    bool empty = !w->in_line || w->only_cr;
    buf_str(out, w->cr ? STR("\n") : STR("\r\n"));
    if (w->in_header)
        w->in_header = !empty;
    else if (w->lines_left != POP3_LINES_ALL)
        w->lines_left--;
    w->in_line = w->cr = w->only_cr = false;
}

/* Part of a line, at least one octet, without LF. */
static void add(struct pop3_body *w, struct str piece, struct buf *out)
{
    if (!w->in_line && piece.p[0] == '.')
        buf_byte(out, '.');
    buf_str(out, piece);
    w->only_cr = !w->in_line && piece.n == 1 && piece.p[0] == '\r';
    w->in_line = true;
    w->cr = piece.p[piece.n - 1] == '\r';
}

bool pop3_body_write(struct pop3_body *w, struct str piece, struct buf *out)
{
    while (piece.n && (w->in_header || w->lines_left)) {
        ptrdiff_t end = str_find(piece, '\n');
        struct str line = end < 0 ? piece : str_head(piece, (size_t)end);
        if (line.n)
            add(w, line, out);
        if (end >= 0)
            end_line(w, out);
        piece = str_skip(piece, line.n + (end >= 0));
    }
    return w->in_header || w->lines_left;
}

void pop3_body_end(struct pop3_body *w, struct buf *out)
{
    if (w->in_line)
        buf_str(out, STR("\r\n")); /* a CR at the very end is one of the message's octets */
    w->in_line = false;
    buf_str(out, STR(".\r\n"));
}
