/*
 * Where a round of a job goes (what transport_maps said, relayhost, or the recipients' domain), the
 * TLS policy for that destination, and the login there. The maps are in the directory program.
 */
#include "base/log.h"
#include "relay/relay.h"

#define ASK_MS 30000

static void fail(struct job *j, bool permanent, const char *status, const char *text)
{
    trouble_set(&j->trouble, permanent, status, "", "%s", text);
    job_no_more(j);
}

/* --- the login --- */

static void on_login(void *arg, enum verdict verdict, size_t at, struct str value)
{
    struct job *j = arg;
    (void)at;
    j->asking = NULL;
    if (verdict == VERDICT_CANNOT_SAY) {
        fail(j, false, "4.3.0", "the login for this destination cannot be looked up now");
        return;
    }
    if (verdict == VERDICT_YES) {
        j->login = secret_copy(value);
        if (j->login.n == 0 || str_find(value, ':') <= 0) {
            log_error("relay-login", LS("destination", j->destination),
                      LZ("why", "smtp_sasl_password_maps does not say USER:PASSWORD"));
            fail(j, false, "4.3.5", "the login for this destination makes no sense");
            return;
        }
    }
    enforce_start(j);
}

static void ask_login(struct job *j)
{
    const struct str keys[] = {j->destination, j->nexthop.host};
    const struct config *cfg = j->settings->cfg;
    if (!cfg->smtp_sasl_auth_enable || cfg->smtp_sasl_password_maps.n == 0)
        enforce_start(j);
    else
        j->asking = keys_start(j->relay->directory, "smtp_sasl_password_maps", keys, 2, ASK_MS,
                               on_login, j);
}

/* --- the TLS policy --- */

static void take_policy(struct job *j, struct str value)
{
    struct err e = {0};
    struct str text = arena_str(j->arena, value);
    j->policy_said = true;
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
    ask_login(j);
}

static void on_policy(void *arg, enum verdict verdict, size_t at, struct str value)
{
    struct job *j = arg;
    (void)at;
    j->asking = NULL;
    if (verdict == VERDICT_YES)
        take_policy(j, value);
    else if (verdict == VERDICT_NO)
        ask_login(j);
    else
        fail(j, false, "4.3.0", "the TLS policy for this destination cannot be looked up now");
}

static void ask_policy(struct job *j)
{
    struct str keys[TLS_POLICY_KEYS];
    const struct config *cfg = j->settings->cfg;
    j->policy_said = false;
    j->policy = (struct tls_policy){.level = (enum tls_level)cfg->smtp_tls_security_level};
    if (cfg->smtp_tls_policy_maps.n == 0) {
        ask_login(j);
        return;
    }
    size_t n = tls_policy_keys(j->destination, keys);
    j->asking = keys_start(j->relay->directory, "smtp_tls_policy_maps", keys, n, ASK_MS, on_policy, j);
}

/* --- the destination --- */

/* Only the sender can mend the domain of an address; what was set here can be mended here. */
static void fail_to_parse(struct job *j, const struct err *e)
{
    if (str_eq(j->destination, j->domain)) {
        fail(j, true, "5.1.2", e->log);
        return;
    }
    log_error("transport", LS("domain", j->domain), LZ("why", e->log));
    fail(j, false, "4.3.5", "the next hop for this domain makes no sense");
}

static void go_to(struct job *j, struct str destination)
{
    struct err e = {0};
    const struct config *cfg = j->settings->cfg;
    uint16_t port = (uint16_t)(j->lmtp ? cfg->lmtp_tcp_port : cfg->smtp_tcp_port);
    j->destination = destination;
    if (route_parse(destination, port, &j->nexthop, &e) != 0) {
        fail_to_parse(j, &e);
        return;
    }
    if (!reach_has(&j->settings->reach, j->nexthop.port)) {
        log_error("relay-port", LS("destination", destination), LN("port", j->nexthop.port),
                  LZ("why", "smtp_connect_ports does not have it"));
        fail(j, false, "4.3.5", "the port of this destination is not one that may be connected to");
        return;
    }
    /* Whoever speaks LMTP is no mail exchanger (RFC 2033 section 5). */
    j->nexthop.exchangers = j->nexthop.exchangers && !j->lmtp;
    ask_policy(j);
}

void destination_start(struct job *j, struct str nexthop)
{
    const struct config *cfg = j->settings->cfg;
    go_to(j, nexthop.n ? nexthop : cfg->relayhost.n ? cfg->relayhost : j->domain);
}
