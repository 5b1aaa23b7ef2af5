/* The state of an account. */
#include "directory/account.h"

static const char *const names[] = {"active", "nologin", "disabled", "forward"};

#define STATES (sizeof names / sizeof names[0])

const char *account_state_name(enum account_state s)
{
    return names[s];
}

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

static const struct ldapmap_attr *attr_of(const struct ldapmap_entry *entry, struct str name)
{
    for (size_t i = 0; name.n && i < entry->count; i++)
        if (str_caseeq(entry->attrs[i].name, name) && entry->attrs[i].count)
            return &entry->attrs[i];
    return NULL;
}

/* *out stays empty where there is none. */
static int only_value(const struct ldapmap_entry *entry, struct str name, struct str *out,
                      struct err *e)
{
    const struct ldapmap_attr *attr = attr_of(entry, name);
    *out = (struct str){0};
    if (attr && attr->count > 1)
        return err_temp(e, "%.*s has %zu values of %.*s where one is needed",
                        STR_FMT(str_head(entry->dn, 200)), attr->count, STR_FMT(name));
    if (attr)
        *out = attr->values[0];
    return 0;
}

static int read_state(const struct config *cfg, const struct ldapmap_entry *entry,
                      struct account *out, struct err *e)
{
    struct str name = cfg->account_state_attribute, have, value;
    if (only_value(entry, name, &have, e) != 0)
        return -1;
    if (!have.p)
        return 0;
    for (size_t i = 0; i < cfg->account_state_map.n; i++) {
        if (read_row(cfg->account_state_map.v[i], &value, &out->state, e) != 0)
            return -1;
        if (str_caseeq(value, have))
            return 0;
    }
    return err_temp(e, "%.*s: %.*s \"%.*s\" is not in account_state_map",
                    STR_FMT(str_head(entry->dn, 200)), STR_FMT(name),
                    STR_FMT(str_head(have, 60)));
}

int account_read(const struct config *cfg, const struct ldapmap_entry *entry, struct account *out,
                 struct err *e)
{
    *out = (struct account){0};
    if (!entry)
        return 0;
    const struct ldapmap_attr *forward = attr_of(entry, cfg->account_forward_attribute);
    if (forward) {
        out->forward = forward->values;
        out->forward_count = forward->count;
    }
    if (read_state(cfg, entry, out, e) != 0 ||
        only_value(entry, cfg->account_quota_attribute, &out->quota, e) != 0)
        return -1;
    if (out->state == ACCOUNT_FORWARD && out->forward_count == 0)
        return err_temp(e, "%.*s forwards its mail and has no %.*s",
                        STR_FMT(str_head(entry->dn, 200)), STR_FMT(cfg->account_forward_attribute));
    return 0;
}
