/*
 * The tree of parts, in one pass over the lines.
 *
 * Sizes come from two running counts, line ends and line ends without CR; a part notes them where
 * it begins and ends. A boundary line that follows text owns the line end before it (RFC 2046
 * section 5.1.1); one that follows a header or another boundary line at once owns none.
 */
#include "mail/header.h"
#include "mail/mime_value.h"

struct mark {
    size_t at;
    uint64_t bare; /* LF without CR so far */
    uint64_t lines;
};

struct open_part {
    struct str boundary;
    struct mail_part *part, *last; /* last: its newest child */
};

struct parser {
    struct arena *arena;
    struct str m;
    struct mark pos;
    struct mark end; /* where the text before the boundary that was hit ends */
    struct open_part open[MAIL_MIME_DEPTH_MAX];
    size_t open_count;
    size_t parts;
};

struct hit {
    bool found, closing;
    size_t open; /* index of the multipart it belongs to */
};

/* --- lines --- */

static void next_line(struct parser *ps)
{
    size_t at = ps->pos.at;
    const char *lf = memchr(ps->m.p + at, '\n', ps->m.n - at);
    if (!lf) {
        ps->pos.at = ps->m.n;
        return;
    }
    size_t k = (size_t)(lf - ps->m.p);
    ps->pos.lines++;
    ps->pos.bare += k == 0 || ps->m.p[k - 1] != '\r';
    ps->pos.at = k + 1;
}

static struct mail_span span_between(struct mark from, struct mark to)
{
    size_t n = to.at - from.at;
    return (struct mail_span){.at = from.at, .n = n, .wire = n + (to.bare - from.bare),
                              .lines = (uint32_t)(to.lines - from.lines)};
}

/* pos without the line end before it, when that belongs to text that began at start. */
static struct mark before_line_end(const struct parser *ps, struct mark start)
{
    struct mark e = ps->pos;
    if (e.at <= start.at || ps->m.p[e.at - 1] != '\n')
        return e;
    e.at--;
    e.lines--;
    if (e.at > start.at && ps->m.p[e.at - 1] == '\r')
        e.at--;
    else
        e.bare--;
    return e;
}

/* --- boundaries --- */

/* Is the line at pos a boundary of an open multipart? The longest one that the line begins with
 * counts, so that "--ab" is not taken for a boundary "a"; what stands behind it does not matter. */
static struct hit boundary_here(const struct parser *ps)
{
    struct hit h = {0};
    struct str line = str_skip(ps->m, ps->pos.at);
    if (ps->open_count == 0 || line.n < 2 || line.p[0] != '-' || line.p[1] != '-')
        return h;
    line = str_skip(line, 2);
    ptrdiff_t lf = str_find(line, '\n');
    line.n = lf >= 0 ? (size_t)lf : line.n;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    for (size_t i = ps->open_count; i-- > 0;) {
        struct str b = ps->open[i].boundary;
        if (line.n < b.n || (b.n && memcmp(line.p, b.p, b.n) != 0) ||
            (h.found && b.n <= ps->open[h.open].boundary.n))
            continue;
        h = (struct hit){.found = true, .open = i};
        struct str behind = str_skip(line, b.n);
        h.closing = str_starts(behind, STR("--"));
        if (behind.n == 0 || (h.closing && behind.n == 2))
            break;
    }
    return h;
}

/* Skips text up to a boundary (pos: at it) or the end. */
static struct hit skip_text(struct parser *ps)
{
    struct mark start = ps->pos;
    struct hit h = {0};
    while (ps->pos.at < ps->m.n && !(h = boundary_here(ps)).found)
        next_line(ps);
    ps->end = h.found ? before_line_end(ps, start) : ps->pos;
    return h;
}

