/* FETCH items; see fetch.h. */
#include "protocol/imap/fetch.h"

#include "protocol/imap/write.h"

static int add_item(struct imap_cursor *c, struct arena *a, struct imap_fetch *f,
                    struct imap_fetch_item item)
{
    if (f->n >= c->limits->items || f->n >= 1000)
        return imap_wrong(c, "Too many FETCH items");
    if ((f->n & (f->n - 1)) == 0) { /* full at every power of two */
        struct imap_fetch_item *more = arena_array(a, f->n ? f->n * 2 : 1, sizeof *more);
        if (f->n)
            memcpy(more, f->items, f->n * sizeof *more);
        f->items = more;
    }
    f->items[f->n++] = item;
    return 0;
}

static int get_fields(struct imap_cursor *c, struct arena *a, struct imap_section *s)
{
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    do {
        struct str name;
        if (imap_get_astring(c, &name) != 0)
            return -1;
        /* RFC 5322 2.2: a field name is printable and has no colon. An answer must be able to
         * repeat it, too. */
        if (!str_is_graph(name) || str_find(name, ':') >= 0 || name.n > 998)
            return imap_wrong(c, "Invalid header field name");
        if (s->field_n >= c->limits->items)
            return imap_wrong(c, "Too many header fields");
        if ((s->field_n & (s->field_n - 1)) == 0) {
            struct str *more = arena_array(a, s->field_n ? s->field_n * 2 : 1, sizeof *more);
            if (s->field_n)
                memcpy(more, s->fields, s->field_n * sizeof *more);
            s->fields = more;
        }
        s->fields[s->field_n++] = name;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')');
}

/* section-msgtext, or MIME behind a part number. */
static int get_section_text(struct imap_cursor *c, struct arena *a, struct imap_section *s)
{
    if (imap_try_word(c, STR("HEADER.FIELDS.NOT"))) {
        s->text = IMAP_SECTION_FIELDS_NOT;
        return get_fields(c, a, s);
    }
    if (imap_try_word(c, STR("HEADER.FIELDS"))) {
        s->text = IMAP_SECTION_FIELDS;
        return get_fields(c, a, s);
    }
    if (imap_try_word(c, STR("HEADER")))
        s->text = IMAP_SECTION_HEADER;
    else if (imap_try_word(c, STR("TEXT")))
        s->text = IMAP_SECTION_TEXT;
    else if (s->depth && imap_try_word(c, STR("MIME")))
        s->text = IMAP_SECTION_MIME;
    else
        return imap_wrong(c, "Unknown body section");
    return 0;
}

/* What stands between the brackets. */
static int get_section(struct imap_cursor *c, struct arena *a, struct imap_section *s)
{
    if (imap_peek(c, ']'))
        return 0;
    uint32_t part[64];
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        if (s->depth >= c->limits->nesting || s->depth >= 64)
            return imap_wrong(c, "Body section too deep");
        if (imap_get_nz_number(c, &part[s->depth]) != 0)
            return -1;
        s->depth++;
        if (!imap_try(c, '.'))
            break;
        if (imap_peek(c, ']'))
            return imap_wrong(c, "Unknown body section");
    }
    s->part = arena_array(a, s->depth, sizeof *part);
    memcpy(s->part, part, s->depth * sizeof *part);
    if (s->depth && imap_peek(c, ']'))
        return 0;
    if (s->depth && c->p[-1] != '.')
        return imap_wrong(c, "Unknown body section");
    return get_section_text(c, a, s);
}

static int get_octets(struct imap_cursor *c, struct imap_section *s)
{
    if (!imap_try(c, '<'))
        return 0;
    s->partial = true;
    if (imap_get_number64(c, &s->offset) != 0 || imap_get_char(c, '.') != 0 ||
        imap_get_number64(c, &s->length) != 0)
        return -1;
    if (s->length == 0)
        return imap_wrong(c, "Zero is not allowed here");
    return imap_get_char(c, '>');
}

/* "BODY" was read; a section or the plain item. */
static int get_body(struct imap_cursor *c, struct arena *a, struct imap_fetch_item *item)
{
    bool bracket = imap_try(c, '[');
    if (!bracket && !item->peek) {
        item->kind = IMAP_FETCH_BODY;
        return 0;
    }
    item->kind = IMAP_FETCH_SECTION;
    if (!bracket)
        return imap_wrong(c, "Unknown FETCH item");
    if (get_section(c, a, &item->section) != 0 || imap_get_char(c, ']') != 0)
        return -1;
    return get_octets(c, &item->section);
}

