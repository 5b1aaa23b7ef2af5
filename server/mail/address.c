/* Envelope addresses (RFC 5321 section 4.1.2, RFC 6531 section 3.3). */
#include "mail/address.h"

#include <arpa/inet.h>

struct cursor {
    struct str s;
    size_t at;
};

static int bad(struct err *e, struct str text, const char *why)
{
    err_perm(e, "address \"%.*s\": %s", STR_FMT(str_head(text, 300)), why);
    return err_client(e, "5.1.3 Bad address syntax: %s", why);
}

static int peek(const struct cursor *c)
{
    return c->at < c->s.n ? (unsigned char)c->s.p[c->at] : -1;
}

/* atext of RFC 5322 section 3.2.3; bytes over 0x7f are judged later. */
static bool atext(int c)
{
    if (c >= 0x80)
        return true;
    return c > ' ' && c < 0x7f && !strchr("()<>[]:;@\\,.\"", c);
}

/* --- local part --- */

/* Quoted-string of RFC 5321: qtextSMTP and quoted-pairSMTP have no controls. */
static const char *take_quoted(struct cursor *c, char *out, size_t *n)
{
    for (c->at++;; c->at++) {
        int b = peek(c);
        if (b == '"')
            break;
        if (b == '\\') {
            c->at++;
            b = peek(c);
            if (b >= 0x80)
                return "8-bit character behind a backslash";
        }
        if (b < 0)
            return "quoted string does not end";
        if (b < ' ' || b == 0x7f)
            return "control character";
        out[(*n)++] = (char)b;
    }
    c->at++;
    return NULL;
}

static const char *take_dot_string(struct cursor *c, unsigned flags, char *out, size_t *n)
{
    bool lenient = flags & MAIL_ADDRESS_LENIENT;
    bool after_dot = true;
    for (;; c->at++) {
        int b = peek(c);
        if (b == '.') {
            if (after_dot && !lenient)
                return *n ? "two dots in a row" : "leading dot";
            after_dot = true;
        } else if (b >= 0 && atext(b)) {
            after_dot = false;
        } else {
            break;
        }
        out[(*n)++] = (char)b;
    }
    if (*n == 0)
        return NULL;
    return after_dot && !lenient ? "local part ends in a dot" : NULL;
}

static int take_local(struct arena *a, struct cursor *c, unsigned flags, struct mail_address *out,
                      struct err *e)
{
    char *p = arena_alloc(a, c->s.n - c->at + 1);
    size_t n = 0;
    const char *fault =
        peek(c) == '"' ? take_quoted(c, p, &n) : take_dot_string(c, flags, p, &n);
    out->local = (struct str){p, n};
    out->utf8 = !str_is_ascii(out->local);
    if (fault)
        return bad(e, c->s, fault);
    if (n == 0)
        return bad(e, c->s, "empty local part");
    if (n > MAIL_LOCAL_MAX)
        return bad(e, c->s, "local part longer than 64 octets");
    if (!out->utf8)
        return 0;
    if (!(flags & MAIL_ADDRESS_UTF8)) {
        err_perm(e, "address \"%.*s\": 8-bit without SMTPUTF8", STR_FMT(c->s));
        return err_client(e, "5.6.7 Internationalised address needs SMTPUTF8");
    }
    if (!str_is_utf8(out->local))
        return bad(e, c->s, "not UTF-8");
    return str_is_text(out->local) ? 0 : bad(e, c->s, "control character");
}

/* --- domain --- */

/* address-literal (RFC 5321 section 4.1.3), normalised by the C library's own notation. */
static int take_literal(struct arena *a, struct cursor *c, struct mail_address *out, struct err *e)
{
    struct str rest = str_skip(c->s, c->at + 1);
    ptrdiff_t end = str_find(rest, ']');
    if (end < 0)
        return bad(e, c->s, "address literal does not end");
    struct str inside = str_head(rest, (size_t)end);
    bool six = str_casestarts(inside, STR("IPv6:"));
    char z[64], text[64];
    unsigned char binary[16];
    struct str digits = six ? str_skip(inside, 5) : inside;
    if (digits.n >= sizeof z || str_find(digits, '\0') >= 0)
        return bad(e, c->s, "unknown address literal");
    memcpy(z, digits.p, digits.n);
    z[digits.n] = '\0';
    int family = six ? AF_INET6 : AF_INET;
    if (inet_pton(family, z, binary) != 1 || !inet_ntop(family, binary, text, sizeof text))
        return bad(e, c->s, "unknown address literal");
    out->domain = arena_printf(a, "[%s%s]", six ? "IPv6:" : "", text);
    out->utf8_domain = out->domain;
    out->literal = true;
    c->at += inside.n + 2;
    return 0;
}

static struct str domain_run(const struct cursor *c, const char *stops)
{
    size_t n = 0;
    while (c->at + n < c->s.n && !(c->s.p[c->at + n] && strchr(stops, c->s.p[c->at + n])))
        n++;
    return (struct str){c->s.p + c->at, n};
}

static int take_domain(struct arena *a, struct cursor *c, unsigned flags, struct mail_address *out,
                       struct err *e)
{
    if (peek(c) == '[')
        return take_literal(a, c, out, e);
    struct str text = domain_run(c, "");
    c->at += text.n;
    return mail_domain_parse(a, text, flags, &out->domain, &out->utf8_domain, e);
}

