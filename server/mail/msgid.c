/* Message identifiers (RFC 5322 section 3.6.4). */
#include "mail/lex.h"
#include "mail/rfc5322.h"

static bool white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Passes a quoted string without looking inside; false when it does not end. */
static bool skip_quoted(struct mail_lex *x)
{
    for (x->at++; x->at < x->s.n; x->at++) {
        if (x->s.p[x->at] == '\\')
            x->at++;
        else if (x->s.p[x->at] == '"') {
            x->at++;
            return true;
        }
    }
    x->at = x->s.n;
    return false;
}

/* Moves behind the ">"; false at another "<" (which stays) and at the end. */
static bool skip_id(struct mail_lex *x)
{
    while (x->at < x->s.n && x->s.p[x->at] != '<') {
        char c = x->s.p[x->at];
        if (c == '"' && !skip_quoted(x))
            return false;
        if (c == '(' && !mail_lex_cfws(x))
            return false;
        if (c == '"' || c == '(')
            continue;
        x->at++;
        if (c == '>')
            return true;
    }
    return false;
}

/* inside is what stands between "<" and ">", already known to be well closed. */
static struct str clean(struct arena *a, struct str inside)
{
    struct mail_lex x = {.s = inside};
    struct mail_lex_out out = {.p = arena_alloc(a, inside.n + 1)};
    while (x.at < x.s.n) {
        char c = x.s.p[x.at];
        if (c == '"') {
            mail_lex_quoted(&x, &out);
        } else if (c == '(') {
            mail_lex_cfws(&x);
        } else {
            if (!white(c))
                out.p[out.n++] = c;
            x.at++;
        }
    }
    return (struct str){out.p, out.n};
}

bool mail_msgid_next(struct arena *a, struct str *rest, struct str *id)
{
    struct mail_lex x = {.s = *rest};
    bool found = false;
    while (!found && x.at < x.s.n) {
        char c = x.s.p[x.at];
        if (c == '(') {
            mail_lex_cfws(&x);
        } else if (c == '"') {
            skip_quoted(&x);
        } else {
            size_t start = ++x.at;
            if (c == '<' && skip_id(&x)) {
                *id = clean(a, (struct str){x.s.p + start, x.at - 1 - start});
                found = id->n > 0;
            }
        }
    }
    *rest = str_skip(*rest, x.at);
    return found;
}
