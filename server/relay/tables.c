/*
 * What transport_maps and smtp_tls_policy_maps say, tried before anything is sent: "facteurd -t" hands over
 * the lists that are files. What the directory holds is judged when it is asked for.
 */
#include "ipc/bundle.h"
#include "relay/relay.h"

struct trial {
    const struct config *cfg;
    const struct settings *settings;
    const struct bundle *bundle;
    int (*judge)(const struct trial *t, struct str value, struct err *e);
};

/* --- values --- */

static int judge_transport(const struct trial *t, struct str value, struct err *e)
{
    struct transport way;
    struct nexthop hop;
    if (transport_parse(value, &way, e) != 0)
        return -1;
    if (way.nexthop.n == 0)
        return 0;
    int64_t port = way.kind == TRANSPORT_LMTP ? t->cfg->lmtp_tcp_port : t->cfg->smtp_tcp_port;
    if (route_parse(way.nexthop, (uint16_t)port, &hop, e) != 0)
        return -1;
    if (!reach_has(&t->settings->reach, hop.port))
        return err_perm(e, "port %u is not one of smtp_connect_ports", (unsigned)hop.port);
    return 0;
}

static int judge_policy(const struct trial *t, struct str value, struct err *e)
{
    struct tls_policy policy;
    (void)t;
    return tls_policy_parse(value, &policy, e);
}

static int judge_pair(const struct trial *t, struct str key, struct str value, struct err *e)
{
    return t->judge(t, value, e) == 0 ? 0 : err_prefix(e, "%.*s", STR_FMT(str_head(key, 200)));
}

/* --- tables: their own form has been looked at --- */

static int try_inline(const struct trial *t, struct str braced, struct err *e)
{
    struct str rest, key, value;
    int r = 0;
    if (config_map_braced(braced, &rest))
        while (r == 0 && config_map_inline_next(&rest, &key, &value, e) == 1)
            r = judge_pair(t, key, value, e);
    return r;
}

static int try_file(const struct trial *t, struct str file, struct err *e)
{
    struct str text, key, value;
    AUTO_BUF piece = {0};
    unsigned line = 0;
    int r = 0;
    buf_printf(&piece, "map:%.*s", STR_FMT(file));
    if (bundle_get(t->bundle, buf_view(&piece), &text))
        while (r == 0 && config_map_text_next(&text, &line, &key, &value, e) == 1)
            r = judge_pair(t, key, value, e);
    return r == 0 ? 0 : err_prefix(e, "%.*s: line %u", STR_FMT(file), line);
}

static int try_map(const struct trial *t, const char *option, struct str sources, struct err *e)
{
    struct str piece;
    int r = 0;
    while (r == 0 && config_map_piece(&sources, &piece)) {
        if (str_starts(piece, STR("inline:")))
            r = try_inline(t, str_skip(piece, 7), e);
        else if (str_starts(piece, STR("static:")))
            r = t->judge(t, str_skip(piece, 7), e);
        else
            r = try_file(t, config_map_file(piece), e);
    }
    return r == 0 ? 0 : err_prefix(e, "%s", option);
}

int tables_try(const struct config *cfg, const struct settings *s, const struct bundle *b, struct err *e)
{
    struct trial transports = {cfg, s, b, judge_transport}, policies = {cfg, s, b, judge_policy};
    if (try_map(&transports, "transport_maps", cfg->transport_maps, e) != 0)
        return -1;
    return try_map(&policies, "smtp_tls_policy_maps", cfg->smtp_tls_policy_maps, e);
}
