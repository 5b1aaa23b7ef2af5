/* What the files of this room share with each other and with nobody else. */
#ifndef FACTEUR_LDAPMAP_INTERNAL_H
#define FACTEUR_LDAPMAP_INTERNAL_H

#include "ldapmap/ldapmap.h"

/* Which parts of key and value the templates of one table need. They are gathered over all three
 * templates: a part that only result_format needs suppresses the search too. */
enum ldapmap_part {
    PART_KEY_DOMAIN = 1,
    PART_KEY_USER = 2,
    PART_VALUE_DOMAIN = 4,
    PART_VALUE_USER = 8
};

struct ldapmap_parts {
    unsigned need;   /* enum ldapmap_part */
    unsigned labels; /* highest of %1 to %9 */
};

/* One word of "domain": a name, folded; "!" before it turns its meaning, "static:" matches all. */
struct ldapmap_domain {
    struct str name;
    bool negated;
    bool any;
};

struct ldapmap_table {
    struct arena *arena;
    struct str name;
    struct ldapmap_conn_settings conn;
    struct str query_filter, result_format;
    struct ldapmap_parts parts;
    bool dynamic_base; /* then a base that is not there means that the key is not there */
    struct ldapmap_domain *domains;
    size_t domain_count;
    bool has_domains;
    /* NULL-terminated: terminal, leaf, ordinary, then special result attributes. */
    const char **attrs;
    size_t attr_count, terminal_end, leaf_end, ordinary_end;
    uint32_t recursion_limit, expansion_limit, size_limit;
};

/* settings.c */
int ldapmap_conn_copy(struct ldapmap_conn_settings *to, struct arena *a,
                      const struct ldapmap_conn_settings *from, struct err *e);
const char *ldapmap_conn_name(size_t i); /* the i-th name, NULL past the last */
int ldapmap_number(struct str name, struct str value, uint32_t min, uint32_t max, uint32_t *out,
                   struct err *e);
struct str ldapmap_nearest(struct str name, const char *(*nth)(size_t i));

/* expand.c */
int ldapmap_template_check(struct str name, struct str text, bool is_result,
                           struct ldapmap_parts *parts, bool *dynamic, struct err *e);
typedef int ldapmap_escape_fn(struct buf *out, struct str value);
/* A template for a key (base, filter): false when the key lacks a part. */
bool ldapmap_expand_key(const struct ldapmap_parts *parts, struct str text, struct str key,
                        ldapmap_escape_fn *escape, struct buf *out);
/* result_format for a value: false when value or key lack a part. */
bool ldapmap_expand_value(const struct ldapmap_parts *parts, struct str text, struct str value,
                          struct str key, struct buf *out);
bool ldapmap_domain_match(const struct ldapmap_table *t, struct str key);

#endif
