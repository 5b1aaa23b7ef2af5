/* Connection settings: their names, their defaults, and the rules for their values. */
#include "ldapmap/internal.h"

#include <ldap.h>
#include <limits.h>
#include <stddef.h>

enum kind { KIND_TEXT, KIND_BOOL, KIND_NUMBER, KIND_SERVERS, KIND_BIND, KIND_SCOPE, KIND_SECRET, KIND_MECHS };

struct setting {
    const char *name;
    enum kind kind;
    size_t at; /* offset in struct ldapmap_conn_settings */
    uint32_t min, max;
};

#define AT(field) offsetof(struct ldapmap_conn_settings, field)

static const struct setting settings[] = {
    {"server_host", KIND_SERVERS, 0, 0, 0},
    {"server_port", KIND_NUMBER, AT(server_port), 1, 65535},
    {"timeout", KIND_NUMBER, AT(timeout), 1, 86400},
    {"version", KIND_NUMBER, AT(version), 2, 3},
    {"bind", KIND_BIND, 0, 0, 0},
    {"bind_dn", KIND_TEXT, AT(bind_dn), 0, 0},
    {"bind_pw", KIND_SECRET, 0, 0, 0},
    {"sasl_mechs", KIND_MECHS, 0, 0, 0},
    {"sasl_authz_id", KIND_TEXT, AT(sasl_authz_id), 0, 0},
    {"start_tls", KIND_BOOL, AT(start_tls), 0, 0},
    {"tls_require_cert", KIND_BOOL, AT(tls_require_cert), 0, 0},
    {"tls_ca_cert_dir", KIND_TEXT, AT(tls_ca_cert_dir), 0, 0},
    {"tls_ca_cert_file", KIND_TEXT, AT(tls_ca_cert_file), 0, 0},
    {"tls_cert", KIND_TEXT, AT(tls_cert), 0, 0},
    {"tls_key", KIND_TEXT, AT(tls_key), 0, 0},
    {"tls_random_file", KIND_TEXT, AT(tls_random_file), 0, 0},
    {"tls_cipher_suite", KIND_TEXT, AT(tls_cipher_suite), 0, 0},
    {"dereference", KIND_NUMBER, AT(dereference), 0, 3},
    {"chase_referrals", KIND_BOOL, AT(chase_referrals), 0, 0},
    {"debuglevel", KIND_NUMBER, AT(debuglevel), 0, INT_MAX},
    {"search_base", KIND_TEXT, AT(search_base), 0, 0},
    {"scope", KIND_SCOPE, 0, 0, 0},
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static const struct setting *find_setting(struct str name)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (str_eq(name, str_from(settings[i].name)))
            return &settings[i];
    return NULL;
}

const char *ldapmap_conn_name(size_t i)
{
    return i < SETTINGS ? settings[i].name : NULL;
}

int ldapmap_number(struct str name, struct str value, uint32_t min, uint32_t max, uint32_t *out,
                   struct err *e)
{
    uint32_t n;
    if (str_u32(value, &n) < 0 || n < min || n > max)
        return err_perm(e, "%.*s: a number from %u to %u is needed, not \"%.*s\"", STR_FMT(name),
                        (unsigned)min, (unsigned)max, STR_FMT(str_head(value, 64)));
    *out = n;
    return 0;
}

static int set_bool(struct str name, struct str value, bool *out, struct err *e)
{
    bool yes = str_caseeq(value, STR("yes"));
    if (!yes && !str_caseeq(value, STR("no")))
        return err_perm(e, "%.*s: yes or no is needed, not \"%.*s\"", STR_FMT(name),
                        STR_FMT(str_head(value, 64)));
    *out = yes;
    return 0;
}

/* One word of server_host as a URL: a URL stays, a host without a port gets server_port. */
static struct str server_url(struct arena *a, struct str word, uint32_t port)
{
    char *z = arena_strz(a, word);
    if (ldap_is_ldap_url(z))
        return (struct str){z, word.n};
    if (str_rfind(word, ':') >= 0)
        return arena_printf(a, "ldap://%s", z);
    return arena_printf(a, "ldap://%s:%u", z, (unsigned)port);
}

