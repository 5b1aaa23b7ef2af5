/* Reading everything, and the bundles. */
#include "master/material.h"
#include "ipc/bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* --- the directory's tables --- */

static bool has_piece(const struct buf *b, struct str name)
{
    struct bundle view = {b->p, b->n};
    struct str bytes;
    return bundle_get(&view, name, &bytes);
}

static void add_table(const struct material *m, const char *option, struct str path,
                      struct buf *out, struct findings *f)
{
    AUTO_FREE char *file = mem_strdup(path);
    AUTO_BUF piece = {0};
    AUTO_BUF text = {0};
    buf_printf(&piece, "map:%s", file);
    if (has_piece(out, buf_view(&piece)))
        return;
    if (file_read(m, option, file, true, &text, f) == 0)
        bundle_add(out, buf_view(&piece), buf_view(&text));
    mem_wipe(text.p, text.n);
}

/* An element is ldap:FILE, TYPE:SOMETHING of another kind, or a plain word. Restrictions have places
 * of policy servers among them, and are checked as a whole elsewhere. */
static void add_tables_of(const struct material *m, const struct config_option *o,
                          struct buf *out, struct findings *f)
{
    struct str rest = m->cfg->value[o - config_options], piece;
    bool rules = strcmp(o->type, "RULES") == 0;
    while (config_map_piece(&rest, &piece)) {
        if (str_starts(piece, STR("ldap:")))
            add_table(m, o->name, str_skip(piece, 5), out, f);
        else if (config_map_file(piece).n)
            add_table(m, o->name, config_map_file(piece), out, f);
        else if (!rules && str_find(piece, ':') >= 0 && !str_starts(piece, STR("static:")) &&
                 !str_starts(piece, STR("inline:")))
            finding_error(f, "%s: \"%.*s\": only ldap:FILE, texthash:FILE, inline:{KEY=VALUE}, "
                          "static:VALUE and plain words are known",
                          o->name, STR_FMT(str_head(piece, 200)));
    }
}

static void add_tables(const struct material *m, struct buf *out, struct findings *f)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (strcmp(config_options[i].type, "MAP") == 0 ||
            strcmp(config_options[i].type, "RULES") == 0)
            add_tables_of(m, &config_options[i], out, f);
}

/* The files libldap opens itself. */
static void check_ldap_files(const struct material *m, struct findings *f)
{
    const struct config *c = m->cfg;
    const struct {
        const char *name;
        struct str path;
        bool secret;
    } files[] = {
        {"ldap_tls_ca_cert_file", c->ldap_tls_ca_cert_file, false},
        {"ldap_tls_cert", c->ldap_tls_cert, false},
        {"ldap_tls_key", c->ldap_tls_key, true},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        AUTO_FREE char *path = mem_strdup(files[i].path);
        if (files[i].path.n)
            file_check(m, files[i].name, path, files[i].secret, f);
    }
}

void secret_add(const struct material *m, const char *option, struct str said, struct str file,
                struct buf *out, struct findings *f)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    AUTO_BUF path = {0};
    AUTO_BUF text = {0};
    AUTO_BUF option_file = {0};
    buf_printf(&option_file, "%s_file", option);
    if (file.n) {
        buf_str(&path, file);
        if (said.n)
            finding_error(f, "%s: %s is set too; which is it?", buf_z(&option_file), option);
    } else if (credentials && said.n == 0) {
        buf_printf(&path, "%s/%s", credentials, option);
        if (access(buf_z(&path), F_OK) != 0)
            return;
    } else {
        return;
    }
    if (file_read(m, buf_z(&option_file), buf_z(&path), true, &text, f) != 0)
        return;
    struct str rest = buf_view(&text), line = {0};
    if (!str_line(&rest, &line) || line.n == 0 || line.n > 1000)
        finding_error(f, "%s: %s: the first line must be a password", buf_z(&option_file),
                      buf_z(&path));
    else
        bundle_add(out, str_from(option), line);
    mem_wipe(text.p, text.n);
}

/* --- towards other servers --- */

/* Levels that look at certificates need to know whom to believe. */
static void add_authorities(const struct material *m, struct buf *out, struct findings *f)
{
    enum { VERIFY = 3, SECURE = 4 }; /* of smtp_tls_security_level's choices */
    int level = m->cfg->smtp_tls_security_level;
    AUTO_FREE char *file = mem_strdup(m->cfg->smtp_tls_CAfile);
    AUTO_BUF text = {0};
    if (file[0] == '\0' && (level == VERIFY || level == SECURE || m->cfg->smtp_mta_sts))
        finding_error(f, "smtp_tls_CAfile: is needed for smtp_tls_security_level = verify or secure, "
                         "and for smtp_mta_sts, as /etc/ssl/certs/ca-certificates.crt");
    else if (file[0] && file_read(m, "smtp_tls_CAfile", file, false, &text, f) == 0)
        bundle_add(out, STR("authorities"), buf_view(&text));
}

