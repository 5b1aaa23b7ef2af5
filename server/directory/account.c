/* The state of an account. */
#include "directory/account.h"
#include "base/clock.h"

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
    struct str name = cfg->account_state_attribute, have;
    if (only_value(entry, name, &have, e) != 0)
        return -1;
    if (!have.p || account_state_of(cfg, have, &out->state) == 0)
        return 0;
    return err_temp(e, "%.*s: %.*s \"%.*s\" is not in account_state_map",
                    STR_FMT(str_head(entry->dn, 200)), STR_FMT(name),
                    STR_FMT(str_head(have, 60)));
}

static int read_date(const struct ldapmap_entry *entry, struct str name, int64_t *out, struct err *e)
{
    struct str text;
    if (only_value(entry, name, &text, e) != 0)
        return -1;
    if (text.p && clock_generalized(text, out) != 0)
        return err_temp(e, "%.*s: %.*s \"%.*s\" is no date", STR_FMT(str_head(entry->dn, 200)),
                        STR_FMT(name), STR_FMT(str_head(text, 60)));
    return 0;
}

int account_vacation(const struct config *cfg, const struct ldapmap_entry *entry, struct str *text,
                     struct err *e)
{
    struct str name = cfg->account_vacation_text_attribute;
    int64_t now = clock_real_us() / 1000000, start = INT64_MIN, end = INT64_MAX;
    if (only_value(entry, name, text, e) != 0)
        return -1;
    if (str_trim(*text).n == 0)
        return 0;
    if (text->n > ACCOUNT_VACATION_MAX)
        return err_temp(e, "%.*s: %.*s has more than %d octets", STR_FMT(str_head(entry->dn, 200)),
                        STR_FMT(name), ACCOUNT_VACATION_MAX);
    if (read_date(entry, cfg->account_vacation_start_attribute, &start, e) != 0 ||
        read_date(entry, cfg->account_vacation_end_attribute, &end, e) != 0)
        return -1;
    return start <= now && now < end;
}

/* Locks that end by themselves are the server's: it alone knows their duration. */
static bool is_locked(const struct ldapmap_entry *entry)
{
    const struct ldapmap_attr *attr = attr_of(entry, STR(ACCOUNT_LOCK_ATTRIBUTE));
    for (size_t i = 0; attr && i < attr->count; i++)
        if (str_eq(attr->values[i], STR("000001010000Z")) ||
            str_eq(attr->values[i], STR("00000101000000Z")))
            return true;
    return false;
}

/* What is wrong with it is found out, and told, when there is somebody to answer: mail does not wait
 * for that. */
static bool may_be_away(const struct config *cfg, const struct ldapmap_entry *entry)
{
    struct err ignored = {0};
    struct str text;
    return account_vacation(cfg, entry, &text, &ignored) != 0;
}

int account_read(const struct config *cfg, const struct ldapmap_entry *entry, struct account *out,
                 struct err *e)
{
    *out = (struct account){0};
    if (!entry)
        return 0;
    out->locked = is_locked(entry);
    const struct ldapmap_attr *forward = attr_of(entry, cfg->account_forward_attribute);
    if (forward) {
        out->forward = forward->values;
        out->forward_count = forward->count;
    }
    if (read_state(cfg, entry, out, e) != 0 ||
        only_value(entry, cfg->account_quota_attribute, &out->quota, e) != 0)
        return -1;
    out->away = (out->state == ACCOUNT_ACTIVE || out->state == ACCOUNT_NOLOGIN) &&
                may_be_away(cfg, entry);
    if (out->state == ACCOUNT_FORWARD && out->forward_count == 0)
        return err_temp(e, "%.*s forwards its mail and has no %.*s",
                        STR_FMT(str_head(entry->dn, 200)), STR_FMT(cfg->account_forward_attribute));
    return 0;
}

enum verdict account_login(const struct account *a, enum auth_state *state, const char **why)
{
    static const struct {
        enum verdict verdict;
        enum auth_state state;
        const char *why;
    } logins[] = {
        [ACCOUNT_ACTIVE] = {VERDICT_YES, AUTH_PLAIN, ""},
        [ACCOUNT_NOLOGIN] = {VERDICT_REFUSED, AUTH_PLAIN, "the account is nologin: nobody may log in"},
        [ACCOUNT_DISABLED] = {VERDICT_NO, AUTH_DISABLED, "the account is disabled: nobody may log in"},
        [ACCOUNT_FORWARD] = {VERDICT_REFUSED, AUTH_PLAIN, "the account is forward: nobody may log in"},
    };
    *state = a->locked ? AUTH_LOCKED : logins[a->state].state;
    *why = a->locked ? "an administrator has locked the account" : logins[a->state].why;
    return a->locked ? VERDICT_NO : logins[a->state].verdict;
}
