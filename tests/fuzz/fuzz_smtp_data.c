/*
 * Decodes the bytes as DATA and as BDAT, whole and in pieces: both ways must agree, and the end of
 * data must stand where a plain search for CR LF . CR LF finds it.
 */
#include "base/mem.h"
#include "protocol/smtp/data.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct result {
    struct buf out;
    size_t eaten;
    bool ended, bare_cr, bare_lf;
    uint64_t size;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static struct result decode(struct str all, size_t step, bool lf_is_end)
{
    struct result r = {.ended = false};
    struct smtp_data d;
    char *out = mem_alloc(step);
    smtp_data_init(&d, lf_is_end);
    while (all.n && !r.ended) {
        struct str in = str_head(all, step);
        size_t given = in.n, got;
        r.ended = smtp_data_feed(&d, &in, out, &got);
        check(got <= given);
        buf_add(&r.out, out, got);
        r.eaten += given - in.n;
        all = str_skip(all, given - in.n);
    }
    free(out);
    r.bare_cr = d.bare_cr;
    r.bare_lf = d.bare_lf;
    r.size = d.size;
    return r;
}

static struct result decode_chunks(struct str all, size_t step)
{
    struct result r = {.ended = false};
    struct smtp_data d;
    char *out = mem_alloc(step);
    smtp_data_init(&d, false);
    while (all.n) {
        struct str in = str_head(all, step);
        size_t got;
        smtp_data_chunk(&d, in, out, &got);
        check(got <= in.n);
        buf_add(&r.out, out, got);
        all = str_skip(all, in.n);
    }
    smtp_data_chunks_end(&d);
    free(out);
    r.bare_cr = d.bare_cr;
    r.bare_lf = d.bare_lf;
    r.size = d.size;
    return r;
}

static void check_same(struct result *x, struct result *y)
{
    check(x->ended == y->ended && x->eaten == y->eaten && x->size == y->size);
    check(x->bare_cr == y->bare_cr && x->bare_lf == y->bare_lf);
    check(str_eq(buf_view(&x->out), buf_view(&y->out)));
    buf_free(&x->out);
    buf_free(&y->out);
}

/* Where the one true end of data stands, behind it; 0: nowhere. */
static size_t true_end(struct str all)
{
    if (str_starts(all, STR(".\r\n")))
        return 3;
    for (size_t i = 0; i + 5 <= all.n; i++)
        if (memcmp(all.p + i, "\r\n.\r\n", 5) == 0)
            return i + 5;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct str all = {(const char *)data + 1, n - 1};
    size_t step = 1u + data[0] % 32u;
    for (int lf = 0; lf < 2; lf++) {
        struct result whole = decode(all, all.n, lf), pieces = decode(all, step, lf);
        size_t end = true_end(all);
        check(lf || whole.ended == (end != 0));
        check(lf || end == 0 || whole.eaten == end);
        check(!lf || !whole.bare_lf);
        check_same(&whole, &pieces);
    }
    struct result whole = decode_chunks(all, all.n), pieces = decode_chunks(all, step);
    check_same(&whole, &pieces);
    return 0;
}
