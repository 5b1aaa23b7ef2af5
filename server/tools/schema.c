/* The schema of a directory server; see schema.h. */
#include "tools/schema.h"

#include <stdlib.h>

struct look {
    struct schema_name *v;
    size_t n;
};

/* The entry that holds the schema. */
static void note_where(void *arg, const struct ldapmap_entry *entry)
{
    char **where = arg;
    const struct ldapmap_attr *a = ldapmap_entry_attr(entry, "subschemaSubentry");
    if (a && a->count && !*where)
        *where = mem_strdup(a->values[0]);
}

/* What stands for the names in a description (RFC 4512 section 4.1): of
 * ( 1.2.3 NAME ( 'cn' 'commonName' ) DESC 'a text' ... ) the inner parentheses, of one name that alone. */
static struct str names_part(struct str description)
{
    const char *name = memmem(description.p, description.n, " NAME ", 6);
    struct str rest = str_skip(description, name ? (size_t)(name + 6 - description.p) : description.n);
    while (rest.n && rest.p[0] == ' ')
        rest = str_skip(rest, 1);
    ptrdiff_t end = str_find(rest, rest.n && rest.p[0] == '(' ? ')' : ' ');
    return end < 0 ? rest : str_head(rest, (size_t)end);
}

static bool next_name(struct str *rest, struct str *name)
{
    ptrdiff_t from = str_find(*rest, '\'');
    struct str after = str_skip(*rest, (size_t)(from + 1));
    ptrdiff_t end = from < 0 ? -1 : str_find(after, '\'');
    if (end < 0)
        return false;
    *name = str_head(after, (size_t)end);
    *rest = str_skip(after, (size_t)end + 1);
    return true;
}

static bool describes(struct str description, struct str name)
{
    struct str rest = names_part(description), one;
    while (next_name(&rest, &one))
        if (str_caseeq(one, name))
            return true;
    return false;
}

static void note_names(void *arg, const struct ldapmap_entry *entry)
{
    static const char *const kinds[] = {"attributeTypes", "objectClasses"};
    struct look *look = arg;
    for (size_t k = 0; k < 2; k++) {
        const struct ldapmap_attr *a = ldapmap_entry_attr(entry, kinds[k]);
        for (size_t i = 0; a && i < a->count; i++)
            for (size_t j = 0; j < look->n; j++)
                if (describes(a->values[i], str_from(look->v[j].name)))
                    look->v[j].known = true;
    }
}

static int look_at_schema(struct ldapmap_client *c, const char *const *attrs, ldapmap_client_fn fn, void *arg,
                          struct err *e)
{
    static const char *const root_attrs[] = {"subschemaSubentry", NULL};
    char *where = NULL;
    int r = ldapmap_client_search(c, "", LDAPMAP_SCOPE_BASE, "(objectClass=*)", root_attrs,
                                  note_where, &where, e);
    if (r == 0 && where)
        r = ldapmap_client_search(c, where, LDAPMAP_SCOPE_BASE, "(objectClass=subschema)", attrs, fn, arg, e);
    free(where);
    return r < 0 ? -1 : 0;
}

int schema_look(struct ldapmap_client *c, struct schema_name *v, size_t n, struct err *e)
{
    static const char *const attrs[] = {"attributeTypes", "objectClasses", NULL};
    struct look look = {v, n};
    return look_at_schema(c, attrs, note_names, &look, e);
}

/* --- names of one attribute --- */

struct alike {
    struct arena *arena;
    struct map *names;
};

static void note_alike(void *arg, const struct ldapmap_entry *entry)
{
    struct alike *x = arg;
    const struct ldapmap_attr *a = ldapmap_entry_attr(entry, "attributeTypes");
    for (size_t i = 0; a && i < a->count; i++) {
        struct str rest = names_part(a->values[i]), one;
        char *first = NULL;
        while (next_name(&rest, &one)) {
            char *low = arena_strz(x->arena, one);
            str_lower(low, one.n);
            first = first ? first : arena_strz(x->arena, one);
            map_put(x->names, str_from(low), first);
        }
    }
}

int schema_attributes(struct ldapmap_client *c, struct arena *a, struct map *out, struct err *e)
{
    static const char *const attrs[] = {"attributeTypes", NULL};
    struct alike x = {a, out};
    return look_at_schema(c, attrs, note_alike, &x, e);
}
