/*
 * A query: which search it wants next, what its end means, and the three answers.
 *
 * "No" is said only where the directory answered with success and nothing to give, or where the
 * base is made from the key and is not there. Everything else that goes wrong is "cannot say".
 */
#include "ldapmap/query.h"

#include <ldap.h>

static const struct ldapmap_limits standard_limits = {
    .key_bytes = 4096,
    .searches = 10000,
    .entries = 100000,
    .bytes = (size_t)64 << 20,
};

static const char *const no_attrs[] = {LDAP_NO_ATTRS, NULL};

static size_t limit_or(const size_t *given, size_t standard)
{
    return given != NULL && *given > 0 ? *given : standard;
}

const struct ldapmap_attr *ldapmap_entry_attr(const struct ldapmap_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->count; i++)
        if (str_caseeq(entry->attrs[i].name, str_from(name)))
            return &entry->attrs[i];
    return NULL;
}

void ldapmap_entry_copy(struct arena *a, const struct ldapmap_entry *from, struct ldapmap_entry *to)
{
    struct ldapmap_attr *attrs = arena_array(a, from->count + 1, sizeof *attrs);
    for (size_t i = 0; i < from->count; i++) {
        struct str *values = arena_array(a, from->attrs[i].count + 1, sizeof *values);
        for (size_t j = 0; j < from->attrs[i].count; j++)
            values[j] = arena_str(a, from->attrs[i].values[j]);
        attrs[i] = (struct ldapmap_attr){arena_str(a, from->attrs[i].name), values,
                                         from->attrs[i].count};
    }
    *to = (struct ldapmap_entry){arena_str(a, from->dn), attrs, from->count};
}

static bool has_attr(const char *const *attrs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_caseeq(str_from(attrs[i]), str_from(name)))
            return true;
    return false;
}

static size_t add_attrs(const char **out, size_t n, const char *const *more)
{
    for (; *more != NULL; more++)
        if (!has_attr(out, n, *more))
            out[n++] = *more;
    return n;
}

/* What all unfinished parts, and the caller, want to know. */
static const char *const *union_attrs(struct ldapmap_query *q, const char *const *extra)
{
    size_t room = 1, n = 0;
    for (size_t i = 0; i < q->part_count; i++)
        room += q->parts[i].table->attr_count;
    for (size_t i = 0; extra != NULL && extra[i] != NULL; i++)
        room++;
    const char **out = arena_array(q->arena, room, sizeof(*out));
    for (size_t i = 0; i < q->part_count; i++)
        if (!q->parts[i].finished)
            n = add_attrs(out, n, q->parts[i].table->attrs);
    if (extra != NULL)
        n = add_attrs(out, n, extra);
    return n > 0 ? out : no_attrs;
}

static void part_no(struct ldapmap_part_query *p)
{
    p->finished = true;
    p->result.answer = LDAPMAP_NO;
}

/* The base and filter of the first search; the parts whose key lacks something end in "no". All
 * parts have the same templates, so those that remain want the same search. */
static bool prepare(struct ldapmap_query *q)
{
    bool any = false;
    for (size_t i = 0; i < q->part_count; i++) {
        struct ldapmap_part_query *p = &q->parts[i];
        const struct ldapmap_table *t = p->table;
        AUTO_BUF base = {0};
        AUTO_BUF filter = {0};
        if (!ldapmap_domain_match(t, q->key) ||
            !ldapmap_expand_key(&t->parts, t->conn.search_base, q->key, ldapmap_escape_dn, &base) ||
            !ldapmap_expand_key(&t->parts, t->query_filter, q->key, ldapmap_escape_filter,
                                &filter)) {
            part_no(p);
            continue;
        }
        if (!any) {
            q->first.base = arena_strz(q->arena, buf_view(&base));
            q->first.filter = arena_strz(q->arena, buf_view(&filter));
            q->first.scope = (int)t->conn.scope;
            q->first.timelimit = (int)t->conn.timeout;
            q->first.deref = (int)t->conn.dereference;
        }
        any = true;
    }
    return any;
}

