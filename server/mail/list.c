/* Header lines of a mailing list. */
#include "mail/list.h"

static bool is_among(char c, const char *more)
{
    bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return alnum || (c != '\0' && strchr(more, c));
}

/* RFC 2919 section 2: a dot-atom; what none can hold becomes a hyphen. */
static int print_label(struct str local, struct buf *out)
{
    for (size_t i = 0; i < local.n; i++)
        if (buf_byte(out, is_among(local.p[i], "!#$%&'*+-/=?^_`{|}~.") ? local.p[i] : '-') != 0)
            return -1;
    return 0;
}

/* RFC 6068 section 2: what is no part of a name there is written %XX. */
static int print_mailto(struct str address, struct buf *out)
{
    for (size_t i = 0; i < address.n; i++) {
        bool plain = is_among(address.p[i], "-._~@+");
        if (plain ? buf_byte(out, address.p[i]) : buf_printf(out, "%%%02X", (unsigned char)address.p[i]))
            return -1;
    }
    return 0;
}

int mail_list_fields(struct str address, bool closed, struct buf *out)
{
    ptrdiff_t at = str_rfind(address, '@');
    struct str local = str_head(address, at < 0 ? address.n : (size_t)at);
    struct str domain = str_skip(address, at < 0 ? address.n : (size_t)at + 1);
    if (buf_str(out, STR("List-Id: <")) != 0 || print_label(local, out) != 0 ||
        buf_byte(out, '.') != 0 || print_label(domain, out) != 0)
        return -1;
    if (closed) /* RFC 2369 section 3.4 */
        return buf_str(out, STR(">\nList-Post: NO\n"));
    if (buf_str(out, STR(">\nList-Post: <mailto:")) != 0 || print_mailto(address, out) != 0)
        return -1;
    return buf_str(out, STR(">\n"));
}