/* section-binary = "[" [section-part] "]" (RFC 3516 7): a part, never its header or text. */
static int get_binary(struct imap_cursor *c, struct arena *a, struct imap_fetch_item *item)
{
    if (imap_get_char(c, '[') != 0 || get_section(c, a, &item->section) != 0 ||
        imap_get_char(c, ']') != 0)
        return -1;
    if (item->section.text != IMAP_SECTION_ALL)
        return imap_wrong(c, "Unknown body section");
    return item->kind == IMAP_FETCH_BINARY ? get_octets(c, &item->section) : 0;
}

/* PREVIEW [SP "(" LAZY *(SP LAZY) ")"] (RFC 8970 6). */
static int get_preview(struct imap_cursor *c, struct imap_fetch_item *item)
{
    if (c->end - c->p < 2 || c->p[0] != ' ' || c->p[1] != '(')
        return 0;
    c->p += 2;
    do {
        if (!imap_try_word(c, STR("LAZY")))
            return imap_wrong(c, "Unknown PREVIEW modifier");
        item->lazy = true;
    } while (imap_try(c, ' '));
    return imap_get_char(c, ')');
}

static struct str item_name(struct imap_cursor *c)
{
    char *start = c->p;
    while (c->p < c->end && imap_is_atom_char(*c->p) && *c->p != '[')
        c->p++;
    return (struct str){start, (size_t)(c->p - start)};
}

static int get_item(struct imap_cursor *c, struct arena *a, struct imap_fetch_item *item)
{
    static const struct {
        const char *name;
        enum imap_fetch_kind kind;
        enum imap_section_text text;
        bool peek;
    } known[] = {
        {"UID", IMAP_FETCH_UID, 0, true},
        {"MODSEQ", IMAP_FETCH_MODSEQ, 0, true},
        {"FLAGS", IMAP_FETCH_FLAGS, 0, true},
        {"INTERNALDATE", IMAP_FETCH_INTERNALDATE, 0, true},
        {"RFC822.SIZE", IMAP_FETCH_RFC822_SIZE, 0, true},
        {"ENVELOPE", IMAP_FETCH_ENVELOPE, 0, true},
        {"BODYSTRUCTURE", IMAP_FETCH_BODYSTRUCTURE, 0, true},
        {"RFC822", IMAP_FETCH_SECTION, IMAP_SECTION_ALL, false},
        {"RFC822.HEADER", IMAP_FETCH_SECTION, IMAP_SECTION_HEADER, true},
        {"RFC822.TEXT", IMAP_FETCH_SECTION, IMAP_SECTION_TEXT, false},
        {"BINARY", IMAP_FETCH_BINARY, 0, false},
        {"BINARY.PEEK", IMAP_FETCH_BINARY, 0, true},
        {"BINARY.SIZE", IMAP_FETCH_BINARY_SIZE, 0, true},
        {"EMAILID", IMAP_FETCH_EMAILID, 0, true},
        {"THREADID", IMAP_FETCH_THREADID, 0, true},
        {"SAVEDATE", IMAP_FETCH_SAVEDATE, 0, true},
        {"PREVIEW", IMAP_FETCH_PREVIEW, 0, true},
    };
    *item = (struct imap_fetch_item){0};
    struct str name = item_name(c);
    item->peek = str_caseeq(name, STR("BODY.PEEK"));
    if (item->peek || str_caseeq(name, STR("BODY")))
        return get_body(c, a, item);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!str_caseeq(name, str_from(known[i].name)))
            continue;
        item->kind = known[i].kind;
        item->peek = known[i].peek;
        item->section.text = known[i].text;
        if (item->kind == IMAP_FETCH_BINARY || item->kind == IMAP_FETCH_BINARY_SIZE)
            return get_binary(c, a, item);
        if (item->kind == IMAP_FETCH_PREVIEW)
            return get_preview(c, item);
        if (item->kind == IMAP_FETCH_SECTION)
            item->section.label = known[i].name;
        return imap_peek(c, '[') ? imap_wrong(c, "Unknown FETCH item") : 0;
    }
    return imap_wrong(c, name.n ? "Unknown FETCH item" : "Missing FETCH item");
}

