/* Lint: addresses, people and members. */
#include "tools/lint.h"

#define DEPTH_MAX 1000

/* --- taking in --- */

void lint_take(void *lint, const struct ldapmap_entry *entry)
{
    struct lint *l = lint;
    struct lint_entry *x = ARENA_NEW(l->arena, struct lint_entry);
    uint64_t uid;
    ldapmap_entry_copy(l->arena, entry, &x->e);
    x->is_person = lint_attr(x, l->home_attr) || lint_attr(x, l->uid_attr) ||
                   lint_attr(x, l->gid_attr);
    *l->last = x;
    l->last = &x->next;
    map_put(l->by_dn, lint_fold(l, x->e.dn), x);
    if (x->is_person && lint_value(x, l->name_attr).n)
        map_put(l->by_name, lint_fold(l, lint_value(x, l->name_attr)), x);
    if (str_u64(lint_value(x, l->uid_attr), &uid) == 0 && uid > l->top_uid)
        l->top_uid = uid;
}

void lint_mend(struct lint *l, const struct lint_entry *x, enum ldapmap_change_kind kind,
               const char *attr, struct str value, struct buf *out)
{
    struct ldapmap_change change = {kind, attr, value.p ? arena_strz(l->arena, value) : NULL};
    buf_clear(out);
    access_ldif_modify(out, arena_strz(l->arena, x->e.dn), &change, 1);
}

/* --- addresses --- */

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

/* Is it one of the entry's own addresses? An alias that leads to itself ends there. */
static bool is_own(struct lint *l, const struct lint_entry *x, struct str key)
{
    return map_get(l->by_alias, key) == x;
}

static void check_target(struct lint *l, struct lint_entry *x, const char *attr, struct str value)
{
    struct str key = lint_fold(l, value);
    ptrdiff_t at = str_rfind(key, '@');
    AUTO_BUF ldif = {0};
    if (at <= 0 || map_get(l->by_alias, key) || map_get(l->by_mailbox, key) ||
        !map_get(l->domains, str_skip(key, (size_t)at + 1)) ||
        map_get(l->by_alias, str_skip(key, (size_t)at)))
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

static bool has_alias(const struct lint *l, const struct lint_entry *x)
{
    for (const char *const *attr = l->tables.aliases; *attr; attr++)
        if (lint_attr(x, *attr))
            return true;
    return false;
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
        if (!has_alias(l, x))
            continue;
        if (x->walk == LINT_UNSEEN)
            walk(l, x, 0);
        for (const char *const *attr = l->tables.targets; *attr; attr++) {
            const struct ldapmap_attr *a = lint_attr(x, *attr);
            for (size_t i = 0; a && i < a->count; i++)
                check_target(l, x, *attr, a->values[i]);
        }
    }
}

/* --- people --- */

static void check_uid(struct lint *l, struct lint_entry *x)
{
    struct str text = lint_value(x, l->uid_attr);
    uint64_t uid, floor = (uint64_t)l->cfg->virtual_minimum_uid;
    uint64_t next = l->top_uid >= floor ? l->top_uid + 1 : floor;
    AUTO_BUF ldif = {0};
    if (!text.p)
        return;
    bool low = str_u64(text, &uid) != 0 || uid < floor || uid > 4294967294;
    struct lint_entry *other = map_put(l->by_uid, arena_str(l->arena, text), x);
    if (!low && !other)
        return;
    lint_mend(l, x, LDAPMAP_REPLACE, l->uid_attr,
         arena_printf(l->arena, "%llu", (unsigned long long)next), &ldif);
    l->top_uid = next;
    if (low)
        lint_found(l, "uid-low", x->e.dn, &ldif, "%s %.*s is no number from virtual_minimum_uid, %llu, up",
                   l->uid_attr, STR_FMT(text), (unsigned long long)floor);
    else
        lint_found(l, "uid-shared", x->e.dn, &ldif, "%s %.*s is that of %.*s too: each could read "
                   "the other's mail", l->uid_attr, STR_FMT(text), STR_FMT(other->e.dn));
}

static bool is_below(struct str path, struct str base)
{
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (path.n <= base.n + 1 || !str_starts(path, base) || path.p[base.n] != '/')
        return false;
    struct str rest = str_skip(path, base.n), part;
    while (str_token(&rest, "/", &part))
        if (str_eq(part, STR("..")) || str_eq(part, STR(".")))
            return false;
    return true;
}

