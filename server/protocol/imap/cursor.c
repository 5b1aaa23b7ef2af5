/* Tokens of the IMAP grammar; see cursor.h. */
#include "protocol/imap/cursor.h"

int imap_wrong(struct imap_cursor *c, const char *why)
{
    if (!c->wrong)
        c->wrong = why;
    return -1;
}

static bool is_list_char(char ch)
{
    /* list-char = ATOM-CHAR / list-wildcards / resp-specials */
    return imap_is_atom_char(ch) || ch == '%' || ch == '*' || ch == ']';
}

bool imap_is_astring_char(char ch)
{
    return imap_is_atom_char(ch) || ch == ']';
}

bool imap_is_atom_char(char ch)
{
    /* atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials */
    unsigned char u = (unsigned char)ch;
    return u > 0x20 && u < 0x7f && !strchr("(){%*\"\\]", ch);
}

/* Mailbox names and search strings arrive as bare UTF-8 from some clients; taken where an astring
 * is (RFC 9051 allows it in quoted strings only). */
static bool is_name_char(char ch)
{
    return imap_is_astring_char(ch) || (unsigned char)ch >= 0x80;
}

static bool is_list_name_char(char ch)
{
    return is_list_char(ch) || (unsigned char)ch >= 0x80;
}

static bool is_tag_char(char ch)
{
    return imap_is_astring_char(ch) && ch != '+'; /* RFC 3501 9: tag */
}

bool imap_at_end(const struct imap_cursor *c)
{
    return c->p == c->end;
}

bool imap_peek(const struct imap_cursor *c, char ch)
{
    return c->p < c->end && *c->p == ch;
}

bool imap_try(struct imap_cursor *c, char ch)
{
    if (!imap_peek(c, ch))
        return false;
    c->p++;
    return true;
}

static struct str rest(const struct imap_cursor *c)
{
    return (struct str){c->p, (size_t)(c->end - c->p)};
}

bool imap_try_word(struct imap_cursor *c, struct str word)
{
    struct str r = rest(c);
    if (!str_casestarts(r, word) || (r.n > word.n && imap_is_atom_char(r.p[word.n])))
        return false;
    c->p += word.n;
    return true;
}

int imap_get_char(struct imap_cursor *c, char ch)
{
    if (imap_try(c, ch))
        return 0;
    switch (ch) {
    case '(':
        return imap_wrong(c, "Expected (");
    case ')':
        return imap_wrong(c, "Expected )");
    case ']':
        return imap_wrong(c, "Expected ]");
    default:
        return imap_wrong(c, "Unexpected character in arguments");
    }
}

int imap_get_space(struct imap_cursor *c)
{
    if (imap_try(c, ' '))
        return 0;
    return imap_wrong(c, imap_at_end(c) ? "Missing arguments" : "Expected a space");
}

int imap_get_end(struct imap_cursor *c)
{
    return imap_at_end(c) ? 0 : imap_wrong(c, "Too many arguments");
}

static int get_run(struct imap_cursor *c, bool (*is)(char), const char *why, struct str *s)
{
    char *start = c->p;
    while (c->p < c->end && is(*c->p))
        c->p++;
    *s = (struct str){start, (size_t)(c->p - start)};
    return s->n ? 0 : imap_wrong(c, imap_at_end(c) ? "Missing arguments" : why);
}

int imap_get_atom(struct imap_cursor *c, struct str *s)
{
    return get_run(c, imap_is_atom_char, "Expected an atom", s);
}

int imap_get_tag(struct imap_cursor *c, struct str *s)
{
    return get_run(c, is_tag_char, "Invalid tag", s);
}