/* ALL, FAST and FULL stand alone (RFC 3501 6.4.5). */
static bool get_macro(struct imap_cursor *c, struct arena *a, struct imap_fetch *f)
{
    static const enum imap_fetch_kind order[] = {IMAP_FETCH_FLAGS, IMAP_FETCH_INTERNALDATE,
                                                 IMAP_FETCH_RFC822_SIZE, IMAP_FETCH_ENVELOPE,
                                                 IMAP_FETCH_BODY};
    size_t n = imap_try_word(c, STR("FAST")) ? 3 : imap_try_word(c, STR("ALL")) ? 4
             : imap_try_word(c, STR("FULL")) ? 5 : 0;
    for (size_t i = 0; i < n; i++)
        add_item(c, a, f, (struct imap_fetch_item){.kind = order[i], .peek = true});
    return n > 0;
}

/* CHANGEDSINCE n, VANISHED, PARTIAL m:n, each once and in any order. */
static int get_modifier(struct imap_cursor *c, struct imap_fetch *f)
{
    if (!f->changed && imap_try_word(c, STR("CHANGEDSINCE"))) {
        f->changed = true;
        return imap_get_space(c) != 0 ? -1 : imap_get_number64(c, &f->since);
    }
    if (!f->vanished && imap_try_word(c, STR("VANISHED"))) {
        f->vanished = true;
        return 0;
    }
    if (!f->partial && imap_try_word(c, STR("PARTIAL"))) {
        f->partial = true;
        return imap_get_space(c) != 0 ? -1 : imap_get_partial(c, &f->range);
    }
    return imap_wrong(c, "Unknown FETCH modifier");
}

static int get_modifiers(struct imap_cursor *c, struct imap_fetch *f)
{
    if (imap_at_end(c))
        return 0;
    if (imap_get_space(c) != 0 || imap_get_char(c, '(') != 0)
        return -1;
    do {
        if (get_modifier(c, f) != 0)
            return -1;
    } while (imap_try(c, ' '));
    if (f->vanished && !f->changed) /* RFC 7162 3.2.6 */
        return imap_wrong(c, "VANISHED needs CHANGEDSINCE");
    return imap_get_char(c, ')');
}

int imap_get_fetch(struct imap_cursor *c, struct arena *a, struct imap_fetch *fetch)
{
    struct imap_fetch_item item;
    *fetch = (struct imap_fetch){0};
    if (get_macro(c, a, fetch))
        return get_modifiers(c, fetch);
    bool list = imap_try(c, '(');
    do {
        if (get_item(c, a, &item) != 0 || add_item(c, a, fetch, item) != 0)
            return -1;
    } while (list && imap_try(c, ' '));
    if (list && imap_get_char(c, ')') != 0)
        return -1;
    return get_modifiers(c, fetch);
}

static int write_section_text(struct buf *b, const struct imap_section *s)
{
    static const char *const names[] = {"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT",
                                        "MIME"};
    if (s->text == IMAP_SECTION_ALL)
        return 0;
    int r = s->depth ? buf_byte(b, '.') : 0;
    r |= buf_str(b, str_from(names[s->text]));
    if (s->text != IMAP_SECTION_FIELDS && s->text != IMAP_SECTION_FIELDS_NOT)
        return r;
    r |= buf_str(b, STR(" ("));
    for (size_t i = 0; i < s->field_n; i++) {
        r |= i ? buf_byte(b, ' ') : 0;
        r |= imap_write_astring(b, s->fields[i]);
    }
    return r | buf_byte(b, ')');
}

int imap_section_write(struct buf *b, const struct imap_section *s)
{
    return s->label ? buf_str(b, str_from(s->label)) : imap_section_write_as(b, "BODY", s);
}

int imap_section_write_as(struct buf *b, const char *name, const struct imap_section *s)
{
    int r = buf_printf(b, "%s[", name);
    for (size_t i = 0; i < s->depth; i++)
        r |= buf_printf(b, "%s%u", i ? "." : "", s->part[i]);
    r |= write_section_text(b, s);
    r |= buf_byte(b, ']');
    if (s->partial)
        r |= buf_printf(b, "<%llu>", (unsigned long long)s->offset);
    return r;
}
