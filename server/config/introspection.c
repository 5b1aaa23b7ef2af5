/* The introspection server's URL and places. */
#include "config/introspection.h"
#include "config/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define URL_MAX 1000

static int no_url(struct err *e, const char *why)
{
    return err_perm(e, "oauth2_introspection_url: %s", why);
}

/* The part up to the path; what is behind it is not looked at, but goes to the server as it is. */
static int take_authority(struct str url, struct config_introspection *out, struct str *authority,
                          struct err *e)
{
    out->tls = str_casestarts(url, STR("https://"));
    if (!out->tls && !str_casestarts(url, STR("http://")))
        return no_url(e, "must be https://HOST/PATH");
    if (url.n > URL_MAX || !str_is_graph(url) || str_find(url, '#') >= 0)
        return no_url(e, "is too long, or has characters that no URL has");
    url = str_skip(url, out->tls ? 8 : 7);
    size_t n = 0;
    while (n < url.n && url.p[n] != '/' && url.p[n] != '?')
        n++;
    *authority = str_head(url, n);
    if (str_find(*authority, '@') >= 0)
        return no_url(e, "name and password belong into oauth2_client_id and oauth2_client_secret");
    return 0;
}

/* HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT. */
static int take_host(struct str authority, struct config_introspection *out, struct err *e)
{
    ptrdiff_t bracket = str_rfind(authority, ']'), colon = str_rfind(authority, ':');
    uint32_t port = out->tls ? 443 : 80;
    out->host = authority;
    if (colon > bracket) {
        out->host = str_head(authority, (size_t)colon);
        if (str_u32(str_skip(authority, (size_t)colon + 1), &port) != 0 || port == 0 || port > 65535)
            return no_url(e, "has no good port");
    }
    if (bracket >= 0) {
        if (out->host.n < 3 || out->host.p[0] != '[' || bracket != (ptrdiff_t)out->host.n - 1)
            return no_url(e, "has no good host");
        out->host = str_head(str_skip(out->host, 1), out->host.n - 2);
    }
    out->port = (uint16_t)port;
    if (out->host.n == 0 || out->host.n > 255 ||
        (bracket < 0 && (str_find(out->host, ':') >= 0 || str_find(out->host, '[') >= 0)))
        return no_url(e, "has no good host");
    return 0;
}

static bool is_of_this_machine(const struct config_endpoint *at)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at->sa;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at->sa;
    if (at->sa.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return at->sa.ss_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int add_place(struct config_introspection *out, struct str place, struct err *e)
{
    struct config_endpoint at;
    if (config_endpoint_parse(place, &at, e) != 0)
        return err_prefix(e, "oauth2_introspection_server");
    if (!out->tls && !is_of_this_machine(&at))
        return no_url(e, "must be https: what is said to another machine is secret");
    if (out->places == CONFIG_INTROSPECTION_PLACES)
        return err_perm(e, "oauth2_introspection_server: more than %d places",
                        CONFIG_INTROSPECTION_PLACES);
    out->place[out->places++] = place;
    return 0;
}

/* RFC 1123 section 2.1; a last label of digits would be an address that is none. */
static bool is_host_name(struct str s)
{
    ptrdiff_t dot = str_rfind(s, '.');
    struct str top = str_skip(s, (size_t)(dot + 1));
    bool digits = true;
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
            s.p[i] != '-' && s.p[i] != '.')
            return false;
    for (size_t i = 0; i < top.n; i++)
        digits = digits && top.p[i] >= '0' && top.p[i] <= '9';
    return !digits;
}

/* Who answers for the name in the DNS leads us to himself at most: he has no certificate for it. */
static int add_name(struct config_introspection *out, struct str place, struct err *e)
{
    if (!is_host_name(out->host))
        return no_url(e, "has no good host");
    if (!out->tls)
        return no_url(e, "must be https: what is said to another machine is secret");
    out->by_name = true;
    out->place[out->places++] = place;
    return 0;
}

/* The host itself. */
static int add_host(struct config_introspection *out, struct arena *a, struct err *e)
{
    bool is_v6 = str_find(out->host, ':') >= 0;
    struct config_endpoint at;
    struct str place = arena_printf(a, "inet:%s%.*s%s:%u", is_v6 ? "[" : "", STR_FMT(out->host),
                                    is_v6 ? "]" : "", out->port);
    if (config_endpoint_parse(place, &at, NULL) != 0)
        return add_name(out, place, e);
    return add_place(out, place, e);
}

int config_introspection_read(const struct config *cfg, struct arena *a,
                              struct config_introspection *out, struct err *e)
{
    const struct config_list *list = &cfg->oauth2_introspection_server;
    struct str authority;
    *out = (struct config_introspection){.places = 0};
    if (take_authority(cfg->oauth2_introspection_url, out, &authority, e) != 0 ||
        take_host(authority, out, e) != 0)
        return -1;
    for (size_t i = 0; i < list->n; i++)
        if (add_place(out, list->v[i], e) != 0)
            return -1;
    return list->n ? 0 : add_host(out, a, e);
}
