/*
 * What the entries of a search mean for one table: terminal, leaf, ordinary and special attributes,
 * result_format, and references followed depth first, so that values stand in Postfix's order.
 *
 * Whether an entry is terminal, or leads elsewhere, is forgotten by Postfix only when the next
 * search begins, not when the next entry does. The same key must give the same result, so it is so
 * here.
 */
#include "ldapmap/query.h"

#include <ldap.h>
#include <stdarg.h>
#include <stdio.h>

void ldapmap_part_fail(struct ldapmap_part_query *p, const char *fmt, ...)
{
    char text[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    p->finished = true;
    p->result = (struct ldapmap_result){.answer = LDAPMAP_CANNOT_SAY};
    err_temp(&p->result.err, "%.*s: %s", STR_FMT(str_head(p->table->name, 100)), text);
}

void ldapmap_walk_push(struct ldapmap_query *q, struct ldapmap_part_query *p,
                       const struct ldapmap_pile *pile)
{
    struct ldapmap_frame *below = p->frame;
    struct ldapmap_frame *f = ARENA_NEW(q->arena, struct ldapmap_frame);
    f->below = below;
    f->pile = pile;
    f->depth = below ? below->depth + 1 : 1;
    f->is_leaf = true;
    if (below != NULL)
        f->root = below->root ? below->root : below->pile->entries[below->entry];
    p->frame = f;
}

/* Is the attribute description the wanted one, or the wanted one with options? (RFC 4512,
 * section 2.5) */
static bool is_subtype(struct str have, struct str wanted)
{
    return str_casestarts(have, wanted) && (have.n == wanted.n || have.p[wanted.n] == ';');
}

/* The place of an attribute in the table's list, attr_count when it is none of the table's. */
static size_t place_of(const struct ldapmap_table *t, struct str name)
{
    size_t i = 0;
    while (i < t->attr_count && !is_subtype(name, str_from(t->attrs[i])))
        i++;
    return i;
}

/* Looks over an entry that the walk has reached. */
static bool enter(struct ldapmap_part_query *p, struct ldapmap_frame *f)
{
    const struct ldapmap_table *t = p->table;
    const struct ldapmap_entry *entry = f->pile->entries[f->entry];
    const struct ldapmap_attr *attr;
    f->entered = true;
    f->attr = f->value = 0;
    if (t->size_limit > 0 && f->entry + 1 > t->size_limit) {
        ldapmap_part_fail(p, "more than %u entries (size_limit)", (unsigned)t->size_limit);
        return false;
    }
    for (size_t i = 0; i < t->terminal_end; i++) {
        attr = ldapmap_entry_attr(entry, t->attrs[i]);
        if (attr == NULL)
            continue;
        f->is_terminal = attr->count > 0;
        if (f->is_terminal)
            break;
    }
    if (f->is_terminal || t->leaf_end == t->terminal_end)
        return true;
    for (size_t i = t->ordinary_end; i < t->attr_count; i++) {
        attr = ldapmap_entry_attr(entry, t->attrs[i]);
        if (attr == NULL)
            continue;
        f->is_leaf = attr->count == 0;
        if (!f->is_leaf)
            break;
    }
    return true;
}

static void add_value(struct ldapmap_query *q, struct ldapmap_part_query *p,
                      const struct ldapmap_frame *f, struct str text)
{
    if (p->result.count == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 4;
        struct ldapmap_value *grown = arena_array(q->arena, cap, sizeof(*grown));
        if (p->result.count > 0)
            memcpy(grown, p->values, p->result.count * sizeof(*grown));
        p->values = grown;
        p->cap = cap;
    }
    const struct ldapmap_entry *entry = f->pile->entries[f->entry];
    p->values[p->result.count++] = (struct ldapmap_value){
        .value = arena_str(q->arena, text),
        .entry = entry,
        .root = f->root ? f->root : entry,
    };
    p->result.values = p->values;
}

/* One value of an ordinary attribute, through result_format. */
static bool take_value(struct ldapmap_query *q, struct ldapmap_part_query *p,
                       const struct ldapmap_frame *f, struct str value)
{
    const struct ldapmap_table *t = p->table;
    AUTO_BUF text = BUF_MAX(q->limits.bytes);
    if (value.n > 0 && memchr(value.p, '\0', value.n) != NULL) {
        ldapmap_part_fail(p, "a NUL byte in a value of %.*s",
                          STR_FMT(str_head(f->pile->entries[f->entry]->dn, 200)));
        return false;
    }
    if (!ldapmap_expand_value(&t->parts, t->result_format, value, q->key, &text))
        return true;
    if (t->expansion_limit > 0 && ++p->expansions > t->expansion_limit) {
        ldapmap_part_fail(p, "more than %u values (expansion_limit)", (unsigned)t->expansion_limit);
        return false;
    }
    if (!str_is_utf8(buf_view(&text))) {
        ldapmap_part_fail(p, "a value of %.*s is not UTF-8",
                          STR_FMT(str_head(f->pile->entries[f->entry]->dn, 200)));
        return false;
    }
    q->bytes += text.n;
    if (q->bytes > q->limits.bytes) {
        ldapmap_part_fail(p, "more than %zu bytes of values", q->limits.bytes);
        return false;
    }
    if (text.n > 0)
        add_value(q, p, f, buf_view(&text));
    return true;
}

/* +1: same, or b is a with options; -1: a is b with options; 0: different. */
static int relation(struct str a, struct str b)
{
    if (is_subtype(b, a))
        return 1;
    return is_subtype(a, b) ? -1 : 0;
}

/* The attributes that both the URL and the table name, the more special form of each. NULL: none.
 */
static const char *const *url_attrs(struct ldapmap_query *q, const struct ldapmap_table *t,
                                    char *const *named)
{
    if (named == NULL || named[0] == NULL)
        return t->attrs;
    size_t count = 0, n = 0;
    while (named[count] != NULL)
        count++;
    const char **out = arena_array(q->arena, count * t->attr_count + 1, sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < t->attr_count; j++) {
            int same = relation(str_from(named[i]), str_from(t->attrs[j]));
            if (same != 0)
                out[n++] = same > 0 ? t->attrs[j] : arena_strz(q->arena, str_from(named[i]));
        }
    }
    return n > 0 ? out : NULL;
}

