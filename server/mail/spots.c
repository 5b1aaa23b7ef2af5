/* Finding addresses in header fields. */
#include "mail/spots.h"

struct item {
    const char *begin, *end; /* of what stands there but blanks and comments; NULL: nothing yet */
    bool gap;   /* a blank or a comment came behind it */
    bool plain; /* one word */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The length of what stands in quotes or brackets at the start of s. */
static size_t closed_by(struct str s, char close)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == close)
            return i + 1;
    }
    return s.n;
}

static size_t comment_size(struct str s)
{
    size_t depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && --depth == 0)
            return i + 1;
    }
    return s.n;
}

static void add(struct item *item, const char *p, size_t n)
{
    if (!item->begin) {
        item->begin = p;
        item->plain = true;
    } else if (item->gap) {
        item->plain = false;
    }
    item->end = p + n;
}

/* Inside of "<…>", without a route (RFC 5322 section 4.4). */
static struct str bracketed(struct str s)
{
    struct str inside = str_trim(s);
    ptrdiff_t colon = inside.n && inside.p[0] == '@' ? str_find(inside, ':') : -1;
    return colon < 0 ? inside : str_trim(str_skip(inside, (size_t)colon + 1));
}

static size_t angle_size(struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == '"')
            i += closed_by(str_skip(s, i), '"') - 1;
        else if (s.p[i] == '>')
            return i + 1;
    }
    return s.n;
}

static bool take_item(const struct item *item, struct str *spot)
{
    if (!item->begin || !item->plain)
        return false;
    *spot = (struct str){item->begin, (size_t)(item->end - item->begin)};
    return true;
}

static bool has_bad_byte(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '<' || s.p[i] == '>')
            return true;
    return s.n == 0;
}

/* What stands at the start of s and is no separator: its length, or 0. */
static size_t take_part(struct item *item, struct str s)
{
    size_t n = 1;
    if (s.p[0] == '(') {
        item->gap = item->begin != NULL;
        return comment_size(s);
    }
    if (is_blank(s.p[0])) {
        item->gap = item->begin != NULL;
        return 1;
    }
    if (s.p[0] == ',' || s.p[0] == ';' || s.p[0] == ':' || s.p[0] == '<')
        return 0;
    if (s.p[0] == '"')
        n = closed_by(s, '"');
    else if (s.p[0] == '[')
        n = closed_by(s, ']');
    add(item, s.p, n);
    return n;
}

bool mail_spot_next(struct str *rest, struct str *spot)
{
    struct item item = {0};
    while (rest->n) {
        size_t n = take_part(&item, *rest);
        if (n) {
            *rest = str_skip(*rest, n);
            continue;
        }
        char c = rest->p[0];
        if (c == '<') {
            n = angle_size(*rest);
            bool closed = n > 1 && rest->p[n - 1] == '>';
            *spot = bracketed(str_head(str_skip(*rest, 1), closed ? n - 2 : 0));
            *rest = str_skip(*rest, n);
            if (!has_bad_byte(*spot))
                return true;
            item = (struct item){0};
            continue;
        }
        *rest = str_skip(*rest, 1);
        if (c != ':' && take_item(&item, spot) && !has_bad_byte(*spot))
            return true;
        item = (struct item){0};
    }
    return take_item(&item, spot) && !has_bad_byte(*spot);
}
