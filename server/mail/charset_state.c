/* Charsets whose bytes mean what an escape or a mark before them says. See charset_table.h. */
#include "mail/charset_table.h"

#include <stdlib.h>
#include <unistr.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* --- ISO 2022 --- */

enum shift { SHIFT_ASCII, SHIFT_ROMAN /* JIS X 0201 */, SHIFT_PAIRS, SHIFT_SAME /* announces a set */ };

struct escape {
    const char *bytes;
    enum shift to;
};

static const struct escape *escape_at(const struct escape *list, struct str in)
{
    for (; list->bytes; list++)
        if (str_starts(in, str_from(list->bytes)))
            return list;
    return NULL;
}

/* Two bytes below 0x80 are those of the EUC without their high bits. */
static int add_pair(const struct charset_tables *t, int euc, struct str *in, struct buf *out)
{
    const char high[2] = {(char)(in->p[0] | 0x80), in->n > 1 ? (char)(in->p[1] | 0x80) : 0};
    bool pair = in->n > 1 && in->p[0] > 0x20 && in->p[0] < 0x7f && in->p[1] > 0x20 && in->p[1] < 0x7f;
    *in = str_skip(*in, pair ? 2 : 1);
    return pair ? charset_by_table(t, euc, (struct str){high, 2}, out) : buf_add(out, replacement, 3);
}

static int add_single(enum shift now, struct str *in, struct buf *out)
{
    char c = in->p[0];
    *in = str_skip(*in, 1);
    if (now == SHIFT_ROMAN && c == '\\')
        return buf_str(out, STR("\xc2\xa5")); /* yen */
    if (now == SHIFT_ROMAN && c == '~')
        return buf_str(out, STR("\xe2\x80\xbe")); /* overline */
    return (unsigned char)c < 0x80 ? buf_byte(out, c) : buf_add(out, replacement, 3);
}

/* Every line begins in ASCII, whatever the one before ended in (RFC 1468, RFC 1557). */
static int add_shifted(const struct charset_tables *t, int euc, const struct escape *list, struct str in,
                       struct buf *out)
{
    enum shift now = SHIFT_ASCII;
    while (in.n) {
        const struct escape *e = escape_at(list, in);
        int r = 0;
        if (e) {
            in = str_skip(in, strlen(e->bytes));
            now = e->to == SHIFT_SAME ? now : e->to;
            continue;
        }
        if (in.p[0] == '\n')
            now = SHIFT_ASCII;
        if (now == SHIFT_PAIRS && (unsigned char)in.p[0] > 0x20)
            r = add_pair(t, euc, &in, out);
        else
            r = add_single(now, &in, out);
        if (r != 0)
            return -1;
    }
    return 0;
}

int charset_iso2022jp(const struct charset_tables *t, int euc_jp, struct str in, struct buf *out)
{
    static const struct escape list[] = {{"\x1b(B", SHIFT_ASCII}, {"\x1b(J", SHIFT_ROMAN},
                                         {"\x1b$@", SHIFT_PAIRS}, {"\x1b$B", SHIFT_PAIRS}, {0}};
    return add_shifted(t, euc_jp, list, in, out);
}

int charset_iso2022kr(const struct charset_tables *t, int euc_kr, struct str in, struct buf *out)
{
    static const struct escape list[] = {
        {"\x1b$)C", SHIFT_SAME}, {"\x0e", SHIFT_PAIRS}, {"\x0f", SHIFT_ASCII}, {0}};
    return add_shifted(t, euc_kr, list, in, out);
}

/* --- UTF-16 (RFC 2781) --- */

static bool takes_mark(struct str *in, const char mark[2])
{
    if (in->n < 2 || memcmp(in->p, mark, 2) != 0)
        return false;
    *in = str_skip(*in, 2);
    return true;
}

/* The units, of which u16_check says how far they are well formed. */
static int add_units(const uint16_t *units, size_t n, struct buf *out)
{
    while (n) {
        const uint16_t *bad = u16_check(units, n);
        size_t good = bad ? (size_t)(bad - units) : n, len = 0;
        uint8_t *text = u16_to_u8(units, good, NULL, &len);
        int r = text ? buf_add(out, text, len) : 0;
        free(text);
        if (r != 0 || (bad && buf_add(out, replacement, 3) != 0))
            return -1;
        units += bad ? good + 1 : good;
        n -= bad ? good + 1 : good;
    }
    return 0;
}

int charset_utf16(enum charset_order order, struct str in, struct buf *out)
{
    bool little = order == CHARSET_LITTLE;
    if (order == CHARSET_BY_MARK && !takes_mark(&in, "\xfe\xff"))
        little = takes_mark(&in, "\xff\xfe");
    size_t n = in.n / 2;
    AUTO_FREE uint16_t *to = mem_array(n + 1, sizeof *to);
    for (size_t i = 0; i < n; i++) {
        unsigned a = (unsigned char)in.p[2 * i], b = (unsigned char)in.p[2 * i + 1];
        to[i] = (uint16_t)(little ? b << 8 | a : a << 8 | b);
    }
    if (add_units(to, n, out) != 0)
        return -1;
    return in.n % 2 ? buf_add(out, replacement, 3) : 0;
}
