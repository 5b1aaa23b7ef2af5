/* A mailbox out of the directory's answers. */
#include "directory/box.h"

#define DN(s) STR_FMT(str_head((s), 200))

void box_wants(const struct dirset *set, struct lookup_want wants[BOX_WANTS])
{
    wants[BOX_MAILDIR] = (struct lookup_want){.map = &set->mailbox_maps};
    wants[BOX_UID] = (struct lookup_want){.map = &set->uid_maps};
    wants[BOX_GID] = (struct lookup_want){.map = &set->gid_maps};
    wants[BOX_LIMIT] = (struct lookup_want){.map = &set->limit_maps};
}

/* --- one value of one map --- */

/* The attributes a map's last source reads, for messages. */
static struct str attr_names(struct arena *a, const struct lookup_want *w)
{
    struct str names = {0};
    if (!w->source || w->source->kind != SOURCE_LDAP)
        return STR("value");
    const char *const *v = ldapmap_table_attrs(w->source->table);
    for (size_t i = 0; v[i]; i++)
        names = arena_concat(a, names.n ? arena_concat(a, names, STR("/")) : names, str_from(v[i]));
    return names.n ? names : STR("value");
}

static struct str root_dn(const struct lookup_want *w, size_t i)
{
    const struct ldapmap_entry *entry = lookup_entry(w, i);
    return entry ? entry->dn : (struct str){0};
}

static int report_missing(struct arena *a, const struct lookup_want *w,
                          const struct ldapmap_entry *entry, struct err *e)
{
    struct str names = attr_names(a, w);
    if (entry)
        return err_temp(e, "%s: %.*s has no %.*s", w->map->option, DN(entry->dn), STR_FMT(names));
    return err_temp(e, "%s: has no answer for an address that virtual_mailbox_maps knows",
                    w->map->option);
}

static int report_several(struct arena *a, const struct lookup_want *w, struct err *e)
{
    struct str names = attr_names(a, w), first = root_dn(w, 0), second = root_dn(w, 1);
    if (str_eq(first, second))
        return err_temp(e, "%s: %.*s has %zu values of %.*s where one is needed", w->map->option,
                        DN(first), w->count, STR_FMT(names));
    return err_temp(e, "%s: %zu entries have this address: %.*s and %.*s", w->map->option, w->count,
                    DN(first), DN(second));
}

/* An entry with this address that is a person's and yet gives no value. Entries that are aliases
 * alone match a mailbox filter such as maildrop=%s too, and have nothing of a mailbox. */
static const struct ldapmap_entry *broken_entry(const struct dirset *set,
                                                const struct lookup_want *w)
{
    size_t n = w->query && w->answer == LDAPMAP_NO ? ldapmap_query_entry_count(w->query) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct ldapmap_entry *entry = ldapmap_query_entry_at(w->query, i);
        for (const char *const *attr = set->extra_attrs; *attr; attr++)
            if (ldapmap_entry_attr(entry, *attr))
                return entry;
    }
    return NULL;
}

/* Exactly one value, or an error. */
static int only_value(const struct dirset *set, struct arena *a, const struct lookup_want *w,
                      struct str *out, struct err *e)
{
    if (w->answer == LDAPMAP_CANNOT_SAY)
        return err_temp(e, "%s", w->why);
    if (w->answer == LDAPMAP_NO || w->count == 0)
        return report_missing(a, w, broken_entry(set, w), e);
    if (w->count > 1)
        return report_several(a, w, e);
    *out = w->values[0].value;
    return 0;
}

/* Puts the entry and the map before what mailbox.h found wrong with a value. */
static int blame(const struct lookup_want *w, struct err *e)
{
    struct str dn = root_dn(w, 0);
    e->kind = ERR_TEMPORARY;
    return dn.n ? err_prefix(e, "%s: %.*s", w->map->option, DN(dn))
                : err_prefix(e, "%s", w->map->option);
}

static int read_id(const struct dirset *set, struct arena *a, const struct lookup_want *w,
                   uint32_t *out, struct err *e)
{
    struct str value;
    if (only_value(set, a, w, &value, e) != 0)
        return -1;
    const char *what = arena_strz(a, attr_names(a, w));
    return mailbox_id_read(&set->mailboxes, what, value, out, e) == 0 ? 0 : blame(w, e);
}

int box_limit(const struct lookup_want *want, uint64_t *limit, struct err *e)
{
    if (want->answer == LDAPMAP_CANNOT_SAY)
        return err_temp(e, "%s", want->why);
    if (want->answer == LDAPMAP_NO)
        return 0;
    if (want->count != 1 || account_size_of(want->values[0].value, limit) != 0) {
        err_temp(e, "\"%.*s\" is not one size", STR_FMT(str_head(want->values[0].value, 50)));
        return blame(want, e);
    }
    return 0;
}

/* --- a mailbox address --- */

static void take_login(const struct dirset *set, const struct ldapmap_entry *entry, struct str name,
                       struct box *out)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(entry, set->name_attr);
    out->login = attr && attr->count ? attr->values[0] : (struct str){0};
    for (size_t i = 0; attr && i < attr->count; i++)
        if (str_caseeq(attr->values[i], name))
            out->login = attr->values[i];
}

