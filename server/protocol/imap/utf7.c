/* Modified UTF-7 of mailbox names (RFC 3501 5.1.3); see write.h. */
#include "protocol/imap/write.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int put_utf8(struct buf *out, uint32_t u)
{
    char c[4];
    size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; u >>= 6)
        c[i] = (char)(0x80 | (u & 0x3f));
    c[0] = (char)(lead[n] | u);
    return buf_add(out, c, n);
}

/* One UTF-16 unit after another; *high keeps the first half of a pair. */
static int put_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
    bool low = unit >= 0xdc00 && unit < 0xe000;
    if (*high != 0) {
        uint32_t u = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
        *high = 0;
        return low ? put_utf8(out, u) : -1;
    }
    if (low || unit == 0)
        return -1;
    if (unit >= 0xd800 && unit < 0xdc00) {
        *high = unit;
        return 0;
    }
    /* What can stand for itself must not be encoded, and "&" is "&-". */
    return unit >= 0x20 && unit <= 0x7e ? -1 : put_utf8(out, unit);
}

/* The base64 between "&" and "-". */
static int decode_run(struct buf *out, struct str run)
{
    uint32_t bits = 0, high = 0;
    unsigned have = 0;
    for (size_t i = 0; i < run.n; i++) {
        const char *at = run.p[i] ? strchr(digits, run.p[i]) : NULL;
        if (!at)
            return -1;
        bits = (bits << 6 | (uint32_t)(at - digits)) & 0xffffff;
        have += 6;
        if (have < 16)
            continue;
        have -= 16;
        if (put_unit(out, bits >> have & 0xffff, &high) != 0)
            return -1;
    }
    /* The rest is padding of zero bits, shorter than a digit. */
    return high == 0 && have < 6 && (bits & ((1u << have) - 1)) == 0 ? 0 : -1;
}

int imap_utf7_decode(struct buf *out, struct str in)
{
    bool after_run = false;
    while (in.n) {
        if (in.p[0] != '&') {
            if (in.p[0] < 0x20 || in.p[0] > 0x7e || buf_byte(out, in.p[0]) != 0)
                return -1;
            in = str_skip(in, 1);
            after_run = false;
            continue;
        }
        ptrdiff_t end = str_find(in, '-');
        if (end < 0)
            return -1;
        struct str run = {in.p + 1, (size_t)end - 1};
        /* Two runs side by side would be two spellings of one name. */
        if (run.n ? after_run || decode_run(out, run) != 0 : buf_byte(out, '&') != 0)
            return -1;
        after_run = run.n > 0;
        in = str_skip(in, (size_t)end + 1);
    }
    return 0;
}

static uint32_t take_utf8(struct str *in)
{
    const unsigned char *p = (const unsigned char *)in->p;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t u = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        u = u << 6 | (p[i] & 0x3f);
    *in = str_skip(*in, n);
    return u;
}

struct bits {
    uint32_t bits;
    unsigned have;
};

static int put_bits(struct buf *out, struct bits *b, uint32_t unit)
{
    int r = 0;
    b->bits = b->bits << 16 | unit;
    b->have += 16;
    for (; b->have >= 6; b->have -= 6)
        r |= buf_byte(out, digits[b->bits >> (b->have - 6) & 0x3f]);
    b->bits &= (1u << b->have) - 1;
    return r;
}

static int end_run(struct buf *out, struct bits *b)
{
    int r = b->have ? buf_byte(out, digits[b->bits << (6 - b->have) & 0x3f]) : 0;
    *b = (struct bits){0};
    return r | buf_byte(out, '-');
}

int imap_utf7_encode(struct buf *out, struct str in)
{
    struct bits b = {0};
    bool run = false;
    int r = 0;
    if (!str_is_utf8(in))
        return -1;
    while (in.n) {
        uint32_t u = take_utf8(&in);
        bool plain = u >= 0x20 && u <= 0x7e;
        if (plain && run)
            r |= end_run(out, &b);
        if (!plain && !run)
            r |= buf_byte(out, '&');
        run = !plain;
        if (plain) {
            r |= buf_byte(out, (char)u);
            r |= u == '&' ? buf_byte(out, '-') : 0;
        } else if (u < 0x10000) {
            r |= put_bits(out, &b, u);
        } else {
            r |= put_bits(out, &b, 0xd800 + ((u - 0x10000) >> 10));
            r |= put_bits(out, &b, 0xdc00 + ((u - 0x10000) & 0x3ff));
        }
    }
    return r | (run ? end_run(out, &b) : 0);
}
