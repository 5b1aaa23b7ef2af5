/* Deflate and inflate; see squeeze.h. */
#include "session/squeeze.h"

#include <stdlib.h>
#include <zlib.h>

/* A window of 8 KiB and little memory (96 KiB for the way out): responses repeat themselves within it,
 * and there may be many sessions. Clients use what window they like. */
enum { LEVEL = 3, WINDOW_OUT = -13, MEMORY_OUT = 7, WINDOW_IN = -15, PIECE = 16384 };

struct squeeze {
    z_stream out, in;
    struct buf packed; /* came in and is not inflated yet */
    bool held;         /* the deflater has not given everything out */
    bool full;         /* the inflater filled all the room it had: there may be more */
};

struct squeeze *squeeze_new(void)
{
    struct squeeze *q = MEM_NEW(struct squeeze);
    if (deflateInit2(&q->out, LEVEL, Z_DEFLATED, WINDOW_OUT, MEMORY_OUT, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&q->in, WINDOW_IN) != Z_OK)
        abort(); /* out of memory */
    return q;
}

void squeeze_free(struct squeeze *q)
{
    if (!q)
        return;
    deflateEnd(&q->out);
    inflateEnd(&q->in);
    buf_free(&q->packed);
    free(q);
}

static void deflate_all(struct squeeze *q, int flush, struct buf *out)
{
    do {
        q->out.next_out = (Bytef *)buf_room(out, PIECE);
        q->out.avail_out = PIECE;
        deflate(&q->out, flush); /* Z_BUF_ERROR: there was nothing to do */
        out->n += PIECE - q->out.avail_out;
    } while (q->out.avail_out == 0);
}

void squeeze_deflate(struct squeeze *q, struct str plain, bool flush, struct buf *out)
{
    if (plain.n == 0 && !(flush && q->held))
        return;
    q->out.next_in = (Bytef *)(uintptr_t)plain.p;
    q->out.avail_in = (uInt)plain.n;
    deflate_all(q, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH, out);
    q->held = !flush;
}

void squeeze_feed(struct squeeze *q, struct str packed)
{
    buf_str(&q->packed, packed);
}

bool squeeze_pending(const struct squeeze *q)
{
    return q->packed.n > 0 || q->full;
}

int squeeze_inflate(struct squeeze *q, size_t max, struct buf *out)
{
    q->in.next_in = (Bytef *)q->packed.p;
    q->in.avail_in = (uInt)q->packed.n;
    q->in.next_out = (Bytef *)buf_room(out, max);
    q->in.avail_out = (uInt)max;
    int r = inflate(&q->in, Z_SYNC_FLUSH);
    out->n += max - q->in.avail_out;
    q->full = q->in.avail_out == 0;
    buf_consume(&q->packed, q->packed.n - q->in.avail_in);
    return r == Z_OK || r == Z_BUF_ERROR ? 0 : -1;
}
