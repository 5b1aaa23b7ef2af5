/* Lint: what entries say of their accounts: states, forwarding, absence. */
#include "base/clock.h"
#include "config/states.h"
#include "tools/lint.h"

#define VACATION_MAX 32768 /* octets; more is not sent (directory/account.h) */

const char *const *lint_account_attrs(const struct config *cfg, struct arena *a)
{
    const struct str names[] = {
        cfg->account_state_attribute, cfg->account_forward_attribute, cfg->account_quota_attribute,
        cfg->account_vacation_text_attribute, cfg->account_vacation_subject_attribute,
        cfg->account_vacation_start_attribute, cfg->account_vacation_end_attribute};
    const char **v = arena_array(a, sizeof names / sizeof names[0] + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].n)
            v[n++] = arena_strz(a, names[i]);
    return v;
}

/* Nothing of an attribute that is not configured. */
static struct str value_of(struct lint *l, const struct lint_entry *x, struct str attr)
{
    return attr.n ? lint_value(x, arena_strz(l->arena, attr)) : (struct str){0};
}

/* The first value of account_state_map that means this; or none. */
static struct str value_for(const struct config *cfg, enum account_state wanted)
{
    for (size_t i = 0; i < cfg->account_state_map.n; i++) {
        struct str row = cfg->account_state_map.v[i];
        ptrdiff_t eq = str_rfind(row, '=');
        enum account_state s;
        if (eq > 0 && account_state_of(cfg, str_head(row, (size_t)eq), &s) == 0 && s == wanted)
            return str_head(row, (size_t)eq);
    }
    return (struct str){0};
}

/* A state that loses no mail and opens nothing, until somebody says what was meant. */
static void mend_state(struct lint *l, const struct lint_entry *x, struct buf *ldif)
{
    struct str safe = value_for(l->cfg, ACCOUNT_NOLOGIN);
    if (safe.n)
        lint_mend(l, x, LDAPMAP_REPLACE, arena_strz(l->arena, l->cfg->account_state_attribute), safe,
                  ldif);
}

static void check_state(struct lint *l, const struct lint_entry *x)
{
    struct str attr = l->cfg->account_state_attribute, have = value_of(l, x, attr);
    enum account_state state;
    AUTO_BUF ldif = {0};
    if (!have.p)
        return;
    if (account_state_of(l->cfg, have, &state) != 0) {
        mend_state(l, x, &ldif);
        lint_found(l, "state-unknown", x->e.dn, &ldif,
                   "%.*s \"%.*s\" is not in account_state_map: mail is put off, nobody logs in",
                   STR_FMT(attr), STR_FMT(str_head(have, 60)));
    } else if (state == ACCOUNT_FORWARD &&
               value_of(l, x, l->cfg->account_forward_attribute).n == 0) {
        mend_state(l, x, &ldif);
        lint_found(l, "forward-nowhere", x->e.dn, &ldif,
                   "%.*s is \"%.*s\", and there is no %.*s: mail is put off", STR_FMT(attr),
                   STR_FMT(str_head(have, 60)), STR_FMT(l->cfg->account_forward_attribute));
    }
}

static void check_forward(struct lint *l, const struct lint_entry *x)
{
    struct str name = l->cfg->account_forward_attribute;
    const char *attr = arena_strz(l->arena, name);
    const struct ldapmap_attr *a = name.n ? lint_attr(x, attr) : NULL;
    for (size_t i = 0; a && i < a->count; i++) {
        AUTO_BUF ldif = {0};
        ptrdiff_t at = str_rfind(a->values[i], '@');
        if (at > 0 && at + 1 < (ptrdiff_t)a->values[i].n && str_find(a->values[i], ' ') < 0)
            continue;
        lint_mend(l, x, LDAPMAP_DELETE, attr, a->values[i], &ldif);
        lint_found(l, "forward-bad", x->e.dn, &ldif, "%s \"%.*s\" is no address: mail is put off",
                   attr, STR_FMT(str_head(a->values[i], 100)));
    }
}

static void check_quota(struct lint *l, const struct lint_entry *x)
{
    struct str attr = l->cfg->account_quota_attribute, text = value_of(l, x, attr);
    uint64_t size;
    AUTO_BUF ldif = {0};
    if (!text.p || account_size_of(text, &size) == 0)
        return;
    lint_mend(l, x, LDAPMAP_DELETE, arena_strz(l->arena, attr), text, &ldif);
    lint_found(l, "quota-bad", x->e.dn, &ldif, "%.*s \"%.*s\" is no size (50m): mail is put off",
               STR_FMT(attr), STR_FMT(str_head(text, 60)));
}

/* --- absence --- */

/* False: it is no date, and told. Without one *out stays. */
static bool read_date(struct lint *l, const struct lint_entry *x, struct str attr, int64_t *out)
{
    struct str text = value_of(l, x, attr);
    AUTO_BUF ldif = {0};
    if (!text.p || clock_generalized(text, out) == 0)
        return true;
    lint_mend(l, x, LDAPMAP_DELETE, arena_strz(l->arena, attr), text, &ldif);
    lint_found(l, "vacation-date", x->e.dn, &ldif,
               "%.*s \"%.*s\" is no date (20261224120000Z): senders are not told", STR_FMT(attr),
               STR_FMT(str_head(text, 60)));
    return false;
}

static void check_dates(struct lint *l, const struct lint_entry *x)
{
    const struct config *cfg = l->cfg;
    struct str end_attr = cfg->account_vacation_end_attribute;
    int64_t start = INT64_MIN, end = INT64_MAX;
    AUTO_BUF ldif = {0};
    bool sound = read_date(l, x, cfg->account_vacation_start_attribute, &start);
    if (!read_date(l, x, end_attr, &end) || !sound || start < end)
        return;
    lint_mend(l, x, LDAPMAP_DELETE, arena_strz(l->arena, end_attr), value_of(l, x, end_attr), &ldif);
    lint_found(l, "vacation-order", x->e.dn, &ldif, "the absence ends before it begins: %.*s %.*s",
               STR_FMT(end_attr), STR_FMT(value_of(l, x, end_attr)));
}

static void check_text(struct lint *l, const struct lint_entry *x)
{
    const struct config *cfg = l->cfg;
    struct str attr = cfg->account_vacation_text_attribute, text = value_of(l, x, attr);
    struct str subject = value_of(l, x, cfg->account_vacation_subject_attribute);
    bool some = subject.n || value_of(l, x, cfg->account_vacation_start_attribute).n ||
                value_of(l, x, cfg->account_vacation_end_attribute).n;
    AUTO_BUF ldif = {0};
    if (attr.n && some && str_trim(text).n == 0) {
        lint_mend(l, x, LDAPMAP_REPLACE, arena_strz(l->arena, attr),
                  subject.n ? subject : STR("I am away."), &ldif);
        lint_found(l, "vacation-text", x->e.dn, &ldif, "is away and has no %.*s: senders are not told",
                   STR_FMT(attr));
    } else if (text.n > VACATION_MAX) {
        lint_mend(l, x, LDAPMAP_DELETE, arena_strz(l->arena, attr), text, &ldif);
        lint_found(l, "vacation-long", x->e.dn, &ldif,
                   "%.*s has more than %d octets: senders are not told", STR_FMT(attr), VACATION_MAX);
    }
}

void lint_accounts(struct lint *l)
{
    for (struct lint_entry *x = l->first; x; x = x->next) {
        if (!x->is_person)
            continue;
        check_state(l, x);
        check_forward(l, x);
        check_quota(l, x);
        check_dates(l, x);
        check_text(l, x);
    }
}