/* --- header --- */

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* A transfer encoding is one token (RFC 2045 section 6.1). */
static void read_encoding(struct mail_part *p, struct str value)
{
    struct mail_lex x = {.s = str_head(value, MAIL_FIELD_VALUE_MAX)};
    struct str token = {0};
    if (mail_lex_cfws(&x))
        token = mail_lex_token(&x);
    if (token.n == 0 || !mail_lex_cfws(&x) || x.at < x.s.n)
        return;
    p->encoding = token;
    p->cte = str_caseeq(token, STR("base64"))             ? MAIL_CTE_BASE64
             : str_caseeq(token, STR("quoted-printable")) ? MAIL_CTE_QP
             : str_caseeq(token, STR("7bit")) || str_caseeq(token, STR("8bit")) ||
                     str_caseeq(token, STR("binary"))
                 ? MAIL_CTE_PLAIN
                 : MAIL_CTE_UNKNOWN;
}

static void keep_first(struct str *to, struct str value)
{
    if (!to->p)
        *to = value;
}

/* The first of several fields of one name counts, as a reader that stops there would have it; of
 * Content-Disposition the last. */
static void read_content_field(struct parser *ps, struct mail_part *p, const struct mail_field *f)
{
    struct str name = str_skip(f->name, 8);
    if (str_caseeq(name, STR("Type"))) {
        p->mime = true;
        if (!p->type.p)
            mail_type_parse(ps->arena, f->value, p);
    } else if (str_caseeq(name, STR("Transfer-Encoding"))) {
        if (!p->encoding.p)
            read_encoding(p, f->value);
    } else if (str_caseeq(name, STR("ID"))) {
        keep_first(&p->id, f->value);
    } else if (str_caseeq(name, STR("Description"))) {
        keep_first(&p->description, f->value);
    } else if (str_caseeq(name, STR("MD5"))) {
        keep_first(&p->md5, f->value);
    } else if (str_caseeq(name, STR("Location"))) {
        keep_first(&p->location, f->value);
    } else if (str_caseeq(name, STR("Language"))) {
        if (!p->language_count)
            mail_languages_parse(ps->arena, f->value, p);
    } else if (str_caseeq(name, STR("Disposition"))) {
        mail_mime_value_parse(ps->arena, f->value, &p->disposition, &p->disposition_params,
                              &p->disposition_param_count);
    }
}

static void read_field(struct parser *ps, struct mail_part *p, size_t start)
{
    struct str whole = {ps->m.p + start, ps->pos.at - start};
    struct mail_header_walk w = mail_header_walk(whole);
    struct mail_field f;
    char first = (char)(whole.p[0] | 0x20);
    if ((first != 'c' && first != 'm') || !mail_header_next(&w, &f) || !f.colon)
        return;
    if (str_casestarts(f.name, STR("Content-")))
        read_content_field(ps, p, &f);
    else if (str_caseeq(f.name, STR("MIME-Version")))
        p->mime = true;
}

/* Content- fields mean something in a message that says it is MIME (RFC 2045 section 4), and in the
 * parts of a multipart. */
static void forget_if_not_mime(struct mail_part *p)
{
    if (p->mime || (p->parent && p->parent->kind == MAIL_PART_MULTIPART)) {
        p->mime = true;
        return;
    }
    p->encoding = p->id = p->description = p->md5 = p->location = p->disposition = (struct str){0};
    p->cte = MAIL_CTE_PLAIN;
    p->disposition_params = NULL;
    p->languages = NULL;
    p->disposition_param_count = p->language_count = 0;
}

static struct hit read_header(struct parser *ps, struct mail_part *p)
{
    struct mark start = ps->pos;
    struct hit h = {0};
    while (ps->pos.at < ps->m.n && !(h = boundary_here(ps)).found) {
        size_t at = ps->pos.at;
        struct str rest = str_skip(ps->m, at);
        next_line(ps);
        if (str_starts(rest, STR("\n")) || str_starts(rest, STR("\r\n")))
            break;
        while (ps->pos.at < ps->m.n && blank(ps->m.p[ps->pos.at]))
            next_line(ps);
        read_field(ps, p, at);
    }
    p->header = span_between(start, ps->pos);
    p->body = span_between(ps->pos, ps->pos);
    ps->end = ps->pos;
    forget_if_not_mime(p);
    return h;
}

/* --- tree --- */

static size_t depth(const struct mail_part *p)
{
    size_t n = 0;
    for (; p; p = p->parent)
        n++;
    return n;
}

