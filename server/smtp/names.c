/*
 * The names of a client's address: what its PTR record says, and whether that name leads back to the
 * address (RFC 8601 section 2.7.3). The relay asks the DNS, once a session, when a rule, a policy
 * server or a filter wants to know. A name that was not confirmed is anybody's to claim: it counts
 * only where rules say "reverse".
 */
#include "base/log.h"
#include "smtp/smtp.h"

static void keep(char *room, size_t size, struct str name)
{
    if (str_is_graph(name))
        snprintf(room, size, "%.*s", STR_FMT(str_head(name, MAIL_DOMAIN_MAX)));
}

struct str names_why(const struct msg *m)
{
    return m ? m->dns_reply.text : STR("no answer in time (smtpd_dns_timeout)");
}

static void on_names(struct session *s, void *arg, struct msg *m)
{
    struct client_names *n = arg;
    uint8_t v = m ? m->dns_reply.verdict : VERDICT_CANNOT_SAY;
    n->asked = true;
    if (m)
        keep(n->reverse, sizeof n->reverse, m->dns_reply.values);
    if (v == VERDICT_YES)
        memcpy(n->verified, n->reverse, sizeof n->verified);
    log_info("client-name", LZ("session", s->id), LZ("client", s->peer.text),
             LS("name", names_verified(s)), LS("reverse", names_reverse(s)),
             LS("why", names_why(m)));
    n->fn(s, n->arg);
}

bool names_known(const struct session *s)
{
    return s->names.asked || !session_cfg(s)->smtpd_peername_lookup;
}

void names_need(struct session *s, names_fn fn, void *arg)
{
    struct msg m = MSG_INIT(dns_ask);
    if (names_known(s)) {
        fn(s, arg);
        return;
    }
    s->names.fn = fn;
    s->names.arg = arg;
    m.dns_ask.kind = DNS_ASK_CLIENT;
    m.dns_ask.name = str_from(s->peer.text);
    ask(s, s->smtpd->relay, &m, session_cfg(s)->smtpd_dns_timeout * 1000, on_names, &s->names);
}

struct str names_verified(const struct session *s)
{
    return s->names.verified[0] ? str_from(s->names.verified) : STR("unknown");
}

struct str names_reverse(const struct session *s)
{
    return s->names.reverse[0] ? str_from(s->names.reverse) : STR("unknown");
}