/* Without the file of the default, answers count as unsigned; a file that was named, or a level that
 * lives by signatures, needs it. */
static void add_anchors(const struct material *m, struct buf *out, struct findings *f)
{
    enum { DANE = 5 };
    const struct config_option *o = config_find(STR("dns_trust_anchor"));
    bool needed = m->cfg->source[o - config_options].p || m->cfg->smtp_tls_security_level >= DANE;
    AUTO_FREE char *file = mem_strdup(m->cfg->dns_trust_anchor);
    AUTO_BUF text = {0};
    if (file[0] == '\0' && m->cfg->smtp_tls_security_level >= DANE)
        finding_error(f, "dns_trust_anchor: is needed for smtp_tls_security_level = dane");
    if (file[0] == '\0' || (!needed && access(file, F_OK) != 0))
        return;
    if (file_read(m, "dns_trust_anchor", file, false, &text, f) == 0)
        bundle_add(out, STR("anchors"), buf_view(&text));
}

/* For a trial: lists whose values the relay can judge. That one cannot be read was told of the directory
 * program's bundle. */
static void add_lists(const struct material *m, const char *option, struct buf *out)
{
    struct findings told = {0};
    struct str rest = m->cfg->value[config_find(str_from(option)) - config_options], piece;
    while (config_map_piece(&rest, &piece))
        if (!str_starts(piece, STR("ldap:")) && config_map_file(piece).n)
            add_table(m, option, config_map_file(piece), out, &told);
    findings_free(&told);
}

/* --- bundles --- */

static void make_bundle(struct material *m, enum kind k, struct findings *f)
{
    AUTO_BUF b = {0};
    AUTO_BUF conf = {0};
    config_export(m->cfg, kind_program(k), &conf);
    bundle_add(&b, STR("facteur.conf"), buf_view(&conf));
    if (k == KIND_DIRECTORY) {
        add_tables(m, &b, f);
        secret_add(m, "ldap_bind_pw", m->cfg->ldap_bind_pw, m->cfg->ldap_bind_pw_file, &b, f);
    }
    if (k == KIND_RELAY) {
        add_authorities(m, &b, f);
        add_anchors(m, &b, f);
    }
    if (k == KIND_RELAY && m->trial) {
        add_lists(m, "transport_maps", &b);
        add_lists(m, "smtp_tls_policy_maps", &b);
    }
    if (k == KIND_FILTER)
        tokens_add(m, &b, f);
    if (k == KIND_SMTP)
        certificates_add(m, &b, f);
    if (k == KIND_ACCESS) { /* the findings about certificates were made once */
        struct findings again = {0};
        certificates_add(m, &b, &again);
        findings_free(&again);
    }
    if (f->errors == 0 && (m->bundle[k] = bundle_memfd(&b)) < 0)
        finding_error(f, "memfd: %s", strerror(errno));
    mem_wipe(conf.p, conf.n);
    mem_wipe(b.p, b.n);
}

static int load_config(struct material *m, const char *file, struct findings *f)
{
    struct err e = {0};
    m->file = realpath(file, NULL);
    if (!m->file) {
        finding_error(f, "%s: %s", file, strerror(errno));
        return -1;
    }
    m->dir = mem_strdup(str_from(m->file));
    *strrchr(m->dir, '/') = '\0';
    file_check(m, "facteur.conf", m->file, false, f);
    if (f->errors)
        return -1;
    if (config_load(m->file, &m->cfg, &e) != 0) {
        finding_error(f, "%s", e.log);
        return -1;
    }
    return 0;
}

struct material *material_load(const char *file, bool trial, struct findings *f)
{
    struct material *m = MEM_NEW(struct material);
    m->trial = trial;
    m->own_uids = geteuid() == 0;
    f->about = m;
    for (int k = 0; k < KINDS; k++)
        m->bundle[k] = -1;
    if (load_config(m, file, f) != 0) {
        material_free(m);
        return NULL;
    }
    users_resolve(m, f);
    if (m->cfg->ldap_bind_pw.n || m->cfg->oauth2_client_secret.n)
        file_check(m, "facteur.conf", m->file, true, f);
    check_ldap_files(m, f);
    milters_check(m, f);
    relaying_check(m, f);
    balancers_check(m, f);
    tokens_check(m, f);
    for (int k = 0; k < KINDS; k++)
        make_bundle(m, (enum kind)k, f);
    return m;
}

void material_free(struct material *m)
{
    if (!m)
        return;
    for (int k = 0; k < KINDS; k++)
        fd_closep(&m->bundle[k]);
    config_free(m->cfg);
    free(m->file);
    free(m->dir);
    free(m);
}