static void take_home(const struct dirset *set, const struct ldapmap_entry *entry, struct box *out)
{
    const struct ldapmap_attr *attr = entry ? ldapmap_entry_attr(entry, set->home_attr) : NULL;
    out->m.home = mailbox_home(&set->mailboxes, out->m.maildir, attr ? attr->values : NULL,
                               attr ? attr->count : 0);
}

/* State, forwarding and room; entry may be NULL. */
static int take_account(const struct dirset *set, const struct ldapmap_entry *entry,
                        struct box *out, struct err *e)
{
    out->limit = set->cfg->virtual_mailbox_limit;
    if (account_read(set->cfg, entry, &out->account, e) != 0)
        return -1;
    struct str quota = out->account.quota;
    if (quota.p && account_size_of(quota, &out->limit) != 0)
        return err_temp(e, "%.*s: %.*s \"%.*s\" is no size", DN(entry->dn),
                        STR_FMT(set->cfg->account_quota_attribute), STR_FMT(str_head(quota, 50)));
    return 0;
}

enum verdict box_read(const struct dirset *set, struct arena *a,
                      const struct lookup_want wants[BOX_WANTS], struct box *out, struct err *e)
{
    const struct lookup_want *maildir = &wants[BOX_MAILDIR];
    struct str path;
    *out = (struct box){0};
    if (maildir->answer == LDAPMAP_NO && !broken_entry(set, maildir))
        return VERDICT_NO;
    if (only_value(set, a, maildir, &path, e) != 0)
        return VERDICT_CANNOT_SAY;
    const char *what = arena_strz(a, attr_names(a, maildir));
    if (mailbox_path_read(&set->mailboxes, what, path, true, &out->m.maildir, e) != 0) {
        blame(maildir, e);
        return VERDICT_CANNOT_SAY;
    }
    if (read_id(set, a, &wants[BOX_UID], &out->m.uid, e) != 0 ||
        read_id(set, a, &wants[BOX_GID], &out->m.gid, e) != 0)
        return VERDICT_CANNOT_SAY;
    const struct ldapmap_entry *entry = lookup_entry(maildir, 0);
    if (take_account(set, entry, out, e) != 0 ||
        box_limit(&wants[BOX_LIMIT], &out->limit, e) != 0)
        return VERDICT_CANNOT_SAY;
    take_home(set, entry, out);
    if (entry) {
        out->dn = entry->dn;
        take_login(set, entry, (struct str){0}, out);
    }
    return VERDICT_YES;
}

/* --- a user's entry --- */

static int entry_value(const struct ldapmap_entry *entry, const char *name, struct str *out,
                       struct err *e)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(entry, name);
    if (!attr || attr->count == 0)
        return err_temp(e, "%.*s has no %s", DN(entry->dn), name);
    if (attr->count > 1)
        return err_temp(e, "%.*s has %zu values of %s where one is needed", DN(entry->dn),
                        attr->count, name);
    *out = attr->values[0];
    return 0;
}

static int entry_id(const struct dirset *set, const struct ldapmap_entry *entry, const char *name,
                    uint32_t *out, struct err *e)
{
    struct str value;
    if (entry_value(entry, name, &value, e) != 0)
        return -1;
    if (mailbox_id_read(&set->mailboxes, name, value, out, e) != 0) {
        e->kind = ERR_TEMPORARY;
        return err_prefix(e, "%.*s", DN(entry->dn));
    }
    return 0;
}

static int entry_paths(const struct dirset *set, struct arena *a, const struct ldapmap_entry *entry,
                       struct mailbox *m, struct err *e)
{
    struct str value;
    if (entry_value(entry, set->home_attr, &value, e) != 0)
        return -1;
    if (mailbox_path_read(&set->mailboxes, set->home_attr, value, false, &m->home, e) == 0) {
        struct str slash = arena_concat(a, m->home, STR("/"));
        struct str maildir = arena_concat(a, slash, set->mail_below_home);
        if (mailbox_path_read(&set->mailboxes, "mail_location", maildir, true, &m->maildir, e) == 0)
            return 0;
    }
    e->kind = ERR_TEMPORARY;
    return err_prefix(e, "%.*s", DN(entry->dn));
}

int box_of_entry(const struct dirset *set, struct arena *a, const struct ldapmap_entry *entry,
                 struct str name, struct box *out, struct err *e)
{
    *out = (struct box){.dn = entry->dn};
    if (entry_id(set, entry, set->uid_attr, &out->m.uid, e) != 0 ||
        entry_id(set, entry, set->gid_attr, &out->m.gid, e) != 0 ||
        entry_paths(set, a, entry, &out->m, e) != 0)
        return -1;
    take_login(set, entry, name, out);
    if (take_account(set, entry, out, e) != 0)
        return -1;
    if (out->login.n == 0 || out->login.n > NAME_LOGIN_MAX || !str_is_text(out->login))
        return err_temp(e, "%.*s has no %s that can be a login name", DN(entry->dn),
                        set->name_attr);
    return 0;
}
