/* Folding for look-ups and for search. */
#include "mail/address.h"
#include "mail/encoding.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

static struct str ascii_fold(struct arena *a, struct str s)
{
    char *p = arena_strz(a, s);
    str_lower(p, s.n);
    return (struct str){p, s.n};
}

/* Canonical caseless matching (Unicode 3.13, D145): decompose, fold, compose. */
struct str mail_fold_case(struct arena *a, struct str s)
{
    if (str_is_ascii(s) || !str_is_utf8(s))
        return ascii_fold(a, s);
    size_t n = 0, m = 0;
    AUTO_FREE uint8_t *apart = u8_normalize(UNINORM_NFD, (const uint8_t *)s.p, s.n, NULL, &n);
    AUTO_FREE uint8_t *folded = apart ? u8_casefold(apart, n, NULL, UNINORM_NFC, NULL, &m) : NULL;
    if (!folded)
        return ascii_fold(a, s);
    return arena_str(a, (struct str){(const char *)folded, m});
}

/* --- i;unicode-casemap (RFC 5051 section 2) --- */

/* Appends a code point fully decomposed: canonical and compatibility mappings both, without
 * reordering. */
static int add_decomposed(ucs4_t uc, unsigned depth, struct buf *out)
{
    ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
    int tag, n = depth < 16 ? uc_decomposition(uc, &tag, parts) : -1;
    if (n <= 0) {
        uint8_t utf8[6];
        int len = u8_uctomb(utf8, uc, sizeof utf8);
        return buf_add(out, utf8, len > 0 ? (size_t)len : 0);
    }
    for (int i = 0; i < n; i++)
        if (add_decomposed(parts[i], depth + 1, out) != 0)
            return -1;
    return 0;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight ASCII characters at once: the high bit of each byte tells on which side of "a" and of "z" it
 * is. */
static uint64_t upper8(uint64_t w)
{
    uint64_t from_a = w + EACH(0x80 - 'a'), after_z = w + EACH(0x7f - 'z');
    return w ^ ((from_a & ~after_z & EACH(0x80)) >> 2);
}

static size_t ascii_run(struct str s)
{
    size_t n = 0;
    while (n < s.n && (unsigned char)s.p[n] < 0x80)
        n++;
    return n;
}

/* Appends the ASCII that text begins with; *n: its length. 0, or -1. */
static int add_upper(struct buf *out, struct str text, size_t *n)
{
    size_t i = 0;
    char *p = buf_room(out, text.n);
    if (!p) { /* near the bound: no more than is needed */
        text = str_head(text, ascii_run(text));
        p = buf_room(out, text.n);
    }
    if (!p)
        return -1;
    for (; i + 8 <= text.n; i += 8) {
        uint64_t w;
        memcpy(&w, text.p + i, 8);
        if (w & EACH(0x80))
            break;
        w = upper8(w);
        memcpy(p + i, &w, 8);
    }
    for (; i < text.n && (unsigned char)text.p[i] < 0x80; i++) {
        char c = text.p[i];
        p[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    out->n += i;
    *n = i;
    return 0;
}

int mail_casemap(struct str utf8, struct buf *out)
{
    while (utf8.n) {
        size_t k;
        if (add_upper(out, utf8, &k) != 0)
            return -1;
        utf8 = str_skip(utf8, k);
        if (utf8.n == 0)
            break;
        ucs4_t uc;
        int len = u8_mbtoucr(&uc, (const uint8_t *)utf8.p, utf8.n);
        int r = len > 0 ? add_decomposed(uc_totitle(uc), 0, out) : buf_add(out, utf8.p, 1);
        if (r != 0)
            return -1;
        utf8 = str_skip(utf8, len > 0 ? (size_t)len : 1);
    }
    return 0;
}

bool mail_casemap_contains(struct str text, struct str needle, struct buf *scratch)
{
    buf_clear(scratch);
    if (mail_casemap(text, scratch) != 0)
        return false;
    return needle.n == 0 || (scratch->n && memmem(scratch->p, scratch->n, needle.p, needle.n));
}
