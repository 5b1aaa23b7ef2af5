/* States of accounts. */
#include "config/states.h"

static const char *const names[] = {"active", "nologin", "disabled", "forward"};

#define STATES (sizeof names / sizeof names[0])

/* VALUE=STATE; VALUE may hold "=" itself. */
static int read_row(struct str row, struct str *value, enum account_state *out, struct err *e)
{
    ptrdiff_t eq = str_rfind(row, '=');
    struct str name = eq < 0 ? row : str_skip(row, (size_t)eq + 1);
    *value = str_head(row, eq < 0 ? 0 : (size_t)eq);
    for (size_t i = 0; value->n && i < STATES; i++) {
        if (str_eq(name, str_from(names[i]))) {
            *out = (enum account_state)i;
            return 0;
        }
    }
    return err_perm(e, "account_state_map: \"%.*s\" is none of VALUE=active, =nologin, =disabled, "
                       "=forward", STR_FMT(str_head(row, 100)));
}

int account_check_map(const struct config *cfg, struct err *e)
{
    struct str value;
    enum account_state s;
    for (size_t i = 0; i < cfg->account_state_map.n; i++)
        if (read_row(cfg->account_state_map.v[i], &value, &s, e) != 0)
            return -1;
    return 0;
}

int account_state_of(const struct config *cfg, struct str value, enum account_state *out)
{
    struct err ignored = {0};
    struct str known;
    for (size_t i = 0; i < cfg->account_state_map.n; i++)
        if (read_row(cfg->account_state_map.v[i], &known, out, &ignored) == 0 &&
            str_caseeq(known, value))
            return 0;
    return -1;
}

int account_size_of(struct str text, uint64_t *out)
{
    struct str s = str_trim(text);
    uint64_t n, factor = 1;
    char unit = s.n > 1 ? (char)(s.p[s.n - 1] | 0x20) : 0;
    if (unit == 'k' || unit == 'm' || unit == 'g') {
        factor = unit == 'k' ? 1024 : unit == 'm' ? 1024 * 1024 : 1024 * 1024 * 1024;
        s.n--;
    }
    if (str_u64(s, &n) != 0 || __builtin_mul_overflow(n, factor, &n))
        return -1;
    *out = n;
    return 0;
}
