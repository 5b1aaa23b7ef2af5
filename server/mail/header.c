/* Walking header fields. */
#include "mail/header.h"
#include "mail/wire.h"

/* Bytes of the line at the front with its LF. */
static size_t line_size(struct str s)
{
    const char *lf = s.n ? memchr(s.p, '\n', s.n) : NULL;
    return lf ? (size_t)(lf - s.p) + 1 : s.n;
}

static bool empty_line(struct str s)
{
    return (s.n >= 1 && s.p[0] == '\n') || (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n');
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t mail_header_size(struct str message)
{
    struct str rest = message;
    while (rest.n && !empty_line(rest))
        rest = str_skip(rest, line_size(rest));
    return message.n - rest.n + (rest.n ? line_size(rest) : 0);
}

bool mail_header_ends(struct str header)
{
    return str_eq(header, STR("\n")) || str_eq(header, STR("\r\n")) ||
           str_ends(header, STR("\n\n")) || str_ends(header, STR("\n\r\n"));
}

struct mail_header_walk mail_header_walk(struct str message)
{
    return (struct mail_header_walk){.rest = message};
}

static struct str without_line_end(struct str s)
{
    if (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

static void split_field(struct mail_field *f, size_t first_line)
{
    struct str text = without_line_end(f->whole);
    struct str line = str_head(text, first_line);
    ptrdiff_t colon = str_find(line, ':');
    f->colon = colon >= 0;
    f->name = f->colon ? str_head(text, (size_t)colon) : without_line_end(line);
    while (f->name.n && blank(f->name.p[f->name.n - 1]))
        f->name.n--;
    f->value = str_skip(text, f->colon ? (size_t)colon + 1 : text.n);
    while (f->value.n && blank(f->value.p[0]))
        f->value = str_skip(f->value, 1);
}

bool mail_header_next(struct mail_header_walk *w, struct mail_field *f)
{
    if (w->rest.n == 0 || w->count >= MAIL_FIELDS_MAX || empty_line(w->rest))
        return false;
    size_t first = line_size(w->rest), n = first;
    while (n < w->rest.n && blank(w->rest.p[n])) /* RFC 5322 section 2.2.3 */
        n += line_size(str_skip(w->rest, n));
    f->whole = str_head(w->rest, n);
    w->rest = str_skip(w->rest, n);
    w->count++;
    split_field(f, first);
    return true;
}

bool mail_header_find(struct str message, struct str name, size_t nth, struct mail_field *f)
{
    struct mail_header_walk w = mail_header_walk(message);
    while (mail_header_next(&w, f))
        if (f->colon && str_caseeq(f->name, name) && nth-- == 0)
            return true;
    return false;
}

size_t mail_header_count(struct str message, struct str name)
{
    struct mail_header_walk w = mail_header_walk(message);
    struct mail_field f;
    size_t count = 0;
    while (mail_header_next(&w, &f))
        count += f.colon && str_caseeq(f.name, name);
    return count;
}

bool mail_header_is_cut(struct str message)
{
    struct mail_header_walk w = mail_header_walk(message);
    struct mail_field f;
    while (mail_header_next(&w, &f))
        ;
    return w.rest.n && !empty_line(w.rest);
}

struct str mail_value_unfold(struct arena *a, struct str value)
{
    if (str_find(value, '\n') < 0)
        return value;
    char *p = arena_alloc(a, value.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        bool crlf = value.p[i] == '\r' && i + 1 < value.n && value.p[i + 1] == '\n';
        if (!crlf && value.p[i] != '\n')
            p[n++] = value.p[i];
    }
    return (struct str){p, n};
}

static bool among(struct str name, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_caseeq(name, names[i]))
            return true;
    return false;
}

int mail_header_select(struct buf *out, struct str message, const struct str *names, size_t count,
                       bool not)
{
    struct mail_header_walk w = mail_header_walk(message);
    struct mail_field f;
    while (mail_header_next(&w, &f)) {
        /* A line without a colon is no field: it has no name to be chosen by (RFC 5322 2.2). */
        if ((f.colon && among(f.name, names, count)) == not)
            continue;
        if (mail_wire_add(out, f.whole) != 0)
            return -1;
        if (f.whole.p[f.whole.n - 1] != '\n' && buf_add(out, "\r\n", 2) != 0)
            return -1;
    }
    return buf_add(out, "\r\n", 2);
}
