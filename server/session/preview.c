/*
 * The text for PREVIEW (RFC 8970 3.3): the first text part decoded, without markup, quotations and
 * runs of blanks.
 *
 * Work is bounded: so much of the first text part is decoded, and no more parts are looked at.
 */
#include "session/fetch_more.h"

/* What is decoded is in UTF-8 at most four times as long. */
enum { CHARACTERS = 200, LOOKED_AT = 65536, DECODED_MAX = 4 * LOOKED_AT };

struct preview {
    struct buf *out;
    size_t characters;
    bool blank; /* a blank is due before the next character */
};

static bool is_full(const struct preview *p)
{
    return p->characters >= CHARACTERS;
}

/* One character, as n bytes of UTF-8. Controls and blanks of all kinds become one blank. */
static void put(struct preview *p, const char *c, size_t n)
{
    bool space = (n == 1 && (unsigned char)c[0] <= 0x20) || (n == 1 && c[0] == 0x7f) ||
                 (n == 2 && memcmp(c, "\xc2\xa0", 2) == 0) ||
                 (n == 2 && (unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0) ||
                 (n == 3 && memcmp(c, "\xe2\x80", 2) == 0 &&
                  ((unsigned char)c[2] <= 0x8f || c[2] == '\xa8' || c[2] == '\xa9'));
    if (space) {
        p->blank |= p->characters > 0;
        return;
    }
    if (p->blank && ++p->characters < CHARACTERS)
        buf_byte(p->out, ' ');
    p->blank = false;
    if (!is_full(p)) {
        buf_add(p->out, c, n);
        p->characters++;
    }
}

/* Takes the first character of well-formed UTF-8. */
static struct str take(struct str *rest)
{
    unsigned char c = (unsigned char)rest->p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    struct str one = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    return one;
}

static void put_all(struct preview *p, struct str text)
{
    while (text.n && !is_full(p)) {
        struct str one = take(&text);
        put(p, one.p, one.n);
    }
}

/* A plain text without what it quotes, unless there is nothing else. */
static void put_plain(struct preview *p, struct str text)
{
    for (int pass = 0; pass < 2 && p->characters == 0; pass++) {
        struct str rest = text, line;
        while (!is_full(p) && str_line(&rest, &line)) {
            if (pass == 0 && line.n && line.p[0] == '>')
                continue;
            put_all(p, line);
            put(p, " ", 1);
        }
    }
}

/* --- HTML --- */

/* True, and *rest behind it, when it starts with this (ASCII case ignored). */
static bool skip_word(struct str *rest, const char *word)
{
    struct str w = str_from(word);
    if (!str_casestarts(*rest, w))
        return false;
    *rest = str_skip(*rest, w.n);
    return true;
}

/* Goes on behind the end of something that is not shown. */
static void skip_past(struct str *rest, const char *end)
{
    struct str e = str_from(end);
    while (rest->n && !str_casestarts(*rest, e))
        *rest = str_skip(*rest, 1);
    *rest = str_skip(*rest, e.n);
}

/* Behind a "<": a tag, a comment, or an element whose content is no text. */
static void skip_tag(struct str *rest)
{
    static const char *const hidden[][2] = {
        {"!--", "-->"}, {"style", "</style"}, {"script", "</script"}, {"head", "</head"},
        {"title", "</title"},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        struct str at = *rest;
        if (!skip_word(&at, hidden[i][0]))
            continue;
        /* "<header>" is no "<head>". */
        if (i > 0 && at.n && at.p[0] != '>' && (unsigned char)at.p[0] > 0x20 && at.p[0] != '/')
            continue;
        *rest = at;
        skip_past(rest, hidden[i][1]);
        if (i == 0)
            return;
    }
    skip_past(rest, ">");
}

static void put_code_point(struct preview *p, uint32_t u)
{
    char c[4];
    if (u == 0 || u > 0x10ffff || (u >= 0xd800 && u < 0xe000))
        u = 0xfffd;
    size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; u >>= 6)
        c[i] = (char)(0x80 | (u & 0x3f));
    c[0] = (char)(lead[n] | u);
    put(p, c, n);
}

