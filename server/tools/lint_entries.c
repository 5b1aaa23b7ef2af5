/* Lint: entries as they are taken in, people and members. */
#include "tools/lint.h"
#include "tools/tools.h"

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

/* --- people --- */

static bool is_id(const struct lint *l, struct str text)
{
    uint64_t id;
    return str_u64(text, &id) == 0 && id >= (uint64_t)l->cfg->virtual_minimum_uid && id <= TOOL_ID_MAX;
}

static void check_uid(struct lint *l, struct lint_entry *x)
{
    struct str text = lint_value(x, l->uid_attr);
    uint64_t floor = (uint64_t)l->cfg->virtual_minimum_uid;
    uint64_t next = l->top_uid >= floor ? l->top_uid + 1 : floor;
    AUTO_BUF ldif = {0};
    if (!text.p)
        return;
    bool low = !is_id(l, text);
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

/* The group that is his alone, where his uid can be one. */
static void check_gid(struct lint *l, struct lint_entry *x)
{
    struct str text = lint_value(x, l->gid_attr), uid = lint_value(x, l->uid_attr);
    uint64_t floor = (uint64_t)l->cfg->virtual_minimum_uid;
    AUTO_BUF ldif = {0};
    if (!text.p || is_id(l, text))
        return;
    if (!is_id(l, uid))
        uid = arena_printf(l->arena, "%llu", (unsigned long long)floor);
    lint_mend(l, x, LDAPMAP_REPLACE, l->gid_attr, uid, &ldif);
    lint_found(l, "gid-low", x->e.dn, &ldif, "%s %.*s is no number from virtual_minimum_uid, %llu, up",
               l->gid_attr, STR_FMT(text), (unsigned long long)floor);
}

static struct str good_home(struct lint *l, const struct lint_entry *x)
{
    struct str name = lint_value(x, l->name_attr);
    return arena_printf(l->arena, "%.*s/%.*s", STR_FMT(l->cfg->virtual_mailbox_base),
                        STR_FMT(name.n && str_find(name, '/') < 0 ? name : STR("NAME")));
}

static void check_home(struct lint *l, struct lint_entry *x)
{
    struct str home = lint_value(x, l->home_attr), key = home;
    AUTO_BUF ldif = {0};
    if (!home.p)
        return;
    while (key.n > 1 && key.p[key.n - 1] == '/')
        key.n--;
    struct lint_entry *other = map_put(l->by_home, key, x);
    bool outside = !tool_is_below(home, l->cfg->virtual_mailbox_base);
    if (!outside && !other)
        return;
    lint_mend(l, x, LDAPMAP_REPLACE, l->home_attr, good_home(l, x), &ldif);
    if (outside)
        lint_found(l, "path-outside", x->e.dn, &ldif, "%s %.*s does not lie below %.*s", l->home_attr,
                   STR_FMT(home), STR_FMT(l->cfg->virtual_mailbox_base));
    else
        lint_found(l, "home-shared", x->e.dn, &ldif, "%s %.*s is that of %.*s too", l->home_attr,
                   STR_FMT(home), STR_FMT(other->e.dn));
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
        bool has_address = lint_has_alias(l, x);
        for (const char *const *attr = l->tables.mailboxes; *attr; attr++)
            has_address = has_address || lint_attr(x, *attr);
        if (!x->is_person || !has_address)
            continue;
        check_lacking(l, x);
        check_home(l, x);
        check_uid(l, x);
        check_gid(l, x);
    }
}

/* --- members --- */

static void nothing(void *arg, const struct ldapmap_entry *entry)
{
    (void)arg;
    (void)entry;
}

/* 1: it is there; 0: it is not; -1: l->err. A DN without parts stands for nobody: groups that must
 * have a member have it while they are empty. */
static int exists(struct lint *l, struct str dn)
{
    static const char *const none[] = {"1.1", NULL};
    if (dn.n == 0 || map_get(l->by_dn, lint_fold(l, dn)))
        return 1;
    int r = ldapmap_client_search(l->client, arena_strz(l->arena, dn), LDAPMAP_SCOPE_BASE,
                                  "(objectClass=*)", none, nothing, NULL, &l->err);
    return r < 0 ? -1 : r != LDAPMAP_CLIENT_NONE;
}

/* RFC 4517 section 3.3.21: a value of uniqueMember may end in a bit string behind "#". */
static struct str only_dn(struct str value)
{
    ptrdiff_t at = str_rfind(value, '#');
    bool bits = at > 0 && at + 2 < (ptrdiff_t)value.n && value.p[at + 1] == '\'' &&
                value.p[value.n - 1] == 'B';
    return bits ? str_head(value, (size_t)at) : value;
}

/* In the classes of RFC 4519 section 3.5 a group must have a member. 389 Directory Server and Active
 * Directory, which have no name without parts, do not ask for one. */
static bool needs_member(const struct lint *l, const struct lint_entry *x)
{
    const struct ldapmap_attr *a = lint_attr(x, "objectClass");
    for (size_t i = 0; l->is_openldap && a && i < a->count; i++)
        if (str_caseeq(a->values[i], STR("groupOfNames")) ||
            str_caseeq(a->values[i], STR("groupOfUniqueNames")))
            return true;
    return false;
}

/* left: how many of the attribute's values no finding has taken away yet. */
static void found_dangling(struct lint *l, const struct lint_entry *x, const char *attr,
                           struct str value, size_t left)
{
    AUTO_BUF ldif = {0};
    bool last = left == 1 && needs_member(l, x);
    lint_mend(l, x, last ? LDAPMAP_REPLACE : LDAPMAP_DELETE, attr, last ? STR("") : value, &ldif);
    lint_found(l, "dangling-member", x->e.dn, &ldif, "%s %.*s does not exist%s", attr, STR_FMT(value),
               last ? "; the group has no other" : "");
}

static int check_members(struct lint *l, struct lint_entry *x, const char *attr, bool is_dn)
{
    const struct ldapmap_attr *a = lint_attr(x, attr);
    size_t left = a ? a->count : 0;
    for (size_t i = 0; a && i < a->count; i++) {
        int there = is_dn ? exists(l, only_dn(a->values[i]))
                          : map_get(l->by_name, lint_fold(l, a->values[i])) != NULL;
        if (there < 0)
            return -1;
        if (!there)
            found_dangling(l, x, attr, a->values[i], left--);
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
