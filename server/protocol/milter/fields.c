/* A header that filters change. */
#include "protocol/milter/fields.h"
#include "mail/header.h"

#include <stdlib.h>

#define NAME_MAX_OCTETS 900

static size_t size_of(const struct milter_field *f)
{
    return f->name.n + f->value.n + 2;
}

static void make_room(struct milter_fields *f)
{
    if (f->n < f->cap)
        return;
    f->cap = f->cap ? 2 * f->cap : 32;
    f->v = mem_grow(f->v, f->cap, sizeof *f->v);
}

static void put(struct milter_fields *f, size_t at, struct milter_field field)
{
    make_room(f);
    memmove(f->v + at + 1, f->v + at, (f->n - at) * sizeof *f->v);
    f->v[at] = field;
    f->n++;
    f->size += size_of(&field);
}

static void take(struct milter_fields *f, size_t at)
{
    f->size -= size_of(&f->v[at]);
    memmove(f->v + at, f->v + at + 1, (f->n - at - 1) * sizeof *f->v);
    f->n--;
}

/* --- reading and writing --- */

static struct str without_end(struct str s)
{
    if (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    return s;
}

void milter_fields_read(struct milter_fields *f, struct arena *a, struct str header)
{
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field m;
    *f = (struct milter_fields){.arena = a};
    while (mail_header_next(&w, &m)) {
        struct str whole = without_end(m.whole);
        ptrdiff_t colon = m.colon && m.name.n ? str_find(whole, ':') : -1;
        struct milter_field field = {.value = whole};
        if (colon >= 0)
            field = (struct milter_field){m.name, str_skip(whole, (size_t)colon + 1)};
        put(f, f->n, field);
    }
}

void milter_fields_free(struct milter_fields *f)
{
    free(f->v);
    *f = (struct milter_fields){0};
}

void milter_fields_print(const struct milter_fields *f, struct buf *out)
{
    for (size_t i = 0; i < f->n; i++) {
        buf_str(out, f->v[i].name);
        if (f->v[i].name.n)
            buf_byte(out, ':');
        buf_str(out, f->v[i].value);
        buf_byte(out, '\n');
    }
}

/* --- changing --- */

static bool is_name(struct str s)
{
    return s.n > 0 && s.n <= NAME_MAX_OCTETS && str_is_graph(s) && str_find(s, ':') < 0;
}

/* Line ends become LF, each with a blank behind it (RFC 5322 section 2.2.3), and no line is blank
 * altogether: it would end the header for some readers. */
static struct str fit(struct arena *a, struct str value, bool spaced)
{
    AUTO_BUF b = {0};
    struct str rest = value, line;
    bool first = true;
    if (!spaced)
        buf_byte(&b, ' ');
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '\n' && rest.p[n] != '\r')
            n++;
        line = str_head(rest, n);
        rest = str_skip(rest, n + 1);
        if (!first && str_trim(line).n == 0)
            continue;
        if (!first)
            buf_byte(&b, '\n');
        if (!first && line.p[0] != ' ' && line.p[0] != '\t')
            buf_byte(&b, '\t');
        buf_str(&b, line);
        first = false;
    }
    return arena_str(a, buf_view(&b));
}

static int make(struct milter_fields *f, struct str name, struct str value, bool spaced,
                struct milter_field *out, struct err *e)
{
    if (!is_name(name))
        return err_perm(e, "the filter's header \"%.*s\" has no name that could be one",
                        STR_FMT(str_head(name, 60)));
    if (f->size + name.n + value.n > MILTER_FIELDS_SIZE_MAX)
        return err_perm(e, "the filter makes the header too large");
    *out = (struct milter_field){arena_str(f->arena, name), fit(f->arena, value, spaced)};
    f->changed = true;
    return 0;
}

int milter_fields_insert(struct milter_fields *f, uint32_t index, struct str name,
                         struct str value, bool spaced, struct err *e)
{
    struct milter_field field;
    if (make(f, name, value, spaced, &field, e) != 0)
        return -1;
    put(f, index < f->n ? index : f->n, field);
    return 0;
}

int milter_fields_add(struct milter_fields *f, struct str name, struct str value, bool spaced,
                      struct err *e)
{
    return milter_fields_insert(f, UINT32_MAX, name, value, spaced, e);
}

static bool find(const struct milter_fields *f, struct str name, uint32_t index, size_t *at)
{
    uint32_t seen = 0;
    for (size_t i = 0; i < f->n; i++)
        if (str_caseeq(f->v[i].name, name) && ++seen == index) {
            *at = i;
            return true;
        }
    return false;
}

int milter_fields_change(struct milter_fields *f, uint32_t index, struct str name,
                         struct str value, bool spaced, struct err *e)
{
    struct milter_field field;
    size_t at;
    bool found = is_name(name) && find(f, name, index ? index : 1, &at);
    if (value.n == 0) {
        if (found)
            take(f, at);
        f->changed = f->changed || found;
        return 0;
    }
    if (!found)
        return milter_fields_add(f, name, value, spaced, e);
    field = f->v[at];
    take(f, at);
    if (make(f, name, value, spaced, &field, e) != 0)
        return -1;
    put(f, at, field);
    return 0;
}