/* "#233" or "#xe9", in characters that fit. */
static bool numeric(struct str name, uint32_t *u)
{
    bool hex = name.n > 2 && (name.p[1] == 'x' || name.p[1] == 'X');
    *u = 0;
    if (name.n < 2 || name.n > 9 || name.p[0] != '#')
        return false;
    for (size_t i = hex ? 2 : 1; i < name.n; i++) {
        char c = name.p[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0')
                       : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                       : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10 : 99;
        if (digit >= (hex ? 16u : 10u))
            return false;
        *u = *u * (hex ? 16 : 10) + digit;
    }
    return true;
}

/* Behind a "&". What is no known reference stands for itself. */
static void put_reference(struct preview *p, struct str *rest)
{
    static const struct {
        const char *name;
        uint32_t u;
    } known[] = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}, {"nbsp", 0xa0},
        {"auml", 0xe4}, {"ouml", 0xf6}, {"uuml", 0xfc}, {"Auml", 0xc4}, {"Ouml", 0xd6},
        {"Uuml", 0xdc}, {"szlig", 0xdf}, {"eacute", 0xe9}, {"egrave", 0xe8}, {"agrave", 0xe0},
        {"ccedil", 0xe7}, {"euro", 0x20ac}, {"ndash", 0x2013}, {"mdash", 0x2014},
        {"hellip", 0x2026}, {"rsquo", 0x2019}, {"lsquo", 0x2018}, {"rdquo", 0x201d},
        {"ldquo", 0x201c}, {"zwnj", ' '}, {"shy", ' '}, {"copy", 0xa9},
    };
    ptrdiff_t end = str_find(str_head(*rest, 12), ';');
    struct str name = str_head(*rest, end > 0 ? (size_t)end : 0);
    uint32_t u = 0;
    if (!numeric(name, &u))
        for (size_t i = 0; i < sizeof known / sizeof *known && !u; i++)
            if (str_eq(name, str_from(known[i].name)))
                u = known[i].u;
    if (name.n && u) {
        put_code_point(p, u);
        *rest = str_skip(*rest, name.n + 1);
    } else {
        put(p, "&", 1);
    }
}

static void put_html(struct preview *p, struct str rest)
{
    while (rest.n && !is_full(p)) {
        struct str one = take(&rest);
        if (one.p[0] == '<') {
            skip_tag(&rest);
            put(p, " ", 1);
        } else if (one.p[0] == '&') {
            put_reference(p, &rest);
        } else {
            put(p, one.p, one.n);
        }
    }
}

/* --- the part --- */

static bool is_html(const struct mail_part *p)
{
    return str_caseeq(p->subtype, STR("html"));
}

/* The first plain text that is no attachment, else the first HTML. */
static const struct mail_part *first_text(const struct mail_part *root)
{
    const struct mail_part *html = NULL;
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p)) {
        if (p->kind != MAIL_PART_TEXT || str_caseeq(p->disposition, STR("attachment")))
            continue;
        if (!is_html(p))
            return p;
        html = html ? html : p;
    }
    return html;
}

/* Takes NULs out, and a last character that the bound has cut in two. */
static void make_whole(struct buf *text)
{
    for (size_t i = 0; i < text->n; i++)
        if (text->p[i] == '\0')
            text->p[i] = ' ';
    for (int i = 0; i < 3 && text->n && !str_is_utf8(buf_view(text)); i++)
        text->n--;
    if (!str_is_utf8(buf_view(text)))
        buf_clear(text);
}

void imap_preview(struct mail_conv *c, struct arena *a, struct message *m, struct buf *out)
{
    AUTO_BUF text = BUF_MAX(DECODED_MAX);
    struct preview p = {.out = out};
    const struct mail_part *part = first_text(message_mime(m, a));
    if (!part)
        return;
    struct mail_part head = *part;
    head.body.n = head.body.n < LOOKED_AT ? head.body.n : LOOKED_AT;
    (void)mail_part_text(c, m->raw, &head, &text);
    make_whole(&text);
    if (is_html(part))
        put_html(&p, buf_view(&text));
    else
        put_plain(&p, buf_view(&text));
}
