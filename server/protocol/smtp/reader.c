/* Lines of a client. */
#include "protocol/smtp/reader.h"

void smtp_reader_init(struct smtp_reader *r, size_t max, size_t auth_max, bool lf_is_end)
{
    *r = (struct smtp_reader){.max = max, .auth_max = auth_max, .lf_is_end = lf_is_end};
}

void smtp_reader_free(struct smtp_reader *r)
{
    smtp_reader_next(r);
    buf_free(&r->line);
}

void smtp_reader_next(struct smtp_reader *r)
{
    if (r->line.p)
        mem_wipe(r->line.p, r->line.n);
    buf_clear(&r->line);
    r->cr = r->nul = r->too_long = false;
}

/* Room for a longer line, and the old place wiped. */
static void move(struct smtp_reader *r, size_t room)
{
    struct buf bigger = {0};
    buf_room(&bigger, room);
    buf_str(&bigger, buf_view(&r->line));
    if (r->line.p)
        mem_wipe(r->line.p, r->line.n);
    buf_free(&r->line);
    r->line = bigger;
}

static size_t limit(const struct smtp_reader *r)
{
    bool auth = str_casestarts(buf_view(&r->line), STR("AUTH "));
    return auth && r->auth_max > r->max ? r->auth_max : r->max;
}

static void keep(struct smtp_reader *r, struct str piece)
{
    size_t verb = sizeof "AUTH " - 1;
    if (r->line.n < verb && piece.n > verb) {
        struct str first = str_head(piece, verb - r->line.n);
        keep(r, first);
        piece = str_skip(piece, first.n);
    }
    size_t need = r->line.n + piece.n + 2;
    if (r->too_long || need > limit(r)) {
        r->too_long = true;
        return;
    }
    if (r->line.cap < need)
        move(r, need < 256 ? 256 : need < SMTP_LINE_MAX ? SMTP_LINE_MAX : limit(r));
    buf_str(&r->line, piece);
}

static enum smtp_line end(struct smtp_reader *r, struct str *line)
{
    if (r->too_long)
        return SMTP_LINE_TOO_LONG;
    if (r->nul)
        return SMTP_LINE_NUL;
    *line = buf_view(&r->line);
    return SMTP_LINE_DONE;
}

/* Octets at the front that are neither CR nor LF. */
static size_t plain(struct str in)
{
    size_t n = 0;
    while (n < in.n && in.p[n] != '\r' && in.p[n] != '\n')
        n++;
    return n;
}

enum smtp_line smtp_reader_feed(struct smtp_reader *r, struct str *in, struct str *line)
{
    while (in->n) {
        char c = in->p[0];
        if (r->cr && c != '\n')
            return SMTP_LINE_BARE_CR;
        if (c == '\n') {
            if (!r->cr && !r->lf_is_end)
                return SMTP_LINE_BARE_LF;
            *in = str_skip(*in, 1);
            return end(r, line);
        }
        if (c == '\r') {
            r->cr = true;
            *in = str_skip(*in, 1);
            continue;
        }
        struct str piece = str_head(*in, plain(*in));
        r->nul = r->nul || str_find(piece, '\0') >= 0;
        keep(r, piece);
        *in = str_skip(*in, piece.n);
    }
    return SMTP_LINE_MORE;
}