static int set_servers(struct ldapmap_conn_settings *s, struct arena *a, struct str value,
                       struct err *e)
{
    struct str word;
    size_t count = 0;
    while (str_token(&value, ", \t\r\n", &word)) {
        if (count == LDAPMAP_SERVERS_MAX)
            return err_perm(e, "server_host: more than %d servers", LDAPMAP_SERVERS_MAX);
        struct str url = server_url(a, word, s->server_port);
        LDAPURLDesc *parsed = NULL;
        int rc = ldap_url_parse(url.p, &parsed);
        if (rc != LDAP_URL_SUCCESS)
            return err_perm(e, "server_host: \"%.*s\" is neither a host nor an LDAP URL",
                            STR_FMT(str_head(word, 128)));
        ldap_free_urldesc(parsed);
        s->servers[count++] = url;
    }
    if (count == 0)
        return err_perm(e, "server_host: a host or an LDAP URL is needed");
    s->server_count = count;
    return 0;
}

static int set_bind(struct ldapmap_conn_settings *s, struct str value, struct err *e)
{
    if (str_caseeq(value, STR("yes")) || str_caseeq(value, STR("simple")))
        s->bind = LDAPMAP_BIND_SIMPLE;
    else if (str_caseeq(value, STR("no")) || str_caseeq(value, STR("none")))
        s->bind = LDAPMAP_BIND_NONE;
    else if (str_caseeq(value, STR("sasl")))
        s->bind = LDAPMAP_BIND_SASL;
    else
        return err_perm(e, "bind: yes, simple, sasl, no or none is needed, not \"%.*s\"",
                        STR_FMT(str_head(value, 64)));
    return 0;
}

/* The others would need a password in a form that this side must not hold. */
static int set_mechs(struct ldapmap_conn_settings *s, struct arena *a, struct str value,
                     struct err *e)
{
    if (!str_caseeq(str_trim(value), STR("EXTERNAL")))
        return err_perm(e, "sasl_mechs: EXTERNAL is the only mechanism here, not \"%.*s\"",
                        STR_FMT(str_head(value, 64)));
    s->sasl_mechs = arena_str(a, STR("EXTERNAL"));
    return 0;
}

static int set_scope(struct ldapmap_conn_settings *s, struct str value, struct err *e)
{
    if (str_caseeq(value, STR("sub")))
        s->scope = LDAPMAP_SCOPE_SUB;
    else if (str_caseeq(value, STR("one")))
        s->scope = LDAPMAP_SCOPE_ONE;
    else if (str_caseeq(value, STR("base")))
        s->scope = LDAPMAP_SCOPE_BASE;
    else
        return err_perm(e, "scope: sub, one or base is needed, not \"%.*s\"",
                        STR_FMT(str_head(value, 64)));
    return 0;
}

static int set_secret(struct secret *to, struct str value, struct err *e)
{
    struct secret copy = {.p = NULL};
    if (value.n > 0) {
        copy = secret_copy(value);
        if (copy.p == NULL)
            return err_temp(e, "bind_pw: guarded memory cannot be had");
    }
    secret_free(to);
    *to = copy;
    return 0;
}

void ldapmap_conn_init(struct ldapmap_conn_settings *s, struct arena *a)
{
    *s = (struct ldapmap_conn_settings){
        .server_count = 1,
        .server_port = LDAP_PORT,
        .timeout = 10,
        .version = 3,
        .bind = LDAPMAP_BIND_SIMPLE,
        .scope = LDAPMAP_SCOPE_SUB,
    };
    s->servers[0] = arena_str(a, STR("ldap://localhost:389"));
    s->sasl_mechs = arena_str(a, STR("EXTERNAL"));
}

void ldapmap_conn_wipe(struct ldapmap_conn_settings *s)
{
    secret_free(&s->bind_pw);
    s->bind_pw = (struct secret){.p = NULL};
}

