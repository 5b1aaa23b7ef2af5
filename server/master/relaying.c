/* Who may send to other servers: what would make an open relay is found before anything runs. */
#include "config/rules.h"
#include "master/material.h"

static void check_list(const char *name, const struct config_list *list, struct findings *f)
{
    struct config_network net;
    bool wanted;
    for (size_t i = 0; i < list->n; i++)
        if (config_network_element(list->v[i], &net, &wanted) != 0)
            finding_error(f, "%s: \"%.*s\" is no network, as 192.0.2.0/24 or [2001:db8::]/32", name,
                          STR_FMT(str_head(list->v[i], 100)));
}

static void check_networks(const struct config *c, struct findings *f)
{
    struct str all = rule_network_of_all(&c->mynetworks);
    check_list("mynetworks", &c->mynetworks, f);
    check_list("lmtp_networks", &c->lmtp_networks, f);
    check_list("smtpd_client_event_limit_exceptions", &c->smtpd_client_event_limit_exceptions, f);
    check_list("smtpd_forbid_bare_newline_exclusions", &c->smtpd_forbid_bare_newline_exclusions, f);
    check_list("auth_failure_exceptions", &c->auth_failure_exceptions, f);
    if (all.n)
        finding_error(f, "mynetworks: %.*s is all the world: this would be an open relay",
                      STR_FMT(all));
}

void relaying_check(const struct material *m, struct findings *f)
{
    const struct config *c = m->cfg;
    struct err e = {0};
    check_networks(c, f);
    if (rule_check_relaying(c->smtpd_relay_restrictions, c->smtpd_recipient_restrictions, &e) != 0)
        finding_error(f, "%s", e.log);
    if (c->mynetworks.n &&
        !rule_permits_mynetworks(c->smtpd_relay_restrictions, c->smtpd_recipient_restrictions))
        finding_warning(f, "mynetworks: smtpd_relay_restrictions does not say permit_mynetworks, so "
                           "these clients may not send to other servers");
}
