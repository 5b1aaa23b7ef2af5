/* Byte views: comparison, searching, splitting, numbers. */
#include "base/str.h"

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

struct str str_from(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_caseeq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_head(s, prefix.n), prefix);
}

bool str_casestarts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_caseeq(str_head(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c != 0 || a.n == b.n)
        return c;
    return a.n < b.n ? -1 : 1;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

ptrdiff_t str_rfind(struct str s, char c)
{
    const char *hit = s.n ? memrchr(s.p, c, s.n) : NULL;
    return hit ? hit - s.p : -1;
}

bool str_casecontains(struct str s, struct str needle)
{
    for (; s.n >= needle.n; s = str_skip(s, 1)) {
        if (str_casestarts(s, needle))
            return true;
        if (s.n == 0)
            break;
    }
    return false;
}

struct str str_skip(struct str s, size_t n)
{
    if (n >= s.n)
        return (struct str){s.p ? s.p + s.n : NULL, 0};
    return (struct str){s.p + n, s.n - n};
}

struct str str_head(struct str s, size_t n)
{
    return (struct str){s.p, n < s.n ? n : s.n};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0]))
        s = str_skip(s, 1);
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_token(struct str *rest, const char *seps, struct str *piece)
{
    struct str set = str_from(seps);
    while (rest->n && str_find(set, rest->p[0]) >= 0)
        *rest = str_skip(*rest, 1);
    size_t n = 0;
    while (n < rest->n && str_find(set, rest->p[n]) < 0)
        n++;
    *piece = str_head(*rest, n);
    *rest = str_skip(*rest, n + 1);
    return n > 0;
}

bool str_line(struct str *rest, struct str *line)
{
    if (rest->n == 0)
        return false;
    ptrdiff_t lf = str_find(*rest, '\n');
    size_t n = lf >= 0 ? (size_t)lf : rest->n;
    *line = str_head(*rest, n);
    *rest = str_skip(*rest, n + 1);
    if (lf >= 0 && line->n && line->p[line->n - 1] == '\r')
        line->n--;
    return true;
}

int str_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return -1;
    }
    *out = v;
    return 0;
}

int str_u32(struct str s, uint32_t *out)
{
    uint64_t v;
    if (str_u64(s, &v) != 0 || v > UINT32_MAX)
        return -1;
    *out = (uint32_t)v;
    return 0;
}

char *str_put_u64(char *p, uint64_t n)
{
    char digits[STR_U64_MAX];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    memcpy(p, digits + at, sizeof digits - at);
    return p + (sizeof digits - at);
}

int str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int str_hex_octet(struct str s)
{
    int high = s.n > 1 ? str_hex_digit(s.p[0]) : -1, low = s.n > 1 ? str_hex_digit(s.p[1]) : -1;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

#define DISTANCE_MAX 63

size_t str_distance(struct str a, struct str b)
{
    size_t row[DISTANCE_MAX + 1];
    if (a.n > DISTANCE_MAX || b.n > DISTANCE_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
            size_t edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < edit ? change : edit;
        }
    }
    return row[b.n];
}

void str_lower(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)lower((unsigned char)p[i]);
}

bool str_is_graph(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x21 || s.p[i] > 0x7e)
            return false;
    return true;
}

bool str_is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

/* Length of the well-formed UTF-8 sequence at p, 0 when there is none (RFC 3629 section 4). */
static size_t utf8_step(const unsigned char *p, size_t n)
{
    if (p[0] >= 0x01 && p[0] <= 0x7f)
        return 1;
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : p[0] >= 0xe0 && p[0] <= 0xef ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4 : 0;
    if (len == 0 || n < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t step = utf8_step(p + i, s.n - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

bool str_is_text(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n; i++)
        if (p[i] < 0x20 || p[i] == 0x7f || (p[i] == 0xc2 && i + 1 < s.n && p[i + 1] < 0xa0))
            return false;
    return str_is_utf8(s);
}
