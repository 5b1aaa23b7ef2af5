/* Lines of a client; see reader.h. */
#include "protocol/pop3/reader.h"

void pop3_reader_init(struct pop3_reader *r, size_t max)
{
    *r = (struct pop3_reader){.max = max};
}

void pop3_reader_next(struct pop3_reader *r)
{
    if (r->line.p)
        mem_wipe(r->line.p, r->line.n);
    buf_clear(&r->line);
    r->wrong = NULL;
}

void pop3_reader_free(struct pop3_reader *r)
{
    pop3_reader_next(r);
    buf_free(&r->line);
}

/* Room for need octets, the old place wiped. */
static void make_room(struct pop3_reader *r, size_t need)
{
    if (r->line.cap >= need)
        return;
    struct buf bigger = {0};
    buf_room(&bigger, need <= POP3_LINE_MAX ? POP3_LINE_MAX : r->max);
    if (r->line.n) {
        buf_str(&bigger, buf_view(&r->line));
        mem_wipe(r->line.p, r->line.n);
    }
    buf_free(&r->line);
    r->line = bigger;
}

static void keep(struct pop3_reader *r, struct str piece)
{
    size_t need = r->line.n + piece.n;
    if (str_find(piece, '\0') >= 0)
        r->wrong = "A NUL has no place in a command";
    else if (need > r->max && !r->wrong)
        r->wrong = "Line too long";
    if (r->wrong || piece.n == 0)
        return;
    make_room(r, need);
    buf_str(&r->line, piece);
}

enum pop3_event pop3_reader_feed(struct pop3_reader *r, struct str *in, struct str *line)
{
    ptrdiff_t end = str_find(*in, '\n');
    struct str piece = end < 0 ? *in : str_head(*in, (size_t)end + 1);
    *in = str_skip(*in, piece.n);
    keep(r, piece);
    if (end < 0)
        return POP3_MORE;
    if (r->wrong)
        return POP3_WRONG;
    *line = str_head(buf_view(&r->line), r->line.n - 1);
    if (str_ends(*line, STR("\r")))
        line->n--;
    return POP3_LINE;
}
