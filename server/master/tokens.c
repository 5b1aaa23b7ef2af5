/* Logins with a token: are the oauth2_* options of a piece? */
#include "config/introspection.h"
#include "ipc/bundle.h"
#include "master/material.h"

/* scope-token of RFC 6749 section 3.3. */
static bool is_scope(struct str s)
{
    return s.n && str_is_graph(s) && str_find(s, '"') < 0 && str_find(s, '\\') < 0;
}

static void check_answer(const struct config *c, struct findings *f)
{
    const struct {
        const char *option;
        struct str value;
    } needed[] = {{"oauth2_username_attribute", c->oauth2_username_attribute},
                  {"oauth2_active_attribute", c->oauth2_active_attribute},
                  {"oauth2_active_value", c->oauth2_active_value}};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (needed[i].value.n == 0)
            finding_error(f, "%s: must not be empty", needed[i].option);
    for (size_t i = 0; i < c->oauth2_scope.n; i++)
        if (!is_scope(c->oauth2_scope.v[i]))
            finding_error(f, "oauth2_scope: \"%.*s\" is no scope",
                          STR_FMT(str_head(c->oauth2_scope.v[i], 100)));
    if (c->oauth2_scope.n == 0)
        finding_warning(f, "oauth2_scope: is empty: a token made for any program opens its user's "
                           "mailbox");
}

void tokens_check(const struct material *m, struct findings *f)
{
    const struct config *c = m->cfg;
    struct config_introspection server;
    struct err e = {0};
    AUTO_ARENA a = arena_new(512);
    if (c->oauth2_introspection_url.n == 0)
        return;
    if (config_introspection_read(c, a, &server, &e) != 0)
        finding_error(f, "%s", e.log);
    if ((c->oauth2_client_secret.n || c->oauth2_client_secret_file.n) && c->oauth2_client_id.n == 0)
        finding_error(f, "oauth2_client_id: is needed for oauth2_client_secret");
    check_answer(c, f);
}

void tokens_add(const struct material *m, struct buf *out, struct findings *f)
{
    AUTO_FREE char *file = mem_strdup(m->cfg->oauth2_tls_ca_cert_file);
    AUTO_BUF text = {0};
    if (m->cfg->oauth2_introspection_url.n == 0)
        return;
    secret_add(m, "oauth2_client_secret", m->cfg->oauth2_client_secret,
               m->cfg->oauth2_client_secret_file, out, f);
    if (str_casestarts(m->cfg->oauth2_introspection_url, STR("https:")) &&
        file_read(m, "oauth2_tls_ca_cert_file", file, false, &text, f) == 0)
        bundle_add(out, STR("authorities"), buf_view(&text));
}
