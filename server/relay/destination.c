/*
 * Where a job goes (relayhost, or the recipients' domain), and the TLS policy for that destination:
 * of smtp_tls_policy_maps, which the directory program holds, or smtp_tls_security_level.
 */
#include "base/log.h"
#include "relay/relay.h"

#define ASK_MS 30000

static void fail(struct job *j, bool permanent, const char *status, const char *text)
{
    trouble_set(&j->trouble, permanent, status, "", "%s", text);
    job_no_more(j);
}

static void take_policy(struct job *j, struct str value)
{
    struct err e = {0};
    struct str text = arena_str(j->arena, value);
    if (tls_policy_parse(text, &j->policy, &e) != 0) {
        log_error("tls-policy", LS("destination", j->destination), LS("policy", value),
                  LZ("why", e.log));
        fail(j, false, "4.3.5", "the TLS policy for this destination makes no sense");
        return;
    }
    if (j->policy.ignored.n)
        log_warning("tls-policy", LS("destination", j->destination),
                    LS("ignored", j->policy.ignored),
                    LZ("why", "TLS 1.2 and 1.3 with the sound ciphers of OpenSSL are always spoken"));
    hosts_start(j);
}

static void on_policy(void *arg, enum verdict verdict, size_t at, struct str value)
{
    struct job *j = arg;
    (void)at;
    j->asking = NULL;
    if (verdict == VERDICT_YES)
        take_policy(j, value);
    else if (verdict == VERDICT_NO)
        hosts_start(j);
    else
        fail(j, false, "4.3.0", "the TLS policy for this destination cannot be looked up now");
}

static void ask_policy(struct job *j)
{
    struct str keys[TLS_POLICY_KEYS];
    const struct config *cfg = j->settings->cfg;
    j->policy = (struct tls_policy){.level = (enum tls_level)cfg->smtp_tls_security_level};
    if (cfg->smtp_tls_policy_maps.n == 0) {
        hosts_start(j);
        return;
    }
    size_t n = tls_policy_keys(j->destination, keys);
    j->asking = keys_start(j->relay->directory, "smtp_tls_policy_maps", keys, n, ASK_MS, on_policy, j);
}

void destination_start(struct job *j)
{
    const struct config *cfg = j->settings->cfg;
    struct err e = {0};
    if (j->settings->relayhost.host.n) {
        j->nexthop = j->settings->relayhost;
        j->destination = cfg->relayhost;
    } else if (route_parse(j->domain, (uint16_t)cfg->smtp_tcp_port, &j->nexthop, &e) != 0) {
        fail(j, true, "5.1.2", e.log);
        return;
    } else {
        j->destination = j->domain;
    }
    ask_policy(j);
}
