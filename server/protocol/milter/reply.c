/* What a filter says. */
#include "protocol/milter/reply.h"

#include <stdio.h>

static int wrong(struct err *e, char code, const char *what)
{
    if (code > 0x20 && code < 0x7f)
        return err_perm(e, "the filter's answer \"%c\" %s", code, what);
    return err_perm(e, "the filter's answer 0x%02x %s", (unsigned char)code, what);
}

static bool take_number(struct str *in, uint32_t *n)
{
    if (in->n < 4)
        return false;
    const unsigned char *b = (const unsigned char *)in->p;
    *n = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    *in = str_skip(*in, 4);
    return true;
}

static bool take_string(struct str *in, struct str *out)
{
    ptrdiff_t end = str_find(*in, '\0');
    if (end < 0)
        return false;
    *out = str_head(*in, (size_t)end);
    *in = str_skip(*in, (size_t)end + 1);
    return true;
}

/* --- answers --- */

enum form { NOTHING, TEXT, TEXT_MORE, OCTETS, NAME_VALUE, INDEX_NAME_VALUE };

static const struct {
    enum milter_says says;
    enum form form;
    uint32_t needs; /* one of these must have been negotiated */
} answers[] = {
    {MILTER_ADD_RCPT, TEXT, MILTER_MAY_ADD_RCPT | MILTER_MAY_ADD_RCPT_ARGS},
    {MILTER_DELETE_RCPT, TEXT, MILTER_MAY_DELETE_RCPT},
    {MILTER_ADD_RCPT_ARGS, TEXT_MORE, MILTER_MAY_ADD_RCPT_ARGS},
    {MILTER_SHUTDOWN, NOTHING, 0},
    {MILTER_ACCEPT, NOTHING, 0},
    {MILTER_REPLACE_BODY, OCTETS, MILTER_MAY_CHANGE_BODY},
    {MILTER_CONTINUE, NOTHING, 0},
    {MILTER_DISCARD, NOTHING, 0},
    {MILTER_CHANGE_SENDER, TEXT_MORE, MILTER_MAY_CHANGE_SENDER},
    {MILTER_CONNECTION_FAILS, NOTHING, 0},
    {MILTER_ADD_HEADER, NAME_VALUE, MILTER_MAY_ADD_HEADERS},
    {MILTER_INSERT_HEADER, INDEX_NAME_VALUE, MILTER_MAY_ADD_HEADERS},
    {MILTER_CHANGE_HEADER, INDEX_NAME_VALUE, MILTER_MAY_CHANGE_HEADERS},
    {MILTER_PROGRESS, NOTHING, 0},
    {MILTER_QUARANTINE, TEXT, MILTER_MAY_QUARANTINE},
    {MILTER_REJECT, NOTHING, 0},
    {MILTER_SKIP, NOTHING, 0},
    {MILTER_TEMPFAIL, NOTHING, 0},
    {MILTER_REPLY_CODE, TEXT, 0},
};

static bool take_form(enum form form, struct str in, struct milter_reply *r)
{
    switch (form) {
    case NOTHING:
        return true; /* some libraries send octets that mean nothing */
    case OCTETS:
        r->text = in;
        return true;
    case TEXT:
        return take_string(&in, &r->text) && in.n == 0;
    case TEXT_MORE:
        return take_string(&in, &r->text);
    case INDEX_NAME_VALUE:
        if (!take_number(&in, &r->index))
            return false;
        break;
    case NAME_VALUE:
        break;
    }
    return take_string(&in, &r->text) && take_string(&in, &r->value) && in.n == 0;
}

int milter_reply_parse(const struct milter_packet *p, uint32_t actions, struct milter_reply *r,
                       struct err *e)
{
    *r = (struct milter_reply){.says = (enum milter_says)p->code};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if ((char)answers[i].says != p->code)
            continue;
        if (answers[i].needs && !(answers[i].needs & actions))
            return wrong(e, p->code, "changes what it did not say it would");
        return take_form(answers[i].form, p->data, r) ? 0 : wrong(e, p->code, "is malformed");
    }
    return wrong(e, p->code, "is unknown");
}

int milter_terms_parse(const struct milter_packet *p, struct milter_terms *t, struct err *e)
{
    struct str in = p->data;
    if (p->code != MILTER_NEGOTIATE)
        return wrong(e, p->code, "is not to what we offered");
    if (!take_number(&in, &t->version) || !take_number(&in, &t->actions) ||
        !take_number(&in, &t->protocol))
        return wrong(e, p->code, "is malformed");
    if (t->version < MILTER_VERSION_MIN || t->version > MILTER_VERSION)
        return err_perm(e, "the filter speaks version %u", (unsigned)t->version);
    if (t->actions & ~(uint32_t)MILTER_MAY_ALL)
        return err_perm(e, "the filter wants actions 0x%x that nobody offered",
                        (unsigned)(t->actions & ~(uint32_t)MILTER_MAY_ALL));
    /* Which macros it names is of no matter (they follow here): it is told all, always. */
    t->protocol &= MILTER_OFFERED;
    return 0;
}

/* --- reply lines --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_with_code(struct str s)
{
    return s.n >= 3 && (s.p[0] == '4' || s.p[0] == '5') && s.p[1] >= '0' && s.p[1] <= '5' &&
           is_digit(s.p[2]) && (s.n == 3 || s.p[3] == ' ' || s.p[3] == '-');
}

/* "5.7.1 " at the front, of the class of the code (RFC 2034 section 4). */
static bool has_status(struct str s, char class)
{
    if (s.n < 5 || s.p[0] != class || s.p[1] != '.')
        return false;
    size_t dots = 0, i = 1;
    for (; i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'); i++)
        dots += s.p[i] == '.';
    return dots == 2 && (i == s.n || s.p[i] == ' ');
}

int milter_reply_line(struct str text, char *out, size_t n, struct err *e)
{
    struct str rest = text, line = {0};
    str_line(&rest, &line);
    if (!starts_with_code(line) || n < 64)
        return err_perm(e, "the filter's reply \"%.*s\" begins with no code of a refusal",
                        STR_FMT(str_head(text, 60)));
    struct str said = str_trim(str_skip(line, 4));
    size_t at = (size_t)snprintf(out, n, "%.3s ", line.p);
    if (!has_status(said, line.p[0]))
        at += (size_t)snprintf(out + at, n - at, "%c.7.1 ", line.p[0]);
    for (size_t i = 0; i < said.n && at < n - 1; i++) {
        char c = said.p[i];
        if (c == '%' && i + 1 < said.n && said.p[i + 1] == '%')
            i++;
        out[at++] = (c < 0x20 && c != '\t') || c == 0x7f || (unsigned char)c >= 0x80 ? '?' : c;
    }
    if (said.n == 0)
        at += (size_t)snprintf(out + at, n - at, "Message refused");
    out[at < n ? at : n - 1] = '\0';
    return 0;
}

struct str milter_address(struct str text)
{
    text = str_trim(text);
    if (text.n >= 2 && text.p[0] == '<' && text.p[text.n - 1] == '>')
        return str_head(str_skip(text, 1), text.n - 2);
    return text;
}
