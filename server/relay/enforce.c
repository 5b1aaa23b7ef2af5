/*
 * What a domain's MTA-STS policy means for a job (RFC 8461 section 5): mail goes to the servers that
 * the policy names alone, by TLS with a certificate for the server's name. It counts where TLS is
 * opportunistic: a policy of smtp_tls_policy_maps is the administrator's word, and DANE is the
 * stronger one (RFC 8461 section 2). A policy in testing, and smtp_mta_sts = testing, change nothing; what
 * would not be allowed is logged.
 */
#include "base/log.h"
#include "relay/relay.h"

enum { WANTED_NO, WANTED_TESTING, WANTED_YES }; /* of smtp_mta_sts */

static void on_policy(void *arg, enum sts_mode mode, const struct str *mx, size_t n)
{
    struct job *j = arg;
    j->waiting = NULL;
    j->sts = mode;
    j->sts_mx = arena_array(j->arena, n + 1, sizeof *j->sts_mx);
    j->sts_mx_n = n;
    for (size_t i = 0; i < n; i++)
        j->sts_mx[i] = arena_str(j->arena, mx[i]);
    hosts_start(j);
}

/* A next hop that was set by hand has no policy, and a host no MX. */
static bool counts(const struct job *j)
{
    return j->settings->cfg->smtp_mta_sts != WANTED_NO && j->nexthop.exchangers && !j->policy_said &&
           str_caseeq(j->nexthop.host, j->domain) &&
           (j->policy.level == TLS_MAY || j->policy.level == TLS_ENCRYPT ||
            j->policy.level == TLS_DANE);
}

void enforce_start(struct job *j)
{
    j->sts = STS_NONE;
    j->sts_watched = false;
    if (!counts(j)) {
        hosts_start(j);
        return;
    }
    strict_start(j->relay->strict, j->domain, on_policy, j, &j->waiting);
}

static bool is_strict(const struct job *j)
{
    return j->sts == STS_ENFORCE && j->settings->cfg->smtp_mta_sts == WANTED_YES;
}

static void note(const struct job *j, struct str host, const char *why)
{
    log_warning("mta-sts", LS("domain", j->domain), LS("host", host), LZ("why", why),
                LZ("meaning", is_strict(j) ? "the server is passed by" : "testing: it is used"));
}

void enforce_host(struct job *j)
{
    struct str host = j->hosts[j->host_at].name;
    bool opportunistic = j->level == TLS_MAY || j->level == TLS_ENCRYPT;
    j->sts_watched = false;
    if (j->sts == STS_NONE || !opportunistic || j->place_count == 0) {
        hosts_place(j);
        return;
    }
    bool named = sts_match(j->sts_mx, j->sts_mx_n, host);
    if (!named)
        note(j, host, "the policy does not name this server");
    if (is_strict(j) && !named) {
        trouble_set(&j->trouble, false, "4.7.5", "", "The MTA-STS policy of %.*s does not name %.*s",
                    STR_FMT(j->domain), STR_FMT(host));
        j->place_count = 0;
    } else if (is_strict(j)) {
        j->level = TLS_VERIFY;
    } else {
        j->sts_watched = named;
    }
    hosts_place(j);
}

void enforce_watch(const struct client *c)
{
    const char *why = conn_is_tls(c->conn) ? conn_tls_doubt(c->conn) : "there is no TLS";
    if (c->watched && why[0])
        note(c->job, c->host, why);
}

void enforce_over(struct job *j)
{
    for (size_t i = 0; i < j->rcpts && is_strict(j); i++)
        if (job_has(j, i) && j->rcpt[i].fate == FATE_LATER)
            strict_doubt(j->relay->strict, j->domain);
    j->sts = STS_NONE;
}