static int get_quoted(struct imap_cursor *c, struct str *s)
{
    char *to = ++c->p;
    s->p = to;
    for (; c->p < c->end && *c->p != '"'; c->p++) {
        if (*c->p == '\\' && ++c->p < c->end && *c->p != '"' && *c->p != '\\')
            return imap_wrong(c, "Invalid escape in quoted string");
        if (c->p == c->end || *c->p == '\r' || *c->p == '\n' || *c->p == '\0')
            break;
        *to++ = *c->p;
    }
    if (!imap_try(c, '"'))
        return imap_wrong(c, "Unterminated quoted string");
    s->n = (size_t)(to - s->p);
    /* RFC 6855 3, RFC 9051 4.3: 8-bit bytes between quotes are UTF-8 or nothing. */
    return str_is_utf8(*s) ? 0 : imap_wrong(c, "Invalid UTF-8 in quoted string");
}

static int get_literal(struct imap_cursor *c, struct str *s)
{
    struct str r = rest(c), line = r;
    ptrdiff_t lf = str_find(r, '\n');
    struct imap_literal lit;
    if (lf < 0)
        return imap_wrong(c, "Invalid literal");
    line.n = (size_t)lf;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    size_t head = (size_t)lf + 1;
    if (!imap_literal_at_end(line, &lit) || lit.absurd || lit.start != 0 || lit.size > r.n - head)
        return imap_wrong(c, "Invalid literal");
    *s = (struct str){r.p + head, (size_t)lit.size};
    c->p += head + (size_t)lit.size;
    return 0;
}

int imap_get_string(struct imap_cursor *c, struct str *s)
{
    if (imap_peek(c, '"'))
        return get_quoted(c, s);
    if (imap_peek(c, '{'))
        return get_literal(c, s);
    return imap_wrong(c, imap_at_end(c) ? "Missing arguments" : "Expected a string");
}

int imap_get_nstring(struct imap_cursor *c, struct str *s, bool *nil)
{
    *nil = imap_try_word(c, STR("NIL"));
    *s = (struct str){0};
    return *nil ? 0 : imap_get_string(c, s);
}

int imap_get_astring(struct imap_cursor *c, struct str *s)
{
    if (imap_peek(c, '"') || imap_peek(c, '{'))
        return imap_get_string(c, s);
    return get_run(c, is_name_char, "Expected a string", s);
}

int imap_get_list_mailbox(struct imap_cursor *c, struct str *s)
{
    if (imap_peek(c, '"') || imap_peek(c, '{'))
        return imap_get_string(c, s);
    return get_run(c, is_list_name_char, "Expected a mailbox pattern", s);
}

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

int imap_get_number64(struct imap_cursor *c, uint64_t *n)
{
    struct str s;
    if (get_run(c, is_digit, "Expected a number", &s) != 0)
        return -1;
    if (str_u64(s, n) != 0 || *n > INT64_MAX)
        return imap_wrong(c, "Number too large");
    return 0;
}

static int get_number(struct imap_cursor *c, uint32_t *n)
{
    uint64_t v;
    if (imap_get_number64(c, &v) != 0)
        return -1;
    if (v > UINT32_MAX)
        return imap_wrong(c, "Number too large");
    *n = (uint32_t)v;
    return 0;
}

int imap_get_nz_number(struct imap_cursor *c, uint32_t *n)
{
    if (get_number(c, n) != 0)
        return -1;
    return *n ? 0 : imap_wrong(c, "Zero is not allowed here");
}

bool imap_literal_at_end(struct str line, struct imap_literal *lit)
{
    if (line.n < 3 || line.p[line.n - 1] != '}')
        return false;
    ptrdiff_t open = str_rfind(line, '{');
    if (open < 0)
        return false;
    struct str digits = {line.p + open + 1, line.n - (size_t)open - 2};
    *lit = (struct imap_literal){.sync = true, .start = (size_t)open};
    /* RFC 7888 3: "+" says that the bytes come unasked. */
    if (digits.n && digits.p[digits.n - 1] == '+') {
        lit->sync = false;
        digits.n--;
    }
    if (lit->start > 0 && line.p[lit->start - 1] == '~') {
        lit->binary = true;
        lit->start--;
    }
    for (size_t i = 0; i < digits.n; i++)
        if (!is_digit(digits.p[i]))
            return false;
    lit->absurd = digits.n > 19 || str_u64(digits, &lit->size) != 0 || lit->size > INT64_MAX;
    return digits.n > 0;
}
