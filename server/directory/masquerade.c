/* Masquerading. */
#include "directory/masquerade.h"

static bool is_below(struct str domain, struct str parent)
{
    return domain.n > parent.n && domain.p[domain.n - parent.n - 1] == '.' &&
           str_caseeq(str_skip(domain, domain.n - parent.n), parent);
}

bool masquerade_domain(const struct config_list *domains, const struct config_list *exceptions,
                       struct str user, struct str domain, struct str *out)
{
    for (size_t i = 0; i < exceptions->n; i++)
        if (str_caseeq(exceptions->v[i], user))
            return false;
    for (size_t i = 0; i < domains->n; i++) {
        struct str one = domains->v[i];
        bool keep = false;
        for (; one.n && one.p[0] == '!'; one = str_skip(one, 1))
            keep = !keep;
        if (one.n == 0)
            continue;
        if (str_caseeq(one, domain))
            return false;
        if (!is_below(domain, one))
            continue;
        *out = one;
        return !keep;
    }
    return false;
}