static void set_search(const struct ldapmap_table *t, struct ldapmap_search *out)
{
    *out = (struct ldapmap_search){
        .sizelimit = (int)t->size_limit,
        .timelimit = (int)t->conn.timeout,
        .deref = (int)t->conn.dereference,
        .filter = "(objectclass=*)",
        .attrs = t->attrs,
        .scope = LDAPMAP_SCOPE_BASE,
    };
}

enum reference { REFERENCE_SEARCH, REFERENCE_SKIP, REFERENCE_FAILED };

/* A search as an LDAP URL (RFC 4516) says; the connection stays ours, whatever host it names. */
static enum reference url_search(struct ldapmap_query *q, struct ldapmap_part_query *p,
                                 const char *url, struct ldapmap_search *out)
{
    LDAPURLDesc *parsed = NULL;
    if (ldap_url_parse(url, &parsed) != LDAP_URL_SUCCESS) {
        ldapmap_part_fail(p, "malformed LDAP URL %.200s", url);
        return REFERENCE_FAILED;
    }
    const char *const *attrs = url_attrs(q, p->table, parsed->lud_attrs);
    if (attrs != NULL) {
        set_search(p->table, out);
        out->attrs = attrs;
        out->base = arena_strz(q->arena, str_from(parsed->lud_dn));
        out->scope = parsed->lud_scope;
        if (parsed->lud_filter != NULL && parsed->lud_filter[0] != '\0')
            out->filter = arena_strz(q->arena, str_from(parsed->lud_filter));
    }
    ldap_free_urldesc(parsed);
    return attrs ? REFERENCE_SEARCH : REFERENCE_SKIP;
}

/* One value of a special attribute: a DN or an LDAP URL to look up. */
static enum reference follow(struct ldapmap_query *q, struct ldapmap_part_query *p,
                             struct str value, struct ldapmap_search *out)
{
    if (value.n > 0 && memchr(value.p, '\0', value.n) != NULL) {
        ldapmap_part_fail(p, "a NUL byte in a reference");
        return REFERENCE_FAILED;
    }
    if (++q->searches > q->limits.searches) {
        ldapmap_part_fail(p, "more than %zu searches for one key", q->limits.searches);
        return REFERENCE_FAILED;
    }
    const char *z = arena_strz(q->arena, value);
    if (ldap_is_ldap_url(z))
        return url_search(q, p, z, out);
    set_search(p->table, out);
    out->base = z;
    return REFERENCE_SEARCH;
}

/* The attribute the walk stands at. 1: *out is a search to make; 0: done with it; -1: failed. */
static int walk_attr(struct ldapmap_query *q, struct ldapmap_part_query *p, struct ldapmap_frame *f,
                     const struct ldapmap_attr *attr, struct ldapmap_search *out)
{
    const struct ldapmap_table *t = p->table;
    size_t place = place_of(t, attr->name);
    if (attr->count == 0)
        return 0;
    if (place < t->ordinary_end || f->is_terminal) {
        if ((f->is_terminal && place >= t->terminal_end) || (!f->is_leaf && place < t->leaf_end))
            return 0;
        for (size_t i = 0; i < attr->count; i++)
            if (!take_value(q, p, f, attr->values[i]))
                return -1;
        return 0;
    }
    if (place == t->attr_count)
        return 0;
    if (f->depth >= t->recursion_limit) {
        ldapmap_part_fail(p, "references nested more than %u deep (recursion_limit) at %.*s",
                          (unsigned)t->recursion_limit, STR_FMT(str_head(attr->values[0], 200)));
        return -1;
    }
    while (f->value < attr->count) {
        enum reference r = follow(q, p, attr->values[f->value++], out);
        if (r == REFERENCE_FAILED)
            return -1;
        if (r == REFERENCE_SEARCH)
            return 1;
    }
    return 0;
}

bool ldapmap_walk(struct ldapmap_query *q, struct ldapmap_part_query *p, struct ldapmap_search *out)
{
    while (!p->finished && p->frame != NULL) {
        struct ldapmap_frame *f = p->frame;
        if (f->entry == f->pile->count) {
            p->frame = f->below;
            continue;
        }
        if (!f->entered && !enter(p, f))
            return false;
        const struct ldapmap_entry *entry = f->pile->entries[f->entry];
        if (f->attr == entry->count) {
            f->entry++;
            f->entered = false;
            continue;
        }
        int rc = walk_attr(q, p, f, &entry->attrs[f->attr], out);
        if (rc > 0)
            return true;
        f->attr++;
        f->value = 0;
    }
    if (!p->finished) {
        p->finished = true;
        p->result.answer = p->result.count > 0 ? LDAPMAP_YES : LDAPMAP_NO;
    }
    return false;
}
