/* Deflate and inflate; see squeeze.h. */
#include "session/squeeze.h"

#include <stdlib.h>
#include <zlib.h>

/* A window of 8 KiB and little memory (96 KiB for the way out): responses repeat themselves within it,
 * and there may be many sessions. Clients use what window they like. */
enum { LEVEL = 3, WINDOW_OUT = -13, MEMORY_OUT = 7, WINDOW_IN = -15, PIECE = 16384 };
enum { WINDOW_MAX = 32768, AT_BLOCK = 128 /* of zlib's data_type: no block begun, no bit left over */ };

struct squeeze {
    z_stream out, in;
    bool deflates; /* out is in use */
    struct buf packed; /* came in and is not inflated yet */
    bool held;         /* the deflater has not given everything out */
    bool full;         /* the inflater filled all the room it had: there may be more */
};

struct squeeze *squeeze_new(void)
{
    struct squeeze *q = MEM_NEW(struct squeeze);
    if (inflateInit2(&q->in, WINDOW_IN) != Z_OK)
        abort(); /* out of memory */
    return q;
}

static void begin_deflate(struct squeeze *q)
{
    if (q->deflates)
        return;
    q->out = (z_stream){0};
    if (deflateInit2(&q->out, LEVEL, Z_DEFLATED, WINDOW_OUT, MEMORY_OUT, Z_DEFAULT_STRATEGY) != Z_OK)
        abort(); /* out of memory */
    q->deflates = true;
}

static void end_deflate(struct squeeze *q)
{
    if (q->deflates)
        deflateEnd(&q->out);
    q->deflates = false;
}

void squeeze_rest(struct squeeze *q)
{
    if (!q->held)
        end_deflate(q);
    if (!squeeze_pending(q))
        buf_free(&q->packed);
}

bool squeeze_write_state(const struct squeeze *q, struct buf *out)
{
    Bytef window[WINDOW_MAX];
    uInt n = sizeof window;
    if (q->held || squeeze_pending(q) || (q->in.total_in && q->in.data_type != AT_BLOCK) ||
        inflateGetDictionary((z_stream *)(uintptr_t)&q->in, window, &n) != Z_OK)
        return false;
    buf_add(out, window, n);
    return true;
}

struct squeeze *squeeze_resume(struct str state)
{
    struct squeeze *q = squeeze_new();
    if (state.n <= WINDOW_MAX &&
        inflateSetDictionary(&q->in, (const Bytef *)state.p, (uInt)state.n) == Z_OK)
        return q;
    squeeze_free(q);
    return NULL;
}

void squeeze_free(struct squeeze *q)
{
    if (!q)
        return;
    end_deflate(q);
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
    begin_deflate(q);
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
