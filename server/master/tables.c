/* Trying the ldap_table(5) files in "facteurd -t", in the process that checks and then ends: their
 * text is parsed, no connection is made. */
#include "ipc/bundle.h"
#include "ldapmap/ldapmap.h"
#include "master/material.h"


static void check_one(const struct ldapmap_conn_settings *defaults, struct str file,
                      struct str text, struct findings *f)
{
    struct ldapmap_table *table = NULL;
    struct err e = {0};
    if (ldapmap_table_parse(text, file, defaults, &table, &e) != 0)
        finding_error(f, "%s", e.log);
    ldapmap_table_free(table);
}

void tables_check(const struct material *m, struct findings *f)
{
    const struct str map = STR("map:");
    struct bundle b = {0};
    struct err e = {0};
    struct str name, bytes;
    size_t at = 0;
    struct ldapmap_conn_settings defaults;
    AUTO_ARENA a = arena_new(512);
    if (m->bundle[KIND_DIRECTORY] < 0)
        return;
    ldapmap_conn_init(&defaults, a);
    if (m->cfg->ldap_search_base.n)
        defaults.search_base = arena_str(a, m->cfg->ldap_search_base);
    if (bundle_open(m->bundle[KIND_DIRECTORY], &b, &e) != 0) {
        finding_error(f, "%s", e.log);
        return;
    }
    while (bundle_next(&b, &at, &name, &bytes))
        if (str_starts(name, map))
            check_one(&defaults, str_skip(name, map.n), bytes, f);
    bundle_close(&b);
}
