/* Transports. */
#include "relay/transport.h"
#include "mail/address.h"

#include <stdio.h>

/* --- values --- */

static bool is_status(struct str s)
{
    if (s.n < 5 || s.n > 11 || str_find(STR("245"), s.p[0]) < 0 || s.p[1] != '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
    return true;
}

/* The class of a status is what the transport does: one of class 4 behind error: would be tried
 * again, which is not what error is for. */
static void take_text(struct str text, char class_digit, const char *otherwise, struct transport *out)
{
    struct str rest = text, word;
    snprintf(out->status, sizeof out->status, "%c.0.0", class_digit);
    if (str_token(&rest, " \t", &word) && is_status(word)) {
        snprintf(out->status, sizeof out->status, "%c%.*s", class_digit, STR_FMT(str_skip(word, 1)));
        text = str_trim(rest);
    }
    out->text = text.n ? text : str_from(otherwise);
}

static int take_lmtp(struct str nexthop, struct transport *out, struct err *e)
{
    if (str_starts(nexthop, STR("unix:")))
        return err_perm(e, "lmtp:unix: the program that sends mail opens no files; use lmtp:inet:HOST:PORT");
    if (str_starts(nexthop, STR("inet:")))
        nexthop = str_skip(nexthop, 5);
    if (nexthop.n == 0)
        return err_perm(e, "lmtp: needs a host");
    out->nexthop = nexthop;
    return 0;
}

int transport_parse(struct str text, struct transport *out, struct err *e)
{
    static const struct {
        struct str name;
        enum transport_kind kind;
    } known[] = {
        {STR(""), TRANSPORT_SMTP},         {STR("smtp"), TRANSPORT_SMTP},
        {STR("relay"), TRANSPORT_SMTP},    {STR("lmtp"), TRANSPORT_LMTP},
        {STR("error"), TRANSPORT_ERROR},   {STR("retry"), TRANSPORT_RETRY},
        {STR("discard"), TRANSPORT_DISCARD}, {STR("local"), TRANSPORT_LOCAL},
        {STR("virtual"), TRANSPORT_LOCAL},
    };
    enum { KNOWN = sizeof known / sizeof known[0] };
    ptrdiff_t colon = str_find(text, ':');
    size_t i = 0;
    *out = (struct transport){.nexthop = {"", 0}, .text = {"", 0}};
    if (!str_is_text(text)) /* it comes to stand in reports */
        return err_perm(e, "it is no line of text");
    while (colon >= 0 && i < KNOWN && !str_eq(str_head(text, (size_t)colon), known[i].name))
        i++;
    if (colon < 0 || i == KNOWN)
        return err_perm(e, "\"%.*s\" is none of smtp:NEXTHOP, relay:NEXTHOP, lmtp:HOST:PORT, "
                        "error:TEXT, retry:TEXT, discard:", STR_FMT(str_head(text, 200)));
    struct str rest = str_trim(str_skip(text, (size_t)colon + 1));
    out->kind = known[i].kind;
    if (out->kind == TRANSPORT_LMTP)
        return take_lmtp(rest, out, e);
    if (out->kind == TRANSPORT_SMTP)
        out->nexthop = rest;
    else if (out->kind == TRANSPORT_ERROR)
        take_text(rest, '5', "mail for this destination is not taken", out);
    else if (out->kind == TRANSPORT_RETRY)
        take_text(rest, '4', "mail for this destination is put off", out);
    else if (out->kind == TRANSPORT_DISCARD)
        take_text(rest, '2', "thrown away, as transport_maps says", out);
    return 0;
}

/* --- keys --- */

size_t transport_keys(struct arena *a, struct str address, struct str domain,
                      struct str delimiters, struct str keys[TRANSPORT_KEYS])
{
    struct str rest = domain, user, extension;
    size_t n = 0;
    ptrdiff_t at = str_rfind(address, '@');
    keys[n++] = address;
    if (at > 0 && mail_local_split(str_head(address, (size_t)at), delimiters, &user, &extension))
        keys[n++] = arena_printf(a, "%.*s@%.*s", STR_FMT(user), STR_FMT(domain));
    keys[n++] = domain;
    for (ptrdiff_t dot; n < TRANSPORT_KEYS - 1 && (dot = str_find(rest, '.')) >= 0; n++) {
        keys[n] = str_skip(rest, (size_t)dot);
        rest = str_skip(rest, (size_t)dot + 1);
    }
    keys[n++] = STR("*");
    return n;
}
