/* Finding a user's entry. */
#include "directory/user.h"

struct ldapmap_search user_search(const struct dirset *set, struct arena *a, struct str name,
                                  const char *const *attrs)
{
    AUTO_BUF filter = {0};
    name_template_expand(&filter, set->cfg->user_filter, name, ldapmap_escape_filter);
    return (struct ldapmap_search){
        .base = arena_strz(a, set->shared.search_base),
        .scope = (int)set->shared.scope,
        .filter = arena_strz(a, buf_view(&filter)),
        .attrs = attrs,
        .sizelimit = 2, /* one is wanted, a second one is a fault */
        .timelimit = (int)set->shared.timeout,
        .deref = (int)set->shared.dereference,
    };
}

/* A third entry, or a limit of the server's own, stops the search at the second one: what came is
 * enough to name the fault. After any other failure it is not known what was found. */
int user_read(const struct search_result *r, const struct ldapmap_entry **out, struct err *e)
{
    *out = r->count ? &r->entries[0] : NULL;
    if (r->count > 1 && (r->code == LDAP_SUCCESS || r->code == LDAP_SIZELIMIT_EXCEEDED))
        return err_temp(e, "user_filter matches several entries: %.*s and %.*s",
                        STR_FMT(str_head(r->entries[0].dn, 150)),
                        STR_FMT(str_head(r->entries[1].dn, 150)));
    if (r->code != LDAP_SUCCESS)
        return err_temp(e, "user_filter: %s: %.*s", ldap_err2string(r->code),
                        STR_FMT(str_head(r->diagnostic, 200)));
    return 0;
}