/* The largest size_limit, and none where one table has none; each part checks its own again. */
static int widest_limit(const struct ldapmap_query *q)
{
    uint32_t widest = 0;
    for (size_t i = 0; i < q->part_count; i++) {
        const struct ldapmap_part_query *p = &q->parts[i];
        if (p->finished)
            continue;
        if (p->table->size_limit == 0)
            return 0;
        if (p->table->size_limit > widest)
            widest = p->table->size_limit;
    }
    return (int)widest;
}

static struct ldapmap_query *make(struct arena *a, const struct ldapmap_limits *limits,
                                  const struct ldapmap_table *const *tables, size_t count,
                                  struct str key)
{
    struct ldapmap_query *q = ARENA_NEW(a, struct ldapmap_query);
    q->arena = a;
    q->limits.key_bytes = limit_or(limits ? &limits->key_bytes : NULL, standard_limits.key_bytes);
    q->limits.searches = limit_or(limits ? &limits->searches : NULL, standard_limits.searches);
    q->limits.entries = limit_or(limits ? &limits->entries : NULL, standard_limits.entries);
    q->limits.bytes = limit_or(limits ? &limits->bytes : NULL, standard_limits.bytes);
    q->parts = arena_array(a, count, sizeof(*q->parts));
    q->part_count = count;
    for (size_t i = 0; i < count; i++)
        q->parts[i].table = tables[i];
    q->state = STATE_WALK; /* nothing to ask, until shown otherwise */
    if (key.n > q->limits.key_bytes) {
        for (size_t i = 0; i < count; i++)
            ldapmap_part_fail(&q->parts[i], "a key of more than %zu bytes", q->limits.key_bytes);
        return q;
    }
    if (!str_is_utf8(key)) {
        for (size_t i = 0; i < count; i++)
            part_no(&q->parts[i]);
        return q;
    }
    q->key = ldapmap_key_fold(a, key);
    if (prepare(q))
        q->state = STATE_FIRST;
    return q;
}

struct ldapmap_query *ldapmap_query_new(struct arena *a, const struct ldapmap_limits *limits,
                                        const struct ldapmap_table *const *tables, size_t count,
                                        struct str key, const char *const *extra)
{
    struct ldapmap_query *q = make(a, limits, tables, count, key);
    if (q->state == STATE_FIRST) {
        q->first.attrs = union_attrs(q, extra);
        q->first.sizelimit = widest_limit(q);
    }
    return q;
}

struct ldapmap_query *ldapmap_query_exists(struct arena *a, const struct ldapmap_limits *limits,
                                           const struct ldapmap_table *table, struct str key)
{
    struct ldapmap_query *q = make(a, limits, &table, 1, key);
    q->exists_only = true;
    q->first.attrs = no_attrs;
    q->first.sizelimit = 1;
    return q;
}

bool ldapmap_query_next(struct ldapmap_query *q, struct ldapmap_search *out)
{
    if (q->state == STATE_FIRST) {
        q->state = STATE_FIRST_SENT;
        q->pile = &q->matched;
        *out = q->first;
        return true;
    }
    for (; q->part < q->part_count; q->part++) {
        struct ldapmap_part_query *p = &q->parts[q->part];
        if (p->finished || !ldapmap_walk(q, p, out))
            continue;
        if (out->attrs[0] == NULL)
            out->attrs = no_attrs;
        q->state = STATE_REFERENCE_SENT;
        q->pile = ARENA_NEW(q->arena, struct ldapmap_pile);
        return true;
    }
    return false;
}

static size_t entry_bytes(const struct ldapmap_entry *entry)
{
    size_t n = sizeof(*entry) + entry->dn.n;
    for (size_t i = 0; i < entry->count; i++) {
        const struct ldapmap_attr *attr = &entry->attrs[i];
        n += sizeof(*attr) + attr->name.n + attr->count * (sizeof(*attr->values) + 1);
        for (size_t j = 0; j < attr->count; j++)
            n += attr->values[j].n;
    }
    return n;
}

