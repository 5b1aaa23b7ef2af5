/* What is said of load balancers: nobody but they may say who a client is. */
#include "config/rules.h"
#include "ipc/message.h"
#include "master/material.h"

enum { UPSTREAM_NONE, UPSTREAM_HAPROXY };

static bool is_service(struct str name)
{
    for (int s = SERVICE_SMTP; s <= SERVICE_LMTP; s++)
        if (str_eq(name, str_from(service_name((enum service)s))))
            return true;
    return false;
}

static void check_networks(const struct config_list *list, struct findings *f)
{
    struct config_network net;
    bool wanted;
    struct str all = rule_network_of_all(list);
    for (size_t i = 0; i < list->n; i++)
        if (config_network_element(list->v[i], &net, &wanted) != 0)
            finding_error(f, "haproxy_trusted_networks: \"%.*s\" is no network, as 192.0.2.7 or "
                             "[2001:db8::7]", STR_FMT(str_head(list->v[i], 100)));
    if (all.n)
        finding_error(f, "haproxy_trusted_networks: %.*s is all the world: any client could say "
                         "who it is", STR_FMT(all));
    if (list->n == 0)
        finding_error(f, "haproxy_trusted_networks: is needed for smtpd_upstream_proxy_protocol = "
                         "haproxy");
}

void balancers_check(const struct material *m, struct findings *f)
{
    const struct config *c = m->cfg;
    for (size_t i = 0; i < c->haproxy_services.n; i++)
        if (!is_service(c->haproxy_services.v[i]))
            finding_error(f, "haproxy_services: \"%.*s\" is no service; they are smtp, submission, "
                             "submissions, imap, imaps, pop3, pop3s, lmtp",
                          STR_FMT(str_head(c->haproxy_services.v[i], 100)));
    if (c->smtpd_upstream_proxy_protocol == UPSTREAM_HAPROXY)
        check_networks(&c->haproxy_trusted_networks, f);
}
