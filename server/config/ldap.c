/* The ldap_* options in the words of ldap_table(5). */
#include "config/config.h"

static struct str joined(struct arena *a, const struct config_list *list)
{
    AUTO_BUF b = {0};
    for (size_t i = 0; i < list->n; i++)
        buf_printf(&b, "%s%.*s", i ? " " : "", STR_FMT(list->v[i]));
    return arena_str(a, buf_view(&b));
}

static struct str yes_no(bool yes)
{
    return yes ? STR("yes") : STR("no");
}

size_t config_ldap_settings(const struct config *c, struct arena *a,
                            struct config_setting out[CONFIG_LDAP_SETTINGS])
{
    static const struct str scopes[] = {{"sub", 3}, {"base", 4}, {"one", 3}};
    static const struct str binds[] = {{"no", 2}, {"yes", 3}, {"none", 4}, {"simple", 6}, {"sasl", 4}};
    const struct config_setting all[CONFIG_LDAP_SETTINGS] = {
        {"server_host", joined(a, &c->ldap_server_host)},
        {"version", arena_printf(a, "%d", (int)c->ldap_version)},
        {"timeout", arena_printf(a, "%d", (int)c->ldap_timeout)},
        {"start_tls", yes_no(c->ldap_start_tls)},
        {"tls_ca_cert_file", c->ldap_tls_ca_cert_file},
        {"tls_ca_cert_dir", c->ldap_tls_ca_cert_dir},
        {"tls_cert", c->ldap_tls_cert},
        {"tls_key", c->ldap_tls_key},
        {"tls_require_cert", yes_no(c->ldap_tls_require_cert)},
        {"tls_cipher_suite", c->ldap_tls_cipher_suite},
        {"bind", binds[c->ldap_bind]},
        {"bind_dn", c->ldap_bind_dn},
        {"sasl_mechs", c->ldap_sasl_mechs},
        {"sasl_authz_id", c->ldap_sasl_authz_id},
        {"search_base", c->ldap_search_base},
        {"scope", scopes[c->ldap_scope]},
    };
    size_t n = 0;
    for (size_t i = 0; i < CONFIG_LDAP_SETTINGS; i++)
        if (all[i].value.n)
            out[n++] = all[i];
    return n;
}
