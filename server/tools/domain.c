/* facteur domain list: the domains that are hosted, and how many addresses the directory has in each. */
#include "base/map.h"
#include "tools/access.h"
#include "tools/filters.h"
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct domains {
    struct map *counts; /* domain to size_t */
    const struct tool_tables *tables;
};

static size_t *count_of(struct domains *d, struct str domain)
{
    AUTO_FREE char *low = mem_strdup(domain);
    str_lower(low, domain.n);
    size_t *n = map_get(d->counts, str_from(low));
    if (!n) {
        n = MEM_NEW(size_t);
        map_put(d->counts, str_from(low), n);
    }
    return n;
}

static void note(void *arg, const struct ldapmap_entry *entry)
{
    struct domains *d = arg;
    for (const char *const *attr = d->tables->addresses; *attr; attr++) {
        const struct ldapmap_attr *a = ldapmap_entry_attr(entry, *attr);
        for (size_t i = 0; a && i < a->count; i++) {
            ptrdiff_t at = str_rfind(a->values[i], '@');
            if (at >= 0 && (size_t)at + 1 < a->values[i].n)
                ++*count_of(d, str_skip(a->values[i], (size_t)at + 1));
        }
    }
}

static void add_plain(struct domains *d, const struct config *cfg, const char *option)
{
    struct str rest = cfg->value[config_find(str_from(option)) - config_options], piece;
    while (config_map_piece(&rest, &piece))
        if (str_find(piece, ':') < 0 && str_find(piece, '/') < 0)
            count_of(d, piece);
}

static int compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void print(const struct domains *d)
{
    size_t n = map_count(d->counts), at = 0, i = 0;
    struct str *names = mem_array(n + 1, sizeof *names), key;
    void *value;
    while (map_next(d->counts, &at, &key, &value))
        names[i++] = key;
    qsort(names, n, sizeof *names, compare);
    for (i = 0; i < n; i++)
        printf("%.*s addresses=%zu\n", STR_FMT(names[i]), *(size_t *)map_get(d->counts, names[i]));
    free(names);
}

static int list(const struct access_options *access, const struct config *cfg, struct err *e)
{
    AUTO_ARENA a = arena_new(4096);
    struct ldapmap_conn_settings settings = {0};
    struct ldapmap_client *client = NULL;
    struct tool_tables tables = {0};
    int r = -1;
    if (access_settings(access, cfg, a, &settings, e) == 0 &&
        tool_tables_load(cfg, &settings, a, &tables, e) == 0 &&
        ldapmap_client_open(&settings, &client, e) == 0) {
        struct domains d = {map_new(), &tables};
        add_plain(&d, cfg, "virtual_alias_domains");
        add_plain(&d, cfg, "virtual_mailbox_domains");
        r = ldapmap_client_search(client, settings.search_base.p, LDAPMAP_SCOPE_SUB,
                                  tool_any_filter(a, tables.addresses), tables.addresses, note, &d, e);
        if (r >= 0)
            print(&d);
        map_free(d.counts, free);
    }
    ldapmap_client_close(client);
    tool_tables_free(&tables);
    ldapmap_conn_wipe(&settings);
    return r < 0 ? -1 : 0;
}

int tool_domain(const char *file, int argc, char **argv)
{
    struct access_options access = {0};
    struct config *cfg;
    struct err e = {0};
    bool bad = false;
    int c;
    while (!bad && (c = getopt(argc, argv, ACCESS_LETTERS)) != -1)
        bad = !access_option(&access, c, optarg, &bad) || bad;
    if (bad || argc - optind != 1 || strcmp(argv[optind], "list") != 0)
        return tool_fail("domain", "list " ACCESS_USAGE) + 1;
    if (tool_config("domain", file, &cfg) != 0)
        return 1;
    int r = list(&access, cfg, &e);
    config_free(cfg);
    return r == 0 ? 0 : tool_fail("domain", "%s", e.log);
}