/* A-d-l ":" (RFC 5321 section 4.1.2): checked and dropped (appendix C). */
static int skip_route(struct arena *a, struct cursor *c, unsigned flags, struct err *e)
{
    while (peek(c) == '@') {
        struct mail_address hop;
        c->at++;
        if (peek(c) == '[') {
            if (take_literal(a, c, &hop, e) != 0)
                return -1;
        } else {
            struct str name = domain_run(c, ",:@");
            if (mail_domain_parse(a, name, flags, &hop.domain, NULL, e) != 0)
                return -1;
            c->at += name.n;
        }
        if (peek(c) == ',' && c->at + 1 < c->s.n && c->s.p[c->at + 1] == '@')
            c->at++;
        else if (peek(c) != ':')
            return bad(e, c->s, "source route does not end in a colon");
    }
    c->at++;
    return 0;
}

/* --- whole --- */

static int take_mailbox(struct arena *a, struct cursor *c, unsigned flags, struct mail_address *out,
                        struct err *e)
{
    if (peek(c) == '@' && skip_route(a, c, flags, e) != 0)
        return -1;
    if (take_local(a, c, flags, out, e) != 0)
        return -1;
    if (c->at == c->s.n && (flags & MAIL_ADDRESS_NO_DOMAIN))
        return 0;
    if (c->at == c->s.n)
        return bad(e, c->s, "missing domain");
    if (peek(c) != '@')
        return bad(e, c->s, "character that must be quoted");
    c->at++;
    if (take_domain(a, c, flags, out, e) != 0)
        return -1;
    return c->at == c->s.n ? 0 : bad(e, c->s, "something behind the domain");
}

int mail_address_parse(struct arena *a, struct str text, unsigned flags, struct mail_address *out,
                       struct err *e)
{
    *out = (struct mail_address){.local = STR(""), .domain = STR(""), .utf8_domain = STR("")};
    bool bracket = text.n && text.p[0] == '<';
    if (bracket && (text.n < 2 || text.p[text.n - 1] != '>'))
        return bad(e, text, "unbalanced angle bracket");
    struct cursor c = {.s = bracket ? str_head(str_skip(text, 1), text.n - 2) : text};
    if (c.s.n == 0)
        return (flags & MAIL_ADDRESS_NULL) ? 0 : bad(e, text, "empty address");
    /* RFC 5321 section 4.5.3.1.3; a U-label may be longer here than what it becomes. */
    size_t path_max = (flags & MAIL_ADDRESS_UTF8) ? 4 * MAIL_PATH_MAX : MAIL_PATH_MAX;
    bool too_long = c.s.n + 2 > path_max;
    c.s = str_head(c.s, 4 * MAIL_PATH_MAX);
    if (take_mailbox(a, &c, flags, out, e) != 0)
        return -1;
    if (too_long || mail_address_print(a, out).n + 2 > MAIL_PATH_MAX)
        return bad(e, text, "path longer than 256 octets");
    return 0;
}

int mail_path_take(struct arena *a, struct str *rest, unsigned flags, struct mail_address *out,
                   struct err *e)
{
    bool bracket = rest->n && rest->p[0] == '<', quoted = false;
    size_t n = 0;
    if (!bracket && !(flags & MAIL_ADDRESS_LENIENT))
        return bad(e, *rest, "no angle bracket");
    for (; n < rest->n; n++) {
        char c = rest->p[n];
        if (quoted && c == '\\')
            n++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (bracket ? c == '>' : c == ' '))
            break;
    }
    if (bracket && n >= rest->n)
        return bad(e, *rest, "unbalanced angle bracket");
    n = n > rest->n ? rest->n : n + bracket;
    if (mail_address_parse(a, str_head(*rest, n), flags, out, e) != 0)
        return -1;
    *rest = str_skip(*rest, n);
    return 0;
}

/* --- printing and comparing --- */

static bool is_dot_string(struct str s)
{
    bool after_dot = true;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '.' ? after_dot : !atext(c))
            return false;
        after_dot = c == '.';
    }
    return !after_dot;
}

int mail_local_print(struct buf *out, struct str local)
{
    if (is_dot_string(local))
        return buf_str(out, local);
    int r = buf_byte(out, '"');
    for (size_t i = 0; i < local.n && r == 0; i++) {
        if (local.p[i] == '"' || local.p[i] == '\\')
            r = buf_byte(out, '\\');
        r = r == 0 ? buf_byte(out, local.p[i]) : r;
    }
    return r == 0 ? buf_byte(out, '"') : r;
}

struct str mail_address_print(struct arena *a, const struct mail_address *m)
{
    AUTO_BUF out = {0};
    if (m->local.n) {
        mail_local_print(&out, m->local);
        if (m->domain.n) {
            buf_byte(&out, '@');
            buf_str(&out, m->domain);
        }
    }
    return arena_str(a, buf_view(&out));
}

bool mail_local_split(struct str local, struct str delimiters, struct str *user,
                      struct str *extension)
{
    *user = local;
    *extension = (struct str){0};
    if (str_caseeq(local, STR("postmaster")) || str_caseeq(local, STR("mailer-daemon")) ||
        str_caseeq(local, STR("double-bounce")))
        return false;
    if (str_find(delimiters, '-') >= 0) {
        struct str request = STR("-request");
        bool list = local.n > request.n &&
                    str_caseeq(str_skip(local, local.n - request.n), request);
        if (list || str_casestarts(local, STR("owner-")))
            return false;
    }
    size_t n = 0;
    while (n < local.n && str_find(delimiters, local.p[n]) < 0)
        n++;
    if (n == 0 || n == local.n)
        return false;
    *user = str_head(local, n);
    *extension = str_skip(local, n + 1);
    return true;
}
