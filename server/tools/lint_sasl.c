/* Lint: can the mechanisms of sasl_relay_mechanisms really log somebody in? A server offers what its
 * libraries know, whatever its stored passwords can serve, so each is tried with one. */
#include "tools/lint.h"
#include "tools/prompt.h"

#include <stdlib.h>

struct offered {
    struct lint *l;
    struct config_list mechanisms;
};

static void take_root(void *arg, const struct ldapmap_entry *entry)
{
    struct offered *o = arg;
    const struct ldapmap_attr *a = ldapmap_entry_attr(entry, "supportedSASLMechanisms");
    o->mechanisms.v = arena_array(o->l->arena, (a ? a->count : 0) + 1, sizeof(struct str));
    for (size_t i = 0; a && i < a->count; i++)
        o->mechanisms.v[o->mechanisms.n++] = arena_str(o->l->arena, a->values[i]);
}

static bool is_offered(const struct offered *o, struct str mechanism)
{
    for (size_t i = 0; i < o->mechanisms.n; i++)
        if (str_caseeq(o->mechanisms.v[i], mechanism))
            return true;
    return false;
}

/* --- the one who tries --- */

static int read_password(struct lint *l, struct secret *out, struct err *e)
{
    AUTO_BUF prompt = {0};
    struct str line;
    buf_printf(&prompt, "Password of %s: ", l->login);
    if (!l->login_password_file)
        return prompt_password(buf_z(&prompt), out) == 0 ? 0 : err_perm(e, "no password came");
    if (access_first_line(l->login_password_file, l->arena, &line, e) != 0)
        return -1;
    *out = secret_copy(line);
    mem_wipe((char *)(uintptr_t)line.p, line.n);
    return out->n ? 0 : err_perm(e, "%s: the first line must be a password", l->login_password_file);
}

/* A login by DN and password, as PLAIN and LOGIN are checked: what follows is about the mechanisms. */
static int prove_password(struct lint *l, const struct lint_entry *x, const struct secret *password,
                          struct err *e)
{
    struct ldapmap_conn_settings s = l->settings;
    struct ldapmap_client *client = NULL;
    s.bind = LDAPMAP_BIND_SIMPLE;
    s.bind_dn = (struct str){arena_strz(l->arena, x->e.dn), x->e.dn.n};
    s.bind_pw = *password;
    if (ldapmap_client_open(&s, &client, e) != 0)
        return -1;
    ldapmap_client_close(client);
    return 0;
}

/* --- trying --- */

static void found_identity(struct lint *l, const struct lint_entry *x, const char *mechanism,
                           struct str who)
{
    AUTO_BUF ldif = {0};
    const char *rule = arena_printf(l->arena, "\"uid=([^,]*),(cn=[^,]*,)?cn=[^,]*,cn=auth\" "
                                              "\"%s=$1,%.*s\"", l->name_attr,
                                    STR_FMT(l->settings.search_base)).p;
    struct ldapmap_change v = {LDAPMAP_ADD, "olcAuthzRegexp", rule};
    access_ldif_modify(&ldif, "cn=config", &v, 1);
    lint_found(l, "sasl-identity", x->e.dn, &ldif, "%s lets %s in as \"%.*s\", which is not this "
               "entry: the server's authz-regexp must lead there", mechanism, l->login,
               STR_FMT(str_head(who, 300)));
}

static void try_mechanism(struct lint *l, const struct lint_entry *x, const char *mechanism,
                          const struct secret *password)
{
    struct str who = {0};
    struct err e = {0};
    AUTO_BUF want = {0};
    buf_printf(&want, "dn:%.*s", STR_FMT(x->e.dn));
    switch (ldapmap_client_sasl(&l->settings, mechanism, l->login, password, l->arena, &who, &e)) {
    case LDAPMAP_SASL_YES:
        if (!str_eq(lint_fold(l, who), lint_fold(l, buf_view(&want))))
            found_identity(l, x, mechanism, who);
        break;
    case LDAPMAP_SASL_NO:
        lint_found(l, "sasl-password", x->e.dn, NULL, "the password is right, but the server cannot "
                   "check it by %s (%s): it must keep it in clear text or in the mechanism's own form, "
                   "and its authz-regexp must lead here (schema/sasl.ldif); else take %s out of "
                   "sasl_relay_mechanisms", mechanism, e.log, mechanism);
        break;
    case LDAPMAP_SASL_UNKNOWN_HERE:
        lint_note(l, "not proved: %s; Cyrus SASL on this machine does not have it (libsasl2-modules)",
                  mechanism);
        break;
    case LDAPMAP_SASL_CANNOT_SAY:
        lint_note(l, "not proved: %s: %s", mechanism, e.log);
        break;
    }
}

static void try_all(struct lint *l, const struct offered *o)
{
    const struct config_list *list = &l->cfg->sasl_relay_mechanisms;
    const struct lint_entry *x = map_get(l->by_name, lint_fold(l, str_from(l->login)));
    struct secret password = {0};
    struct err e = {0};
    if (!x)
        err_perm(&e, "no entry of a person has the name %s", l->login);
    if (!x || read_password(l, &password, &e) != 0 || prove_password(l, x, &password, &e) != 0) {
        lint_note(l, "not proved: sasl_relay_mechanisms: %s", e.log);
        secret_free(&password);
        return;
    }
    for (size_t i = 0; i < list->n; i++)
        if (is_offered(o, list->v[i]))
            try_mechanism(l, x, arena_strz(l->arena, list->v[i]), &password);
    secret_free(&password);
}

void lint_mechanisms(struct lint *l)
{
    static const char *const attrs[] = {"supportedSASLMechanisms", NULL};
    const struct config_list *list = &l->cfg->sasl_relay_mechanisms;
    struct offered o = {.l = l};
    struct err e = {0};
    if (list->n == 0)
        return;
    if (ldapmap_client_search(l->client, "", LDAPMAP_SCOPE_BASE, "(objectClass=*)", attrs, take_root,
                              &o, &e) != 0) {
        lint_note(l, "not proved: sasl_relay_mechanisms: %s", e.log);
        return;
    }
    for (size_t i = 0; i < list->n; i++)
        if (!is_offered(&o, list->v[i]))
            lint_found(l, "sasl-missing", STR("facteur.conf"), NULL, "sasl_relay_mechanisms names "
                       "%.*s, which the server does not offer", STR_FMT(str_head(list->v[i], 40)));
    if (l->login)
        try_all(l, &o);
    else
        lint_note(l, "not proved: that stored passwords serve sasl_relay_mechanisms; a login is needed "
                     "to try (--login NAME)");
}
