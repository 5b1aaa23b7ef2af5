/* RFC 822 tokens. */
#include "mail/lex.h"
#include "mail/rfc5322.h"

static bool white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool in_set(unsigned char c, const char *specials)
{
    return c <= ' ' || c == 0x7f || (c < 0x80 && strchr(specials, c));
}

int mail_lex_peek(const struct mail_lex *x)
{
    return x->at < x->s.n ? (unsigned char)x->s.p[x->at] : -1;
}

/* A comment may nest (RFC 5322 section 3.2.2). */
static bool skip_comment(struct mail_lex *x)
{
    unsigned depth = 0;
    size_t start = x->at + 1;
    for (; x->at < x->s.n; x->at++) {
        char c = x->s.p[x->at];
        if (c == '\\' && x->at + 1 < x->s.n) {
            x->at++;
        } else if (c == '(') {
            if (++depth > MAIL_COMMENT_DEPTH_MAX)
                break;
        } else if (c == ')' && --depth == 0) {
            x->comment = (struct str){x->s.p + start, x->at - start};
            x->at++;
            return true;
        }
    }
    x->at = x->s.n;
    return false;
}

bool mail_lex_cfws(struct mail_lex *x)
{
    for (;;) {
        while (x->at < x->s.n && white(x->s.p[x->at]))
            x->at++;
        if (mail_lex_peek(x) != '(')
            return true;
        if (!skip_comment(x))
            return false;
    }
}

static struct str run(struct mail_lex *x, const char *specials, bool dots)
{
    size_t start = x->at;
    while (x->at < x->s.n) {
        unsigned char c = (unsigned char)x->s.p[x->at];
        if (in_set(c, specials) && !(dots && c == '.'))
            break;
        x->at++;
    }
    return (struct str){x->s.p + start, x->at - start};
}

struct str mail_lex_atom(struct mail_lex *x, bool dots)
{
    return run(x, "()<>[]:;@\\,.\"", dots);
}

struct str mail_lex_token(struct mail_lex *x)
{
    return run(x, "()<>@,;:\\\"/[]?=", false);
}

void mail_lex_put(struct mail_lex_out *out, struct str text)
{
    if (text.n)
        memcpy(out->p + out->n, text.p, text.n);
    out->n += text.n;
}

void mail_lex_unquote(struct mail_lex_out *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\r' || c == '\n')
            continue;
        if (c == '\\' && i + 1 < text.n && text.p[i + 1] != '\r' && text.p[i + 1] != '\n')
            c = text.p[++i];
        out->p[out->n++] = c;
    }
}

bool mail_lex_quoted(struct mail_lex *x, struct mail_lex_out *out)
{
    size_t start = ++x->at;
    while (x->at < x->s.n && x->s.p[x->at] != '"')
        x->at += x->s.p[x->at] == '\\' ? 2 : 1;
    if (x->at >= x->s.n) {
        x->at = x->s.n;
        return false;
    }
    mail_lex_unquote(out, (struct str){x->s.p + start, x->at - start});
    x->at++;
    return true;
}