static struct mail_part *new_part(struct parser *ps, struct mail_part *parent)
{
    struct mail_part *p = ARENA_NEW(ps->arena, struct mail_part);
    p->parent = parent;
    ps->parts++;
    return p;
}

static struct mail_part *next_child(struct parser *ps, struct open_part *o)
{
    struct mail_part *p = new_part(ps, o->part);
    if (o->last)
        o->last->next = p;
    else
        o->part->first = p;
    return o->last = p;
}

static void decide_kind(struct parser *ps, struct mail_part *p)
{
    bool room = depth(p) < MAIL_MIME_DEPTH_MAX && ps->parts < MAIL_MIME_PARTS_MAX;
    if (!p->type.p)
        p->kind = p->parent && p->parent->digest ? MAIL_PART_MESSAGE : MAIL_PART_TEXT;
    else if (str_caseeq(p->type, STR("text")))
        p->kind = MAIL_PART_TEXT;
    else if (str_caseeq(p->type, STR("message")) && str_caseeq(p->subtype, STR("rfc822")))
        p->kind = MAIL_PART_MESSAGE;
    else if (str_caseeq(p->type, STR("multipart")) && p->subtype.n)
        p->kind = MAIL_PART_MULTIPART;
    if (!room && (p->kind == MAIL_PART_MESSAGE || p->kind == MAIL_PART_MULTIPART))
        p->kind = MAIL_PART_LEAF;
    p->digest = p->kind == MAIL_PART_MULTIPART && str_caseeq(p->subtype, STR("digest"));
}

static void push_boundary(struct parser *ps, struct mail_part *p)
{
    const struct mail_param *b = mail_param_find(p->params, p->param_count, STR("boundary"));
    if (!b || b->extended || ps->open_count >= MAIL_MIME_DEPTH_MAX)
        return;
    ps->open[ps->open_count++] = (struct open_part){
        .boundary = str_head(b->value, MAIL_MIME_BOUNDARY_MAX), .part = p};
}

/* Ends the bodies from p up to, but not including, stop. */
static void close_parts(struct parser *ps, struct mail_part *p, const struct mail_part *stop)
{
    for (; p != stop; p = p->parent) {
        struct mark from = {.at = p->body.at, .bare = p->body.wire, .lines = p->body.lines};
        p->body = span_between(from, ps->end);
    }
}

/* While a body is open, its span keeps the counts of its beginning. */
static void open_body(const struct parser *ps, struct mail_part *p)
{
    p->body = (struct mail_span){.at = ps->pos.at, .wire = ps->pos.bare,
                                 .lines = (uint32_t)ps->pos.lines};
}

/* Reads a part from its header on: the part that is current afterwards, the boundary it met. */
static struct mail_part *read_part(struct parser *ps, struct mail_part *p, struct hit *h)
{
    for (;;) {
        *h = read_header(ps, p);
        decide_kind(ps, p);
        open_body(ps, p);
        if (p->kind == MAIL_PART_MESSAGE) {
            p = p->first = new_part(ps, p);
            continue;
        }
        if (h->found)
            return p;
        if (p->kind == MAIL_PART_MULTIPART)
            push_boundary(ps, p);
        *h = skip_text(ps);
        return p;
    }
}

struct mail_part *mail_mime_parse(struct arena *a, struct str message)
{
    struct parser ps = {.arena = a, .m = message};
    struct mail_part *root = new_part(&ps, NULL);
    struct hit h;
    struct mail_part *cur = read_part(&ps, root, &h);
    while (h.found) {
        struct open_part *owner = &ps.open[h.open];
        close_parts(&ps, cur, owner->part);
        next_line(&ps);
        bool whole = ps.m.p[ps.pos.at - 1] == '\n'; /* else the message was cut there */
        if (h.closing || !whole || ps.parts >= MAIL_MIME_PARTS_MAX) {
            cur = owner->part;
            ps.open_count = h.open; /* what follows is the epilogue */
            h = skip_text(&ps);
        } else {
            ps.open_count = h.open + 1;
            cur = read_part(&ps, next_child(&ps, owner), &h);
        }
    }
    close_parts(&ps, cur, NULL);
    return root;
}
