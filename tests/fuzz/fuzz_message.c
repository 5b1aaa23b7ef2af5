/*
 * Fuzzer of what one program reads from another: datagrams between every pair of programs, and bundles.
 * What decodes encodes, and decodes again to the same bytes; nothing in it lies outside the datagram.
 */
#include "ipc/bundle.h"
#include "ipc/message.h"

#include <assert.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_message(struct str bytes, unsigned from, unsigned to)
{
    AUTO_ARENA a = arena_new(1024);
    AUTO_BUF first = {0};
    AUTO_BUF second = {0};
    struct msg m, again;
    struct err e = {0};
    if (msg_decode(bytes, from, to, a, &m, &e) != 0) {
        assert(e.log[0]);
        return;
    }
    assert(m.fd == -1 && m.type > MSG_NONE && m.type < MSG_COUNT);
    assert(msg_encode(&m, &first, &e) == 0 && first.n <= MSG_LIMIT);
    assert(msg_decode(buf_view(&first), from, to, a, &again, &e) == 0 && again.type == m.type);
    assert(msg_encode(&again, &second, &e) == 0);
    assert(str_eq(buf_view(&first), buf_view(&second)) && msg_id(&m) == msg_id(&again));
}

static void try_bundle(struct str bytes)
{
    struct buf raw = {.p = (char *)(uintptr_t)bytes.p, .n = bytes.n, .cap = bytes.n};
    struct bundle b;
    struct str name, piece;
    struct err e = {0};
    size_t at = 0, total = 0;
    AUTO_FD fd = bundle_memfd(&raw);
    if (fd < 0 || bundle_open(fd, &b, &e) != 0)
        return;
    while (bundle_next(&b, &at, &name, &piece)) {
        total += name.n + piece.n;
        assert(total <= bytes.n);
        assert(name.n == 0 || (name.p >= b.p && name.p + name.n <= b.p + b.n));
        assert(piece.n == 0 || (piece.p >= b.p && piece.p + piece.n <= b.p + b.n));
    }
    (void)bundle_get(&b, STR("facteur.conf"), &piece);
    bundle_close(&b);
}

/* Between every pair of programs: which may send what is part of what is tried. */
static void try_pairs(struct str bytes)
{
    for (unsigned from = 1; from < ALL; from <<= 1)
        for (unsigned to = 1; to < ALL; to <<= 1)
            try_message(bytes, from, to);
}

/* A sound message of some type with bytes put over it and into it. */
static void try_changed(unsigned type, size_t at, struct str bytes)
{
    struct msg m = {.type = (enum msg_type)(1 + type % (MSG_COUNT - 1)), .fd = -1};
    AUTO_BUF sound = {0};
    AUTO_BUF over = {0};
    AUTO_BUF into = {0};
    struct err e = {0};
    assert(msg_encode(&m, &sound, &e) == 0);
    struct str s = buf_view(&sound);
    try_pairs(s);
    at %= s.n;
    buf_str(&over, str_head(s, at));
    buf_str(&over, bytes);
    buf_str(&into, buf_view(&over));
    buf_str(&over, str_skip(s, at + bytes.n));
    buf_str(&into, str_skip(s, at));
    try_pairs(buf_view(&over));
    try_pairs(buf_view(&into));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct str bytes = {(const char *)data + 2, size - 2};
    try_pairs(bytes);
    try_changed(data[0], data[1], bytes);
    try_bundle(bytes);
    return 0;
}