void ldapmap_query_entry(struct ldapmap_query *q, const struct ldapmap_entry *entry)
{
    struct ldapmap_pile *pile = q->pile;
    if (pile == NULL || q->passed != NULL)
        return;
    q->entries++;
    q->bytes += entry_bytes(entry);
    if (q->entries > q->limits.entries || q->bytes > q->limits.bytes) {
        q->passed = q->entries > q->limits.entries ? "entries" : "bytes";
        return;
    }
    if (pile->count == pile->cap) {
        size_t cap = pile->cap ? 2 * pile->cap : 4;
        struct ldapmap_entry **grown = arena_array(q->arena, cap, sizeof(*grown));
        if (pile->count > 0)
            memcpy(grown, pile->entries, pile->count * sizeof(*grown));
        pile->entries = grown;
        pile->cap = cap;
    }
    pile->entries[pile->count] = ARENA_NEW(q->arena, struct ldapmap_entry);
    ldapmap_entry_copy(q->arena, entry, pile->entries[pile->count++]);
}

static void fail_code(struct ldapmap_part_query *p, const char *base, int code,
                      struct str diagnostic)
{
    ldapmap_part_fail(p, "search below \"%.100s\": %s (%d)%s%.*s", base, ldap_err2string(code),
                      code, diagnostic.n > 0 ? ": " : "", STR_FMT(str_head(diagnostic, 160)));
}

static void first_done(struct ldapmap_query *q, struct ldapmap_part_query *p, int code,
                       struct str diagnostic)
{
    bool any = q->matched.count > 0;
    if (q->exists_only && any && (code == LDAP_SUCCESS || code == LDAP_SIZELIMIT_EXCEEDED)) {
        p->finished = true;
        p->result.answer = LDAPMAP_YES;
    } else if (q->passed != NULL) {
        ldapmap_part_fail(p, "the directory sent too many %s for one key", q->passed);
    } else if (code == LDAP_SUCCESS && q->exists_only) {
        part_no(p);
    } else if (code == LDAP_SUCCESS) {
        ldapmap_walk_push(q, p, &q->matched);
    } else if (code == LDAP_NO_SUCH_OBJECT && p->table->dynamic_base) {
        part_no(p);
    } else {
        fail_code(p, q->first.base, code, diagnostic);
    }
}

void ldapmap_query_done(struct ldapmap_query *q, int code, struct str diagnostic)
{
    struct ldapmap_pile *pile = q->pile;
    q->pile = NULL;
    if (q->state == STATE_FIRST_SENT) {
        for (size_t i = 0; i < q->part_count; i++)
            if (!q->parts[i].finished)
                first_done(q, &q->parts[i], code, diagnostic);
    } else if (q->state == STATE_REFERENCE_SENT) {
        struct ldapmap_part_query *p = &q->parts[q->part];
        if (q->passed != NULL)
            ldapmap_part_fail(p, "the directory sent too many %s for one key", q->passed);
        else if (code == LDAP_SUCCESS)
            ldapmap_walk_push(q, p, pile);
        else if (code != LDAP_NO_SUCH_OBJECT) /* a member that left is no error */
            fail_code(p, "a reference", code, diagnostic);
    }
    q->state = STATE_WALK;
}

const struct ldapmap_result *ldapmap_query_result(const struct ldapmap_query *q, size_t table)
{
    return &q->parts[table].result;
}

size_t ldapmap_query_entry_count(const struct ldapmap_query *q)
{
    return q->matched.count;
}

const struct ldapmap_entry *ldapmap_query_entry_at(const struct ldapmap_query *q, size_t i)
{
    return q->matched.entries[i];
}

struct str ldapmap_result_joined(struct arena *a, const struct ldapmap_result *r)
{
    AUTO_BUF out = {0};
    for (size_t i = 0; i < r->count; i++) {
        if (i > 0)
            buf_byte(&out, ',');
        buf_str(&out, r->values[i].value);
    }
    return arena_str(a, buf_view(&out));
}