int ldapmap_conn_set(struct ldapmap_conn_settings *s, struct arena *a, struct str name,
                     struct str value, struct err *e)
{
    const struct setting *o = find_setting(name);
    if (o == NULL) {
        struct str near = ldapmap_nearest(name, ldapmap_conn_name);
        return err_perm(e, "unknown name \"%.*s\" (did you mean %.*s?)",
                        STR_FMT(str_head(name, 64)), STR_FMT(near));
    }
    if (memchr(value.p ? value.p : "", '\0', value.n) != NULL)
        return err_perm(e, "%s: a NUL byte in the value", o->name);
    char *field = (char *)s + o->at;
    switch (o->kind) {
    case KIND_TEXT:
        *(struct str *)(void *)field = arena_str(a, value);
        return 0;
    case KIND_BOOL:
        return set_bool(name, value, (bool *)(void *)field, e);
    case KIND_NUMBER:
        return ldapmap_number(name, value, o->min, o->max, (uint32_t *)(void *)field, e);
    case KIND_SERVERS:
        return set_servers(s, a, value, e);
    case KIND_BIND:
        return set_bind(s, value, e);
    case KIND_SCOPE:
        return set_scope(s, value, e);
    case KIND_MECHS:
        return set_mechs(s, a, value, e);
    case KIND_SECRET:
        break;
    }
    return set_secret(&s->bind_pw, value, e);
}

int ldapmap_conn_copy(struct ldapmap_conn_settings *to, struct arena *a,
                      const struct ldapmap_conn_settings *from, struct err *e)
{
    *to = *from;
    to->bind_pw = (struct secret){.p = NULL};
    to->sasl_mechs = arena_str(a, from->sasl_mechs);
    for (size_t i = 0; i < from->server_count; i++)
        to->servers[i] = arena_str(a, from->servers[i]);
    for (size_t i = 0; i < SETTINGS; i++) {
        if (settings[i].kind != KIND_TEXT)
            continue;
        struct str *text = (struct str *)(void *)((char *)to + settings[i].at);
        if (text->p != NULL)
            *text = arena_str(a, *text);
    }
    return set_secret(&to->bind_pw, (struct str){from->bind_pw.p, from->bind_pw.n}, e);
}

static bool same_tls(const struct ldapmap_conn_settings *a, const struct ldapmap_conn_settings *b)
{
    return a->start_tls == b->start_tls && a->tls_require_cert == b->tls_require_cert &&
           str_eq(a->tls_ca_cert_dir, b->tls_ca_cert_dir) &&
           str_eq(a->tls_ca_cert_file, b->tls_ca_cert_file) && str_eq(a->tls_cert, b->tls_cert) &&
           str_eq(a->tls_key, b->tls_key) && str_eq(a->tls_random_file, b->tls_random_file) &&
           str_eq(a->tls_cipher_suite, b->tls_cipher_suite);
}

static bool same_bind(const struct ldapmap_conn_settings *a, const struct ldapmap_conn_settings *b)
{
    if (a->bind != b->bind)
        return false;
    if (a->bind == LDAPMAP_BIND_SASL)
        return str_eq(a->sasl_mechs, b->sasl_mechs) && str_eq(a->sasl_authz_id, b->sasl_authz_id);
    return a->bind == LDAPMAP_BIND_NONE ||
           (str_eq(a->bind_dn, b->bind_dn) && a->bind_pw.n == b->bind_pw.n &&
            (a->bind_pw.n == 0 || secret_eq((struct str){a->bind_pw.p, a->bind_pw.n},
                                            (struct str){b->bind_pw.p, b->bind_pw.n})));
}

bool ldapmap_conn_same(const struct ldapmap_conn_settings *a, const struct ldapmap_conn_settings *b)
{
    if (a->server_count != b->server_count || a->timeout != b->timeout ||
        a->version != b->version || a->dereference != b->dereference ||
        a->chase_referrals != b->chase_referrals || a->debuglevel != b->debuglevel)
        return false;
    for (size_t i = 0; i < a->server_count; i++)
        if (!str_eq(a->servers[i], b->servers[i]))
            return false;
    return same_bind(a, b) && same_tls(a, b);
}

struct str ldapmap_nearest(struct str name, const char *(*nth)(size_t i))
{
    size_t best = SIZE_MAX;
    struct str out = str_from(nth(0));
    for (size_t i = 0; nth(i) != NULL; i++) {
        size_t d = str_distance(name, str_from(nth(i)));
        if (d < best) {
            best = d;
            out = str_from(nth(i));
        }
    }
    return out;
}
