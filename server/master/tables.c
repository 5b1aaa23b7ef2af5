/* Trying what maps are made of in "facteurd -t", in the process that checks and then ends: tables
 * and lists are parsed as the directory program will, no connection is made. */
#include "base/map.h"
#include "ldapmap/ldapmap.h"
#include "master/material.h"

struct tables {
    const struct material *m;
    struct arena *arena;
    struct ldapmap_conn_settings conn; /* what a table does not say itself */
    struct map *files;                 /* those looked at, by type and path */
    struct findings *f;
};

static void read_settings(struct tables *t)
{
    struct config_setting all[CONFIG_LDAP_SETTINGS];
    size_t n = config_ldap_settings(t->m->cfg, t->arena, all);
    struct err e = {0};
    ldapmap_conn_init(&t->conn, t->arena);
    for (size_t i = 0; i < n; i++)
        if (ldapmap_conn_set(&t->conn, t->arena, str_from(all[i].name), all[i].value, &e) != 0)
            finding_error(t->f, "ldap_%s", e.log);
}

static void check_table(struct tables *t, const char *option, struct str file, struct str text)
{
    struct ldapmap_table *table = NULL;
    struct err e = {0};
    if (ldapmap_table_parse(text, file, &t->conn, &table, &e) != 0)
        finding_error(t->f, "%s: %s", option, e.log);
    ldapmap_table_free(table);
}

static void check_list(struct tables *t, const char *option, struct str file, struct str text)
{
    struct str key, value;
    struct err e = {0};
    unsigned line = 0;
    int r;
    while ((r = config_map_text_next(&text, &line, &key, &value, &e)) == 1)
        continue;
    if (r != 0)
        finding_error(t->f, "%s: %.*s: %s", option, STR_FMT(file), e.log);
}

static void check_inline(struct tables *t, const char *option, struct str braced)
{
    struct str rest, key, value;
    struct err e = {0};
    int r = 0;
    if (!config_map_braced(braced, &rest))
        r = err_perm(&e, "inline: needs {KEY=VALUE …}");
    else
        while ((r = config_map_inline_next(&rest, &key, &value, &e)) == 1)
            continue;
    if (r != 0)
        finding_error(t->f, "%s: %s", option, e.log);
}

/* That it cannot be read was told when everything was. */
static void check_file(struct tables *t, const char *option, struct str piece)
{
    struct str file = config_map_file(piece);
    struct findings told = {0};
    AUTO_FREE char *path = mem_strdup(file);
    AUTO_BUF text = {0};
    if (map_put(t->files, piece, t))
        return;
    if (file_read(t->m, option, path, true, &text, &told) == 0)
        (str_starts(piece, STR("ldap:")) ? check_table : check_list)(t, option, file, buf_view(&text));
    mem_wipe(text.p, text.n);
    findings_free(&told);
}

/* A source of another type ("regexp:...") is told of where the files are read. */
static bool is_nothing(const struct config_option *o, struct str piece)
{
    if (strcmp(o->type, "RULES") == 0 || str_find(piece, ':') >= 0)
        return false;
    return !config_map_takes_words(o) || !config_map_is_word(piece);
}

static void check_option(struct tables *t, const struct config_option *o)
{
    struct str rest = t->m->cfg->value[o - config_options], piece;
    while (config_map_piece(&rest, &piece)) {
        if (config_map_file(piece).n)
            check_file(t, o->name, piece);
        else if (str_starts(piece, STR("inline:")))
            check_inline(t, o->name, str_skip(piece, 7));
        else if (is_nothing(o, piece))
            finding_error(t->f, "%s: \"%.*s\" is %sno table: ldap:FILE, texthash:FILE, "
                          "inline:{KEY=VALUE} or static:VALUE",
                          o->name, STR_FMT(str_head(piece, 200)),
                          config_map_takes_words(o) ? "no domain and " : "");
    }
}

/* A domain that an option names in words, and that one before it names too. */
static void check_class(struct tables *t, struct map *seen, const char *name)
{
    struct str rest = t->m->cfg->value[config_find(str_from(name)) - config_options], piece;
    while (config_map_piece(&rest, &piece)) {
        if (!config_map_is_word(piece))
            continue;
        struct str domain = arena_str(t->arena, piece);
        str_lower((char *)domain.p, domain.n);
        const char *other = map_get(seen, domain);
        if (other && other != name)
            finding_warning(t->f, "%s: %.*s stands in %s too, and only that one holds", name,
                            STR_FMT(str_head(domain, 200)), other);
        else
            map_put(seen, domain, (void *)name);
    }
}

/* In the order in which the directory program looks for a domain's class. */
static void check_classes(struct tables *t)
{
    struct map *seen = map_new();
    check_class(t, seen, "mydestination");
    check_class(t, seen, "virtual_mailbox_domains");
    check_class(t, seen, "virtual_alias_domains");
    check_class(t, seen, "relay_domains");
    map_free(seen, NULL);
}

void tables_check(const struct material *m, struct findings *f)
{
    AUTO_ARENA a = arena_new(2048);
    struct tables t = {.m = m, .arena = a, .files = map_new(), .f = f};
    read_settings(&t);
    for (size_t i = 0; i < config_option_count; i++)
        if (strcmp(config_options[i].type, "MAP") == 0 ||
            strcmp(config_options[i].type, "RULES") == 0)
            check_option(&t, &config_options[i]);
    check_classes(&t);
    map_free(t.files, NULL);
    ldapmap_conn_wipe(&t.conn);
}
