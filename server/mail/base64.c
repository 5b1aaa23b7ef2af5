/* base64 (RFC 4648, RFC 2045 section 6.8). */
#include "mail/encoding.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t mail_base64_decode(struct mail_base64 *s, struct str in, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        int v = value_of(c);
        if (c == '=') /* some mailers go on with another piece after the padding */
            s->bits = 0;
        if (v < 0)
            continue;
        s->acc = s->acc << 6 | (uint32_t)v;
        s->bits += 6;
        if (s->bits >= 8) {
            s->bits -= 8;
            out[n++] = (char)(s->acc >> s->bits & 0xff);
        }
    }
    return n;
}

int mail_base64_encode(struct buf *out, struct str in, bool lines)
{
    size_t full = (in.n + 2) / 3 * 4;
    size_t breaks = lines ? (full + 75) / 76 * 2 : 0;
    char *p = buf_room(out, full + breaks);
    if (!p)
        return -1;
    size_t n = 0, column = 0;
    for (size_t i = 0; i < in.n; i += 3) {
        size_t left = in.n - i;
        uint32_t v = (uint32_t)(unsigned char)in.p[i] << 16;
        v |= left > 1 ? (uint32_t)(unsigned char)in.p[i + 1] << 8 : 0;
        v |= left > 2 ? (uint32_t)(unsigned char)in.p[i + 2] : 0;
        p[n++] = alphabet[v >> 18];
        p[n++] = alphabet[v >> 12 & 63];
        p[n++] = left > 1 ? alphabet[v >> 6 & 63] : '=';
        p[n++] = left > 2 ? alphabet[v & 63] : '=';
        column += 4;
        if (lines && (column == 76 || i + 3 >= in.n)) {
            p[n++] = '\r';
            p[n++] = '\n';
            column = 0;
        }
    }
    out->n += n;
    return 0;
}
