/* Destinations and exchangers. */
#include "relay/route.h"

#include <stdlib.h>

/* --- how a destination is written --- */

static int bad(struct str text, struct err *e)
{
    return err_perm(e, "\"%.*s\" is no destination: DOMAIN, DOMAIN:PORT, [HOST] or [HOST]:PORT",
                    STR_FMT(str_head(text, 200)));
}

static int parse_port(struct str rest, uint16_t *port)
{
    uint32_t n;
    if (rest.n == 0)
        return 0;
    if (rest.p[0] != ':' || str_u32(str_skip(rest, 1), &n) != 0 || n == 0 || n > 65535)
        return -1;
    *port = (uint16_t)n;
    return 0;
}

static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_' || c == ':';
        if (!good)
            return false;
    }
    return s.n > 0 && s.n <= 253 && s.p[0] != '.';
}

int route_parse(struct str text, uint16_t default_port, struct nexthop *out, struct err *e)
{
    struct str rest;
    *out = (struct nexthop){.port = default_port, .exchangers = text.n == 0 || text.p[0] != '['};
    if (out->exchangers) {
        ptrdiff_t colon = str_find(text, ':');
        out->host = colon < 0 ? text : str_head(text, (size_t)colon);
        rest = str_skip(text, out->host.n);
    } else {
        ptrdiff_t end = str_find(text, ']');
        if (end < 0)
            return bad(text, e);
        out->host = str_skip(str_head(text, (size_t)end), 1);
        rest = str_skip(text, (size_t)end + 1);
        if (str_casestarts(out->host, STR("IPv6:")))
            out->host = str_skip(out->host, 5);
    }
    if (!is_host(out->host) || parse_port(rest, &out->port) != 0)
        return bad(text, e);
    return 0;
}

void route_name_server(struct str text, struct str *host, struct str *port)
{
    ptrdiff_t end = text.n && text.p[0] == '[' ? str_find(text, ']') : -1;
    ptrdiff_t colon = str_rfind(text, ':');
    *host = text;
    *port = (struct str){0};
    if (end > 0) {
        *host = str_skip(str_head(text, (size_t)end), 1);
        *port = str_skip(text, (size_t)end + 2);
    } else if (colon >= 0 && str_find(text, ':') == colon) {
        *host = str_head(text, (size_t)colon);
        *port = str_skip(text, (size_t)colon + 1);
    }
}

/* --- exchangers --- */

static int compare(const void *a, const void *b)
{
    const struct exchanger *x = a, *y = b;
    if (x->preference != y->preference)
        return x->preference < y->preference ? -1 : 1;
    return x->random < y->random ? -1 : x->random > y->random;
}

void route_sort(struct exchanger *v, size_t n)
{
    qsort(v, n, sizeof *v, compare);
}

bool route_is_null(const struct exchanger *v, size_t n)
{
    return n == 1 && v[0].name.n == 0;
}

size_t route_without_us(const struct exchanger *v, size_t n, struct str us)
{
    for (size_t i = 0; i < n; i++) {
        if (!str_caseeq(v[i].name, us))
            continue;
        while (i > 0 && v[i - 1].preference == v[i].preference)
            i--;
        return i;
    }
    return n;
}

int route_name(struct str wire, char out[256])
{
    size_t n = 0;
    for (size_t at = 0; at < wire.n;) {
        size_t label = (unsigned char)wire.p[at++];
        if (label == 0) {
            out[n ? n - 1 : 0] = '\0';
            str_lower(out, n ? n - 1 : 0);
            return n == 0 || is_host(str_from(out)) ? 0 : -1;
        }
        if (label > 63 || label > wire.n - at || n + label + 1 > 254)
            return -1;
        for (size_t i = 0; i < label; i++)
            if (wire.p[at + i] == '.' || wire.p[at + i] == '\0')
                return -1;
        memcpy(out + n, wire.p + at, label);
        n += label;
        out[n++] = '.';
        at += label;
    }
    return -1;
}
