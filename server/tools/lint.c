/*
 * facteur directory lint: what in the directory would trouble mail, each with its entry and the LDIF
 * that mends it. What it prints is LDIF itself, with the findings as comments. It looks only.
 */
#include "tools/lint.h"
#include "mail/address.h"
#include "tools/output.h"
#include "tools/schema.h"
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

/* --- findings --- */

static void put_comment(struct buf *out, const char *check, struct str dn, struct str text)
{
    buf_printf(out, "# %s: %.*s: ", check, STR_FMT(dn));
    for (size_t i = 0; i < text.n; i++) /* a line end would end the comment */
        buf_byte(out, text.p[i] == '\n' || text.p[i] == '\r' ? '?' : text.p[i]);
    buf_byte(out, '\n');
}

void lint_found(struct lint *l, const char *check, struct str dn, const struct buf *ldif,
                const char *fmt, ...)
{
    AUTO_BUF text = {0};
    struct str record = ldif && ldif->n ? buf_view(ldif) : STR("");
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    l->findings++;
    if (!l->json) {
        put_comment(&l->out, check, dn, buf_view(&text));
        buf_str(&l->out, record);
        if (record.n == 0)
            buf_byte(&l->out, '\n');
        return;
    }
    buf_str(&l->out, l->findings > 1 ? STR(",{") : STR("{"));
    output_json_pair(&l->out, "check", str_from(check));
    output_json_pair(&l->out, "dn", dn);
    output_json_pair(&l->out, "text", buf_view(&text));
    output_json_pair(&l->out, "ldif", record);
    buf_byte(&l->out, '}');
}

void lint_note(struct lint *l, const char *fmt, ...)
{
    AUTO_BUF text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (!l->json) {
        buf_printf(&l->notes, "# %s\n", buf_z(&text));
        return;
    }
    if (l->notes.n)
        buf_byte(&l->notes, ',');
    output_json(&l->notes, buf_view(&text));
}

struct str lint_fold(struct lint *l, struct str s)
{
    struct str low = mail_fold_case(l->arena, str_trim(s));
    char *out = arena_alloc(l->arena, low.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < low.n; i++) {
        bool beside = n && strchr(",=+", out[n - 1]);
        if (low.p[i] != ' ' || (!beside && i + 1 < low.n && !strchr(",=+ ", low.p[i + 1])))
            out[n++] = low.p[i];
    }
    return (struct str){out, n};
}

const char *lint_real_name(struct lint *l, struct str attr)
{
    const char *name = map_get(l->names, lint_fold(l, attr));
    return name ? name : arena_strz(l->arena, attr);
}

const struct ldapmap_attr *lint_attr(const struct lint_entry *x, const char *name)
{
    return ldapmap_entry_attr(&x->e, name);
}

struct str lint_value(const struct lint_entry *x, const char *name)
{
    const struct ldapmap_attr *a = lint_attr(x, name);
    return a && a->count ? a->values[0] : (struct str){0};
}

/* --- the whole --- */

static void read_user_attrs(struct lint *l)
{
    struct str rest = l->cfg->user_attrs, piece;
    while (str_token(&rest, ",", &piece)) {
        ptrdiff_t eq = str_find(piece, '=');
        if (eq < 0)
            continue;
        const char *attr = arena_strz(l->arena, str_trim(str_head(piece, (size_t)eq)));
        struct str field = str_trim(str_skip(piece, (size_t)eq + 1));
        if (str_eq(field, STR("home")))
            l->home_attr = attr;
        else if (str_eq(field, STR("uid")))
            l->uid_attr = attr;
        else if (str_eq(field, STR("gid")))
            l->gid_attr = attr;
    }
    l->name_attr = arena_strz(l->arena, l->cfg->user_name_attribute);
}

/* "uid=amelie,ou=mail,…" of 100,000 entries are some hundred megabytes at most. */
static int read_entries(struct lint *l)
{
    const char *attrs[TOOL_ATTRS_MAX + 1] = {NULL};
    const char *const more[] = {l->home_attr, l->uid_attr, l->gid_attr, l->name_attr, "member",
                                "uniqueMember", "memberUid", "objectClass"};
    const char *const *lists[] = {l->tables.addresses, l->tables.targets,
                                  lint_account_attrs(l->cfg, l->arena)};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        tool_attr_add(l->arena, attrs, str_from(more[i]));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (const char *const *a = lists[i]; *a; a++)
            tool_attr_add(l->arena, attrs, str_from(*a));
    int r = ldapmap_client_search(l->client, l->settings.search_base.p, LDAPMAP_SCOPE_SUB,
                                  "(objectClass=*)", attrs, lint_take, l, &l->err);
    return r < 0 ? -1 : 0;
}