static struct str good_home(struct lint *l, const struct lint_entry *x)
{
    struct str name = lint_value(x, l->name_attr);
    return arena_printf(l->arena, "%.*s/%.*s", STR_FMT(l->cfg->virtual_mailbox_base),
                        STR_FMT(name.n && str_find(name, '/') < 0 ? name : STR("NAME")));
}

static void check_home(struct lint *l, struct lint_entry *x)
{
    struct str home = lint_value(x, l->home_attr);
    AUTO_BUF ldif = {0};
    if (!home.p || is_below(home, l->cfg->virtual_mailbox_base))
        return;
    lint_mend(l, x, LDAPMAP_REPLACE, l->home_attr, good_home(l, x), &ldif);
    lint_found(l, "path-outside", x->e.dn, &ldif, "%s %.*s does not lie below %.*s", l->home_attr,
               STR_FMT(home), STR_FMT(l->cfg->virtual_mailbox_base));
}

static void check_lacking(struct lint *l, struct lint_entry *x)
{
    const char *const attrs[] = {l->home_attr, l->uid_attr, l->gid_attr, l->name_attr};
    uint64_t floor = (uint64_t)l->cfg->virtual_minimum_uid;
    for (size_t i = 0; i < sizeof attrs / sizeof attrs[0]; i++) {
        AUTO_BUF ldif = {0};
        if (lint_value(x, attrs[i]).n)
            continue;
        uint64_t next = l->top_uid >= floor ? l->top_uid + 1 : floor;
        struct str value = i == 0   ? good_home(l, x)
                           : i == 3 ? STR("NAME")
                                    : arena_printf(l->arena, "%llu", (unsigned long long)next);
        lint_mend(l, x, LDAPMAP_ADD, attrs[i], value, &ldif);
        lint_found(l, "lacking", x->e.dn, &ldif, "has no %s, which delivery and login need", attrs[i]);
    }
}

/* Those who have an address, or could be taken for somebody who logs in. */
void lint_persons(struct lint *l)
{
    for (struct lint_entry *x = l->first; x; x = x->next) {
        bool has_address = has_alias(l, x);
        for (const char *const *attr = l->tables.mailboxes; *attr; attr++)
            has_address = has_address || lint_attr(x, *attr);
        if (!x->is_person || !has_address)
            continue;
        check_lacking(l, x);
        check_home(l, x);
        check_uid(l, x);
    }
}

/* --- members --- */

static void nothing(void *arg, const struct ldapmap_entry *entry)
{
    (void)arg;
    (void)entry;
}

/* 1: it is there; 0: it is not; -1: l->err. */
static int exists(struct lint *l, struct str dn)
{
    static const char *const none[] = {"1.1", NULL};
    if (map_get(l->by_dn, lint_fold(l, dn)))
        return 1;
    int r = ldapmap_client_search(l->client, arena_strz(l->arena, dn), LDAPMAP_SCOPE_BASE,
                                  "(objectClass=*)", none, nothing, NULL, &l->err);
    return r < 0 ? -1 : r != LDAPMAP_CLIENT_NONE;
}

static int check_members(struct lint *l, struct lint_entry *x, const char *attr, bool is_dn)
{
    const struct ldapmap_attr *a = lint_attr(x, attr);
    for (size_t i = 0; a && i < a->count; i++) {
        AUTO_BUF ldif = {0};
        int there = is_dn ? exists(l, a->values[i])
                          : map_get(l->by_name, lint_fold(l, a->values[i])) != NULL;
        if (there < 0)
            return -1;
        if (there)
            continue;
        lint_mend(l, x, LDAPMAP_DELETE, attr, a->values[i], &ldif);
        lint_found(l, "dangling-member", x->e.dn, &ldif, "%s %.*s does not exist", attr,
                   STR_FMT(a->values[i]));
    }
    return 0;
}

int lint_members(struct lint *l)
{
    for (struct lint_entry *x = l->first; x; x = x->next)
        if (check_members(l, x, "member", true) != 0 ||
            check_members(l, x, "uniqueMember", true) != 0 ||
            check_members(l, x, "memberUid", false) != 0)
            return -1;
    return 0;
}
