/*
 * Templates: the % forms of query_filter, search_base and result_format, and the escaping of what
 * goes into a filter (RFC 4515) or a DN (RFC 4514).
 */
#include "ldapmap/internal.h"

#include <stdlib.h>
#include <unicase.h>

int ldapmap_template_check(struct str name, struct str text, bool is_result,
                           struct ldapmap_parts *parts, bool *dynamic, struct err *e)
{
    *dynamic = false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%')
            continue;
        char c = ++i < text.n ? text.p[i] : '\0';
        if (c == '%')
            continue;
        *dynamic = true;
        if (c == 'u') {
            parts->need |= is_result ? PART_VALUE_USER : PART_KEY_USER;
        } else if (c == 'd') {
            parts->need |= is_result ? PART_VALUE_DOMAIN : PART_KEY_DOMAIN;
        } else if (c == 'U') {
            parts->need |= PART_KEY_USER;
        } else if (c == 'D') {
            parts->need |= PART_KEY_DOMAIN;
        } else if (c >= '1' && c <= '9') {
            parts->need |= PART_KEY_DOMAIN;
            if (parts->labels < (unsigned)(c - '0'))
                parts->labels = (unsigned)(c - '0');
        } else if (c != 's' && c != 'S') {
            return err_perm(
                e, "%.*s: \"%%%.*s\" is not one of %%s %%u %%d %%S %%U %%D %%1 to %%9 %%%%",
                STR_FMT(name), c ? 1 : 0, &c);
        }
    }
    return 0;
}

/* An address taken apart at its last "@". */
struct address {
    struct str whole, user, domain;
    bool qualified;
};

static struct address split_address(struct str s)
{
    struct address out = {.whole = s, .user = s};
    ptrdiff_t at = str_rfind(s, '@');
    if (at >= 0) {
        out.qualified = true;
        out.user = str_head(s, (size_t)at);
        out.domain = str_skip(s, (size_t)at + 1);
    }
    return out;
}

static bool has_parts(const struct address *a, bool domain, bool user)
{
    if (domain && (!a->qualified || a->domain.n == 0))
        return false;
    return !(user && a->qualified && a->user.n == 0);
}

/* The n-th label of a domain from the right, 1 for the last; empty labels do not count. */
static bool label_at(struct str domain, unsigned n, struct str *out)
{
    size_t end = domain.n;
    while (end > 0) {
        while (end > 0 && domain.p[end - 1] == '.')
            end--;
        size_t start = end;
        while (start > 0 && domain.p[start - 1] != '.')
            start--;
        if (start == end)
            return false;
        if (--n == 0) {
            *out = (struct str){domain.p + start, end - start};
            return true;
        }
        end = start;
    }
    return false;
}

static int plain(struct buf *out, struct str value)
{
    return buf_str(out, value);
}

/* low: what the small letters mean; high: the key, which the capitals and digits mean. */
static bool expand(struct str text, const struct address *low, const struct address *high,
                   ldapmap_escape_fn *escape, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%' || i + 1 == text.n) {
            if (buf_byte(out, text.p[i]) < 0)
                return false;
            continue;
        }
        struct str piece = {NULL, 0};
        char c = text.p[++i];
        switch (c) {
        case 's':
            piece = low->whole;
            break;
        case 'u':
            piece = low->user;
            break;
        case 'd':
            piece = low->domain;
            break;
        case 'S':
            piece = high->whole;
            break;
        case 'U':
            piece = high->user;
            break;
        case 'D':
            piece = high->domain;
            break;
        case '%':
            if (buf_byte(out, '%') < 0)
                return false;
            continue;
        default:
            if (!label_at(high->domain, (unsigned)(c - '0'), &piece))
                return false;
        }
        if (escape(out, piece) < 0)
            return false;
    }
    return true;
}

static bool has_labels(const struct ldapmap_parts *parts, const struct address *key)
{
    struct str label;
    return parts->labels == 0 || label_at(key->domain, parts->labels, &label);
}

bool ldapmap_expand_key(const struct ldapmap_parts *parts, struct str text, struct str key,
                        ldapmap_escape_fn *escape, struct buf *out)
{
    struct address k = split_address(key);
    if (key.n == 0 || !has_parts(&k, parts->need & PART_KEY_DOMAIN, parts->need & PART_KEY_USER) ||
        !has_labels(parts, &k))
        return false;
    return expand(text, &k, &k, escape, out);
}

bool ldapmap_expand_value(const struct ldapmap_parts *parts, struct str text, struct str value,
                          struct str key, struct buf *out)
{
    struct address v = split_address(value), k = split_address(key);
    if (value.n == 0 ||
        !has_parts(&v, parts->need & PART_VALUE_DOMAIN, parts->need & PART_VALUE_USER) ||
        !has_parts(&k, parts->need & PART_KEY_DOMAIN, parts->need & PART_KEY_USER) ||
        !has_labels(parts, &k))
        return false;
    return expand(text, &v, &k, plain, out);
}

/* The first word that matches decides; a key without a user is never in a domain. */
bool ldapmap_domain_match(const struct ldapmap_table *t, struct str key)
{
    if (!t->has_domains)
        return true;
    struct address k = split_address(key);
    if (!k.qualified || k.user.n == 0)
        return false;
    for (size_t i = 0; i < t->domain_count; i++)
        if (t->domains[i].any || str_eq(t->domains[i].name, k.domain))
            return !t->domains[i].negated;
    return false;
}

static int escape_bytes(struct buf *out, struct str value, const char *special, size_t count)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool hide = c == '\0' || memchr(special, c, count) != NULL;
        int rc = hide ? buf_printf(out, "\\%02X", (unsigned)(unsigned char)c) : buf_byte(out, c);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* RFC 4515, section 3: these four and NUL as a backslash and two hexadecimal digits. */
int ldapmap_escape_filter(struct buf *out, struct str value)
{
    return escape_bytes(out, value, "*()\\", 4);
}

/* RFC 4514, section 2.4. Blanks and "#" need it at the ends only; it is allowed everywhere. libldap
 * takes line ends there for blanks, and drops them. */
int ldapmap_escape_dn(struct buf *out, struct str value)
{
    return escape_bytes(out, value, " \t\r\n\"#+,;<>\\", 12);
}

struct str ldapmap_key_fold(struct arena *a, struct str key)
{
    bool ascii = true;
    for (size_t i = 0; i < key.n; i++)
        ascii = ascii && (unsigned char)key.p[i] < 0x80;
    if (!ascii && str_is_utf8(key)) {
        size_t n = 0;
        uint8_t *folded = u8_casefold((const uint8_t *)key.p, key.n, NULL, NULL, NULL, &n);
        if (folded != NULL) {
            struct str out = arena_str(a, (struct str){(const char *)folded, n});
            free(folded);
            return out;
        }
    }
    char *copy = arena_strz(a, key);
    str_lower(copy, key.n);
    return (struct str){copy, key.n};
}
