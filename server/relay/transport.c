/* Transports. */
#include "relay/transport.h"

#include <stdio.h>

static bool is_status(struct str s)
{
    if (s.n < 5 || s.n > 11 || (s.p[0] != '4' && s.p[0] != '5') || s.p[1] != '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '.' && (s.p[i] < '0' || s.p[i] > '9'))
            return false;
    return true;
}

/* A report of class 4 would be tried again, which is not what error is for. */
static void take_error(struct str text, struct transport *out)
{
    struct str rest = text, word;
    out->is_error = true;
    snprintf(out->status, sizeof out->status, "5.0.0");
    if (str_token(&rest, " \t", &word) && is_status(word)) {
        snprintf(out->status, sizeof out->status, "5%.*s", STR_FMT(str_skip(word, 1)));
        text = str_trim(rest);
    }
    out->text = text.n ? text : STR("mail for this destination is not taken");
}

int transport_parse(struct str text, struct transport *out, struct err *e)
{
    ptrdiff_t colon = str_find(text, ':');
    struct str name = str_head(text, colon < 0 ? text.n : (size_t)colon);
    struct str rest = colon < 0 ? (struct str){"", 0} : str_trim(str_skip(text, (size_t)colon + 1));
    *out = (struct transport){.nexthop = rest};
    if (str_eq(name, STR("error"))) {
        take_error(rest, out);
        return 0;
    }
    if (colon < 0 || (name.n && !str_eq(name, STR("smtp")) && !str_eq(name, STR("relay"))))
        return err_perm(e, "\"%.*s\" is none of smtp:NEXTHOP, relay:NEXTHOP, error:TEXT",
                        STR_FMT(str_head(text, 200)));
    return 0;
}

size_t transport_keys(struct str domain, struct str keys[TRANSPORT_KEYS])
{
    struct str rest = domain;
    size_t n = 0;
    keys[n++] = domain;
    for (ptrdiff_t dot; n < TRANSPORT_KEYS - 1 && (dot = str_find(rest, '.')) >= 0; n++) {
        keys[n] = str_skip(rest, (size_t)dot);
        rest = str_skip(rest, (size_t)dot + 1);
    }
    keys[n++] = STR("*");
    return n;
}
