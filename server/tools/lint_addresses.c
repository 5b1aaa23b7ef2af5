/* Lint: addresses, whose they are and where they lead. */
#include "mail/address.h"
#include "tools/lint.h"

#define DEPTH_MAX 1000

static void own_address(struct lint *l, struct map *owners, struct lint_entry *x, const char *attr,
                        struct str value)
{
    struct str key = lint_fold(l, value);
    struct lint_entry *owner = map_get(owners, key);
    AUTO_BUF ldif = {0};
    if (!owner) {
        map_put(owners, key, x);
        return;
    }
    if (owner == x)
        return;
    lint_mend(l, x, LDAPMAP_DELETE, attr, value, &ldif);
    lint_found(l, "address-twice", x->e.dn, &ldif, "%s %.*s belongs to %.*s too", attr,
               STR_FMT(value), STR_FMT(owner->e.dn));
}

static void own_addresses(struct lint *l, struct lint_entry *x, const char *const *attrs,
                          struct map *owners, bool hosted)
{
    for (; *attrs; attrs++) {
        const struct ldapmap_attr *a = lint_attr(x, *attrs);
        for (size_t i = 0; a && i < a->count; i++) {
            ptrdiff_t at = str_rfind(a->values[i], '@');
            if (at < 0)
                continue;
            own_address(l, owners, x, *attrs, a->values[i]);
            if (hosted)
                map_put(l->domains, lint_fold(l, str_skip(a->values[i], (size_t)at + 1)), x);
        }
    }
}

/* Is it one of the entry's own addresses? There it ends: at a mailbox, or nowhere. */
static bool is_own(struct lint *l, const struct lint_entry *x, struct str key)
{
    return map_get(l->by_alias, key) == x;
}

static bool is_in(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (str_caseeq(str_from(*list), str_from(name)))
            return true;
    return false;
}

/* Does an alias that is not the entry's own, or a mailbox, take the address further? Where one attribute
 * is both, as in maps that follow members, an address of its own says nothing. */
static bool is_known(struct lint *l, const struct lint_entry *x, const char *attr, struct str key)
{
    ptrdiff_t at = str_rfind(key, '@');
    struct lint_entry *alias = map_get(l->by_alias, key);
    if (!alias)
        alias = map_get(l->by_alias, str_skip(key, (size_t)at)); /* all of a domain */
    return (alias && (alias != x || is_in(l->tables.aliases, attr))) || map_get(l->by_mailbox, key) ||
           !map_get(l->domains, str_skip(key, (size_t)at + 1));
}

/* References are DNs and URLs; an address without a domain gets ours. */
static bool is_address(struct lint *l, struct str value)
{
    struct mail_address m;
    struct err e = {0};
    return str_find(value, '=') >= 0 ||
           mail_address_parse(l->arena, str_trim(value), MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_NO_DOMAIN |
                                                         MAIL_ADDRESS_LENIENT, &m, &e) == 0;
}

static void check_target(struct lint *l, struct lint_entry *x, const char *attr, struct str value)
{
    struct str key = lint_fold(l, value);
    ptrdiff_t at = str_rfind(key, '@');
    AUTO_BUF ldif = {0};
    if (at == 0) /* the same name in another domain: virtual(5) */
        return;
    if (!is_address(l, value)) {
        lint_mend(l, x, LDAPMAP_DELETE, attr, value, &ldif);
        lint_found(l, "target-bad", x->e.dn, &ldif, "%s %.*s is no address: mail is put off", attr,
                   STR_FMT(str_head(value, 100)));
        return;
    }
    if (at < 0 || is_known(l, x, attr, key))
        return;
    if (l->cfg->recipient_delimiter.n && strpbrk(key.p, l->cfg->recipient_delimiter.p))
        return;
    lint_mend(l, x, LDAPMAP_DELETE, attr, value, &ldif);
    lint_found(l, "dangling-target", x->e.dn, &ldif,
               "%s %.*s leads to a hosted domain and to nobody there", attr, STR_FMT(value));
}

