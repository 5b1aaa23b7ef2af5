/*
 * Fuzzer of COMPRESS=DEFLATE: streams that are damaged, bombs, and states of another process. However much
 * comes out, it comes a bounded piece at a time.
 */
#include "session/squeeze.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE = 4096, PIECES_MAX = 300 };

static void inflate_all(struct squeeze *q, struct str packed)
{
    AUTO_BUF out = {0};
    squeeze_feed(q, packed);
    for (int i = 0; i < PIECES_MAX && squeeze_pending(q); i++) {
        buf_clear(&out);
        if (squeeze_inflate(q, PIECE, &out) != 0)
            return;
        assert(out.n <= PIECE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    AUTO_BUF packed = {0};
    AUTO_BUF back = {0};
    struct squeeze *q = squeeze_new(), *other = squeeze_new(), *resumed = squeeze_resume(bytes);
    squeeze_deflate(q, bytes, true, &packed);
    squeeze_feed(other, buf_view(&packed));
    while (squeeze_pending(other) && back.n <= size && squeeze_inflate(other, PIECE, &back) == 0)
        continue;
    assert(str_eq(buf_view(&back), bytes));
    inflate_all(q, bytes);
    if (resumed)
        inflate_all(resumed, bytes);
    squeeze_free(q);
    squeeze_free(other);
    squeeze_free(resumed);
    return 0;
}
