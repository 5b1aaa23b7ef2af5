/* The schema of a directory server; see schema.h. */
#include "tools/schema.h"

#include <stdlib.h>

struct look {
    struct schema_name *v;
    size_t n;
    char *where; /* the entry that holds the schema */
};

static void note_where(void *arg, const struct ldapmap_entry *entry)
{
    struct look *look = arg;
    const struct ldapmap_attr *a = ldapmap_entry_attr(entry, "subschemaSubentry");
    if (a && a->count && !look->where)
        look->where = mem_strdup(a->values[0]);
}

/* A description names its thing in quotes before what else it says (RFC 4512 section 4.1):
 * ( 1.2.3 NAME ( 'cn' 'commonName' ) DESC 'a text' ... ) */
static bool describes(struct str description, struct str name)
{
    const char *text = memmem(description.p, description.n, " DESC ", 6);
    struct str quoted, rest = text ? str_head(description, (size_t)(text - description.p)) : description;
    for (bool inside = false; rest.n; inside = !inside) {
        ptrdiff_t end = str_find(rest, '\'');
        quoted = end < 0 ? rest : str_head(rest, (size_t)end);
        if (inside && str_caseeq(quoted, name))
            return true;
        rest = end < 0 ? str_skip(rest, rest.n) : str_skip(rest, (size_t)end + 1);
    }
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

int schema_look(struct ldapmap_client *c, struct schema_name *v, size_t n, struct err *e)
{
    static const char *const root_attrs[] = {"subschemaSubentry", NULL};
    static const char *const attrs[] = {"attributeTypes", "objectClasses", NULL};
    struct look look = {.v = v, .n = n};
    int r = ldapmap_client_search(c, "", LDAPMAP_SCOPE_BASE, "(objectClass=*)", root_attrs,
                                  note_where, &look, e);
    if (r == 0 && look.where)
        r = ldapmap_client_search(c, look.where, LDAPMAP_SCOPE_BASE, "(objectClass=subschema)", attrs,
                                  note_names, &look, e);
    free(look.where);
    return r < 0 ? -1 : 0;
}