/* What filters compare is found in entries by the server's name for it, each attribute once. */
static void real_names(struct lint *l, const char *list[TOOL_ATTRS_MAX + 1])
{
    const char *real[TOOL_ATTRS_MAX + 1] = {NULL};
    for (const char **attr = list; *attr; attr++)
        tool_attr_add(l->arena, real, str_from(lint_real_name(l, str_from(*attr))));
    memcpy(list, real, sizeof real);
}

static int know_names(struct lint *l)
{
    if (schema_attributes(l->client, l->arena, l->names, &l->err) != 0)
        return -1;
    real_names(l, l->tables.aliases);
    real_names(l, l->tables.mailboxes);
    real_names(l, l->tables.addresses);
    return 0;
}

static int look(struct lint *l)
{
    if (access_settings(&l->access, l->cfg, l->arena, &l->settings, &l->err) != 0 ||
        tool_tables_load(l->cfg, &l->settings, l->arena, &l->tables, &l->err) != 0)
        return -1;
    read_user_attrs(l);
    if (!l->home_attr || !l->uid_attr || !l->gid_attr)
        return err_perm(&l->err, "user_attrs: home, uid and gid must all be named");
    if (ldapmap_client_open(&l->settings, &l->client, &l->err) != 0 || lint_server(l) != 0 ||
        know_names(l) != 0 || read_entries(l) != 0)
        return -1;
    lint_addresses(l);
    lint_persons(l);
    lint_accounts(l);
    if (lint_members(l) != 0 || lint_indexes(l) != 0)
        return -1;
    lint_rights(l);
    lint_transport(l);
    lint_mechanisms(l);
    return 0;
}

static void print(const struct lint *l)
{
    if (l->json)
        printf("{\"findings\":[%.*s],\"notes\":[%.*s]}\n", STR_FMT(buf_view(&l->out)),
               STR_FMT(buf_view(&l->notes)));
    else
        printf("%.*s%.*s# %zu findings\n", STR_FMT(buf_view(&l->out)), STR_FMT(buf_view(&l->notes)),
               l->findings);
}

static void maps_each(struct lint *l, bool make)
{
    struct map **maps[] = {&l->by_dn, &l->by_name, &l->by_uid, &l->by_home, &l->by_alias,
                           &l->by_mailbox, &l->domains, &l->names};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        if (make)
            *maps[i] = map_new();
        else
            map_free(*maps[i], NULL);
    }
}

/* 0: nothing found; 1: findings; 2: it could not be looked at. */
int tool_directory_lint(const char *file, int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"login", required_argument, NULL, 'l'},
                                            {"login-password-file", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    struct lint l = {0};
    bool bad = false;
    int c;
    while (!bad && (c = getopt_long(argc, argv, ACCESS_LETTERS, options, NULL)) != -1) {
        if (c == 'j')
            l.json = true;
        else if (c == 'l')
            l.login = optarg;
        else if (c == 'f')
            l.login_password_file = optarg;
        else if (!access_option(&l.access, c, optarg, &bad))
            bad = true;
    }
    if (bad || optind != argc)
        return tool_fail("directory lint", "[--json] [--login NAME [--login-password-file FILE]] "
                                           ACCESS_USAGE) + 1;
    if (tool_config("directory lint", file, &l.cfg) != 0)
        return 2;
    l.arena = arena_new(65536);
    l.last = &l.first;
    maps_each(&l, true);
    int r = look(&l);
    if (r == 0)
        print(&l);
    else
        tool_fail("directory lint", "%s", l.err.log);
    maps_each(&l, false);
    ldapmap_client_close(l.client);
    tool_tables_free(&l.tables);
    ldapmap_conn_wipe(&l.settings);
    config_free(l.cfg);
    buf_free(&l.out);
    buf_free(&l.notes);
    arena_free(l.arena);
    return r != 0 ? 2 : l.findings ? 1 : 0;
}