static void walk(struct lint *l, struct lint_entry *x, size_t depth)
{
    AUTO_BUF ldif = {0};
    x->walk = LINT_INSIDE;
    for (const char *const *attr = l->tables.targets; *attr; attr++) {
        const struct ldapmap_attr *a = lint_attr(x, *attr);
        for (size_t i = 0; a && i < a->count; i++) {
            struct str key = lint_fold(l, a->values[i]);
            struct lint_entry *to = map_get(l->by_alias, key);
            if (!to || is_own(l, x, key) || to->walk == LINT_SEEN)
                continue;
            if (to->walk == LINT_INSIDE) {
                lint_mend(l, x, LDAPMAP_DELETE, *attr, a->values[i], &ldif);
                lint_found(l, "alias-loop", x->e.dn, &ldif, "%s %.*s leads back to %.*s", *attr,
                           STR_FMT(a->values[i]), STR_FMT(to->e.dn));
            } else if (depth < DEPTH_MAX) {
                walk(l, to, depth + 1);
            }
        }
    }
    x->walk = LINT_SEEN;
}

bool lint_has_alias(const struct lint *l, const struct lint_entry *x)
{
    for (const char *const *attr = l->tables.aliases; *attr; attr++)
        if (lint_attr(x, *attr))
            return true;
    return false;
}

static bool leads_to(struct lint *l, const struct lint_entry *x, struct str key)
{
    for (const char *const *attr = l->tables.targets; *attr; attr++) {
        const struct ldapmap_attr *a = lint_attr(x, *attr);
        for (size_t i = 0; a && i < a->count; i++)
            if (str_eq(lint_fold(l, a->values[i]), key))
                return true;
    }
    return false;
}

/* An alias goes before a mailbox: that one is left with what the alias gives it. */
static void check_over_mailbox(struct lint *l, struct lint_entry *x, const char *attr, struct str value)
{
    struct str key = lint_fold(l, value);
    struct lint_entry *owner = map_get(l->by_mailbox, key);
    AUTO_BUF ldif = {0};
    if (!owner || owner == x || leads_to(l, x, key))
        return;
    lint_mend(l, x, LDAPMAP_DELETE, attr, value, &ldif);
    lint_found(l, "address-twice", x->e.dn, &ldif, "%s %.*s is the mailbox of %.*s, who gets nothing",
               attr, STR_FMT(value), STR_FMT(owner->e.dn));
}

/* Addresses that the alias map alone knows, and what it makes of them. An alias that leads nowhere may
 * be meant; a person's is not. */
static void check_alias(struct lint *l, struct lint_entry *x)
{
    const char *first = NULL;
    bool leads = false;
    for (const char *const *attr = l->tables.aliases; *attr; attr++) {
        const struct ldapmap_attr *a = is_in(l->tables.mailboxes, *attr) ? NULL : lint_attr(x, *attr);
        for (size_t i = 0; a && i < a->count; i++)
            check_over_mailbox(l, x, *attr, a->values[i]);
        if (a && a->count)
            first = *attr;
    }
    for (const char *const *attr = l->tables.targets; *attr; attr++)
        leads = leads || lint_attr(x, *attr);
    if (!x->is_person || !first || leads || !l->tables.targets[0])
        return;
    AUTO_BUF ldif = {0};
    lint_mend(l, x, LDAPMAP_ADD, l->tables.targets[0], STR("NAME"), &ldif);
    lint_found(l, "lacking", x->e.dn, &ldif, "has %s and no %s: these addresses are unknown", first,
               l->tables.targets[0]);
}

void lint_addresses(struct lint *l)
{
    struct str rest = l->cfg->value[config_find(STR("virtual_mailbox_domains")) - config_options];
    struct str piece;
    while (config_map_piece(&rest, &piece))
        if (str_find(piece, ':') < 0)
            map_put(l->domains, lint_fold(l, piece), l);
    for (struct lint_entry *x = l->first; x; x = x->next) {
        own_addresses(l, x, l->tables.aliases, l->by_alias, true);
        if (x->is_person)
            own_addresses(l, x, l->tables.mailboxes, l->by_mailbox, false);
    }
    for (struct lint_entry *x = l->first; x; x = x->next) {
        if (!lint_has_alias(l, x))
            continue;
        check_alias(l, x);
        if (x->walk == LINT_UNSEEN)
            walk(l, x, 0);
        for (const char *const *attr = l->tables.targets; *attr; attr++) {
            const struct ldapmap_attr *a = lint_attr(x, *attr);
            for (size_t i = 0; a && i < a->count; i++)
                check_target(l, x, *attr, a->values[i]);
        }
    }
}
