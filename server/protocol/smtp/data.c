/* The message behind DATA and BDAT. */
#include "protocol/smtp/data.h"

#define WINDOW 128 /* longer than most lines */

enum state {
    LINE_START, /* after CR LF, or at the very beginning */
    LF_START,   /* after a bare LF */
    TEXT,
    CR,         /* a CR, not yet written */
    DOT,        /* a dot at the start of a line that CR LF ended */
    DOT_CR,
    LF_DOT,     /* a dot at the start of a line that a bare LF ended */
    LF_DOT_CR
};

struct out {
    char *p;
    size_t n;
};

void smtp_data_init(struct smtp_data *d, bool lf_is_end)
{
    *d = (struct smtp_data){.state = LINE_START, .lf_is_end = lf_is_end};
}

static void put(struct smtp_data *d, struct out *o, char c)
{
    o->p[o->n++] = c;
    d->size++;
}

static void put_line_end(struct smtp_data *d, struct out *o)
{
    o->p[o->n++] = '\n';
    d->size += 2;
}

/* Up to the first CR or LF. A window at a time, or many bare CRs before a far LF would be dear. */
static size_t text_size(struct str in)
{
    size_t n = 0;
    while (n < in.n) {
        struct str window = str_head(str_skip(in, n), WINDOW);
        const char *lf = memchr(window.p, '\n', window.n);
        size_t before = lf ? (size_t)(lf - window.p) : window.n;
        const char *cr = memchr(window.p, '\r', before);
        n += cr ? (size_t)(cr - window.p) : before;
        if (lf || cr)
            break;
    }
    return n;
}

/* Copies octets that mean nothing but themselves. */
static size_t copy_text(struct smtp_data *d, struct str in, struct out *o)
{
    size_t n = text_size(in);
    memcpy(o->p + o->n, in.p, n);
    o->n += n;
    d->size += n;
    return n;
}

static void bare_lf(struct smtp_data *d, struct out *o)
{
    if (!d->lf_is_end)
        d->bare_lf = true;
    put_line_end(d, o);
    d->state = LF_START;
}

static void bare_cr(struct smtp_data *d)
{
    d->bare_cr = true;
}

/* An octet at the start of a line or inside it; dots are the caller's. */
static void text(struct smtp_data *d, struct out *o, char c)
{
    if (c == '\r') {
        d->state = CR;
    } else if (c == '\n') {
        bare_lf(d, o);
    } else {
        put(d, o, c);
        d->state = TEXT;
    }
}

static void after_cr(struct smtp_data *d, struct out *o, char c)
{
    if (c == '\n') {
        put_line_end(d, o);
        d->crlf_seen = true;
        d->state = LINE_START;
        return;
    }
    bare_cr(d);
    text(d, o, c);
}

/* After a dot that began a line: true when c ends the message. */
static bool after_dot(struct smtp_data *d, struct out *o, char c)
{
    bool lf_line = d->state == LF_DOT;
    if (c == '\r') {
        d->state = lf_line ? LF_DOT_CR : DOT_CR;
        return false;
    }
    /* A client that knows no CR LF at all ends with LF . LF */
    if (c == '\n' && d->lf_is_end && !d->crlf_seen)
        return true;
    text(d, o, c);
    return false;
}

static bool after_dot_cr(struct smtp_data *d, struct out *o, char c)
{
    if (c == '\n' && d->state == DOT_CR)
        return true;
    /* The dot was no end: it stuffed nothing, and the line that follows it is what it stood for. */
    after_cr(d, o, c);
    return false;
}

static bool step(struct smtp_data *d, struct out *o, char c)
{
    switch (d->state) {
    case LINE_START:
    case LF_START:
        if (c == '.')
            d->state = d->state == LINE_START ? DOT : LF_DOT;
        else
            text(d, o, c);
        return false;
    case CR:
        after_cr(d, o, c);
        return false;
    case DOT:
    case LF_DOT:
        return after_dot(d, o, c);
    case DOT_CR:
    case LF_DOT_CR:
        return after_dot_cr(d, o, c);
    default:
        text(d, o, c);
        return false;
    }
}

bool smtp_data_feed(struct smtp_data *d, struct str *in, char *out, size_t *out_n)
{
    struct out o = {out, 0};
    bool ended = false;
    while (in->n && !ended) {
        size_t n = d->state == TEXT ? copy_text(d, *in, &o) : 0;
        *in = str_skip(*in, n);
        if (in->n == 0)
            break;
        ended = step(d, &o, in->p[0]);
        *in = str_skip(*in, 1);
    }
    *out_n = o.n;
    return ended;
}

void smtp_data_chunk(struct smtp_data *d, struct str piece, char *out, size_t *out_n)
{
    struct out o = {out, 0};
    while (piece.n) {
        size_t n = d->state == CR ? 0 : copy_text(d, piece, &o);
        if (n)
            d->state = TEXT;
        piece = str_skip(piece, n);
        if (piece.n == 0)
            break;
        if (d->state == CR)
            after_cr(d, &o, piece.p[0]);
        else
            text(d, &o, piece.p[0]);
        piece = str_skip(piece, 1);
    }
    *out_n = o.n;
}

bool smtp_data_chunks_end(struct smtp_data *d)
{
    if (d->state == CR)
        bare_cr(d);
    return d->state == LINE_START || d->state == LF_START;
}
