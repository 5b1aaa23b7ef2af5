/* Mailbox patterns; see list_match.h. */
#include "session/list_match.h"

static bool same(char p, char n, bool fold)
{
    if (fold && p >= 'a' && p <= 'z')
        p = (char)(p - 32);
    return p == n;
}

bool list_match(struct str pattern, struct str name, char separator)
{
    /* at[j]: the pattern so far can have eaten j bytes of the name. */
    bool at[LIST_MATCH_MAX + 1] = {true};
    bool fold = str_eq(name, STR("INBOX"));
    if (pattern.n > LIST_MATCH_MAX || name.n > LIST_MATCH_MAX)
        return false;
    for (size_t i = 0; i < pattern.n; i++) {
        char p = pattern.p[i];
        if (p == '*' || p == '%') {
            for (size_t j = 0; j < name.n; j++)
                if (at[j] && (p == '*' || name.p[j] != separator))
                    at[j + 1] = true;
            continue;
        }
        for (size_t j = name.n; j > 0; j--)
            at[j] = at[j - 1] && same(p, name.p[j - 1], fold);
        at[0] = false;
    }
    return at[name.n];
}
