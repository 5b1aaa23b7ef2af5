/* Ports. */
#include "relay/reach.h"
#include "relay/route.h"

#define DNS_PORT 53
#define HTTPS_PORT 443

bool reach_has(const struct reach *r, uint16_t port)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i] == port)
            return true;
    return r->any;
}

bool reach_covers(const struct reach *a, const struct reach *b)
{
    if (b->any)
        return a->any;
    for (size_t i = 0; i < b->n; i++)
        if (!reach_has(a, b->v[i]))
            return false;
    return true;
}

static int add(struct reach *r, uint32_t port, struct err *e)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i] == port)
            return 0;
    if (r->n == REACH_MAX)
        return err_perm(e, "smtp_connect_ports: more than %d ports", REACH_MAX);
    r->v[r->n++] = (uint16_t)port;
    return 0;
}

static int add_text(struct reach *r, struct str text, const char *option, struct err *e)
{
    uint32_t port;
    if (str_u32(text, &port) != 0 || port == 0 || port > 65535)
        return err_perm(e, "%s: \"%.*s\" is no port", option, STR_FMT(str_head(text, 60)));
    return add(r, port, e);
}

static int add_name_servers(struct reach *r, const struct config_list *servers, struct err *e)
{
    struct str host, port;
    for (size_t i = 0; i < servers->n; i++) {
        route_name_server(servers->v[i], &host, &port);
        if (port.n ? add_text(r, port, "dns_servers", e) : add(r, DNS_PORT, e))
            return -1;
    }
    return servers->n ? 0 : add(r, DNS_PORT, e); /* those of the root */
}

static int add_transports(struct reach *r, const struct config *cfg, struct err *e)
{
    const struct config_list *ports = &cfg->smtp_connect_ports;
    for (size_t i = 0; i < ports->n; i++)
        if (add_text(r, ports->v[i], "smtp_connect_ports", e) != 0)
            return -1;
    if (cfg->transport_maps.n == 0)
        return 0;
    r->any = ports->n == 0;
    return add(r, (uint32_t)cfg->lmtp_tcp_port, e);
}

int reach_from(const struct config *cfg, const struct config_list *servers, uint16_t relayhost_port,
               struct reach *out, struct err *e)
{
    *out = (struct reach){0};
    if (add(out, (uint32_t)cfg->smtp_tcp_port, e) != 0 ||
        (relayhost_port && add(out, relayhost_port, e) != 0) ||
        (cfg->smtp_mta_sts && add(out, HTTPS_PORT, e) != 0))
        return -1;
    return add_name_servers(out, servers, e) != 0 ? -1 : add_transports(out, cfg, e);
}
