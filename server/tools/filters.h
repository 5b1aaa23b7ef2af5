/* The LDAP tables that facteur.conf names, and which attributes their filters look for. */
#ifndef FACTEUR_TOOLS_FILTERS_H
#define FACTEUR_TOOLS_FILTERS_H

#include "config/config.h"
#include "ldapmap/ldapmap.h"

#define TOOL_TABLES_MAX 64
#define TOOL_ATTRS_MAX 64

struct tool_table {
    const char *option;
    struct ldapmap_table *table;
};

struct tool_tables {
    struct tool_table v[TOOL_TABLES_MAX];
    size_t n;
    /* NULL-terminated: what the filters of alias maps, and of these and mailbox maps, compare with
     * a key; and what alias maps lead to. */
    const char *aliases[TOOL_ATTRS_MAX + 1], *mailboxes[TOOL_ATTRS_MAX + 1];
    const char *addresses[TOOL_ATTRS_MAX + 1], *targets[TOOL_ATTRS_MAX + 1];
};

/* 0, or -1 and an error that names file and line. */
int tool_tables_load(const struct config *cfg, const struct ldapmap_conn_settings *defaults,
                     struct arena *a, struct tool_tables *out, struct err *e);
void tool_tables_free(struct tool_tables *t);

/* Calls fn for each comparison of an attribute in a filter (RFC 4515); of extensible matches only for
 * those that a key goes into. */
typedef void (*tool_filter_fn)(void *arg, struct str attr, struct str value);
void tool_filter_walk(struct str filter, tool_filter_fn fn, void *arg);

/* Adds attr to a NULL-terminated list unless it is there (case ignored) or the list is full. */
void tool_attr_add(struct arena *a, const char *list[TOOL_ATTRS_MAX + 1], struct str attr);
/* (|(a=*)(b=*)) of such a list. */
const char *tool_any_filter(struct arena *a, const char *const *list);

#endif
