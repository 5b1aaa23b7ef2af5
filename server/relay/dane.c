/*
 * DANE (RFC 7672): for the host at hand, whether signed TLSA records say what certificate it has.
 * Where any part of the way (MX, addresses) is not signed there is no DANE, and opportunistic TLS
 * instead; where TLSA records cannot be looked up the host is passed by, for an attacker could be why.
 */
#include "base/log.h"
#include "relay/relay.h"

static void done(struct job *j, enum tls_level level)
{
    j->level = level;
    enforce_host(j);
}

static void pass_by(struct job *j, const char *why)
{
    struct str host = j->hosts[j->host_at].name;
    trouble_set(&j->trouble, false, "4.7.5", "", "DANE for %.*s: %s", STR_FMT(host), why);
    log_info("dane", LS("host", host), LS("destination", j->destination), LZ("why", why),
             LZ("meaning", "the host is passed by"));
    j->place_count = 0;
    done(j, TLS_DANE);
}

static void no_records(struct job *j, const char *why)
{
    if (j->policy.level == TLS_DANE_ONLY)
        pass_by(j, why);
    else
        done(j, TLS_MAY);
}

/* Records that nobody can use still say that the host does TLS (RFC 7672 section 2.2). */
static void take_records(struct job *j, const struct dns_answer *a)
{
    j->tlsa = arena_array(j->arena, a->n, sizeof *j->tlsa);
    for (size_t i = 0; i < a->n; i++) {
        if (!tlsa_read(a->data[i], &j->tlsa[j->tlsa_n]))
            continue;
        j->tlsa[j->tlsa_n].data = arena_str(j->arena, j->tlsa[j->tlsa_n].data);
        j->tlsa_n++;
    }
    if (j->tlsa_n)
        done(j, TLS_DANE);
    else if (j->policy.level == TLS_DANE_ONLY)
        pass_by(j, "its TLSA records are of no usable kind");
    else
        done(j, TLS_ENCRYPT);
}

static void ask(struct job *j);

static void on_tlsa(void *arg, const struct dns_answer *a)
{
    struct job *j = arg;
    j->ask = NULL;
    if (a->status == DNS_CANNOT_SAY) {
        j->some_unknown = true;
        pass_by(j, a->why);
    } else if (a->status == DNS_FOUND && a->secure) {
        take_records(j, a);
    } else if (str_eq(j->tlsa_base, j->hosts[j->host_at].name)) {
        no_records(j, "it has no signed TLSA records");
    } else {
        j->tlsa_base = j->hosts[j->host_at].name;
        ask(j);
    }
}

static void ask(struct job *j)
{
    AUTO_BUF name = {0};
    buf_printf(&name, "_%u._tcp.%.*s", j->nexthop.port, STR_FMT(j->tlsa_base));
    j->ask = dns_start(j->relay->dns, buf_view(&name), DNS_TLSA, on_tlsa, j);
}

/* The base domain is where a chain of signed CNAMEs ends, and else the host's own name (RFC 7672
 * section 2.2.2). */
void dane_start(struct job *j)
{
    struct str host = j->hosts[j->host_at].name;
    j->tlsa = NULL;
    j->tlsa_n = 0;
    if (j->policy.level < TLS_DANE || j->place_count == 0) {
        done(j, j->policy.level);
        return;
    }
    bool is_alias = j->canonical.n && !str_caseeq(j->canonical, host);
    j->tlsa_base = is_alias && j->host_secure ? j->canonical : host;
    if (!j->mx_secure)
        no_records(j, "its MX record is not signed");
    else if (!j->host_secure && !is_alias)
        no_records(j, "its addresses are not signed");
    else
        ask(j);
}
