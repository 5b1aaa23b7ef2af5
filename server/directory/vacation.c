/* What senders are told while an owner is away. */
#include "directory/vacation.h"
#include "directory/resolve.h"

#define ATTRS_MAX 24
#define SUBJECT_MAX 1000  /* messages.def */
#define ADDRESSES_MAX 8000

struct vacation {
    struct dirset *set;
    struct arena *arena;
    struct str address; /* of the mailbox */
    vacation_fn fn;
    void *arg;
    struct ldapmap_search search;
    struct err err;
};

static void end(struct vacation *v, enum verdict verdict)
{
    struct vacation_result r = {.verdict = verdict, .why = v->err.log};
    v->fn(v->arg, &r);
}

static const char *const *wanted_attrs(const struct dirset *set, struct arena *a)
{
    const struct config *cfg = set->cfg;
    const struct str own[] = {
        cfg->account_vacation_text_attribute, cfg->account_vacation_subject_attribute,
        cfg->account_vacation_start_attribute, cfg->account_vacation_end_attribute};
    const char **v = arena_array(a, ATTRS_MAX + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i].n)
            v[n++] = arena_strz(a, own[i]);
    for (size_t i = 0; i < cfg->group_member_attributes.n && n < ATTRS_MAX; i++)
        v[n++] = arena_strz(a, cfg->group_member_attributes.v[i]);
    return v;
}

/* "*@example.com" names a domain's rest, and is nobody's address. */
static void add_addresses(const struct ldapmap_attr *attr, struct buf *out)
{
    for (size_t i = 0; attr && i < attr->count; i++) {
        struct str value = attr->values[i];
        if (str_find(value, '@') > 0 && value.p[0] != '*' && str_is_text(value) &&
            out->n + value.n < ADDRESSES_MAX)
            buf_printf(out, "%.*s\n", STR_FMT(value));
    }
}

static struct str addresses(struct vacation *v, const struct ldapmap_entry *entry)
{
    const struct config_list *names = &v->set->cfg->group_member_attributes;
    AUTO_BUF out = BUF_MAX(ADDRESSES_MAX);
    buf_printf(&out, "%.*s\n", STR_FMT(v->address));
    for (size_t i = 0; i < names->n; i++)
        add_addresses(ldapmap_entry_attr(entry, arena_strz(v->arena, names->v[i])), &out);
    return arena_str(v->arena, buf_view(&out));
}

static struct str subject(struct vacation *v, const struct ldapmap_entry *entry)
{
    struct str name = v->set->cfg->account_vacation_subject_attribute;
    const struct ldapmap_attr *attr =
        name.n ? ldapmap_entry_attr(entry, arena_strz(v->arena, name)) : NULL;
    bool fits = attr && attr->count && attr->values[0].n <= SUBJECT_MAX &&
                str_is_text(attr->values[0]);
    return fits ? attr->values[0] : (struct str){0};
}

static void on_entry(void *arg, const struct search_result *found)
{
    struct vacation *v = arg;
    struct vacation_result r = {.verdict = VERDICT_YES, .why = ""};
    if (found->code != LDAP_SUCCESS || found->count != 1) {
        err_temp(&v->err, "%s: %s", v->search.base, ldap_err2string(found->code));
        end(v, VERDICT_CANNOT_SAY);
        return;
    }
    const struct ldapmap_entry *entry = &found->entries[0];
    int away = account_vacation(v->set->cfg, entry, &r.text, &v->err);
    if (away <= 0) {
        end(v, away == 0 ? VERDICT_NO : VERDICT_CANNOT_SAY);
        return;
    }
    r.subject = subject(v, entry);
    r.addresses = addresses(v, entry);
    v->fn(v->arg, &r);
}

static void on_resolved(void *arg, const struct resolve_result *r)
{
    struct vacation *v = arg;
    const struct resolve_target *t = r->count == 1 ? &r->targets[0] : NULL;
    if (r->verdict == VERDICT_CANNOT_SAY) {
        err_temp(&v->err, "%s", r->why);
        end(v, VERDICT_CANNOT_SAY);
        return;
    }
    if (!t || t->remote || !t->box.account.away || t->box.dn.n == 0) {
        end(v, VERDICT_NO);
        return;
    }
    v->search = (struct ldapmap_search){.base = arena_strz(v->arena, t->box.dn),
                                        .scope = LDAPMAP_SCOPE_BASE,
                                        .filter = "(objectClass=*)",
                                        .attrs = wanted_attrs(v->set, v->arena),
                                        .sizelimit = 2,
                                        .timelimit = (int)v->set->shared.timeout,
                                        .deref = (int)v->set->shared.dereference};
    picture_search(v->set->picture, v->set->searcher, v->arena, &v->search, 0, on_entry, v);
}

void vacation_run(struct dirset *set, struct arena *a, struct str address, vacation_fn fn, void *arg)
{
    struct vacation *v = ARENA_NEW(a, struct vacation);
    *v = (struct vacation){.set = set, .arena = a, .fn = fn, .arg = arg};
    v->address = arena_str(a, address);
    resolve_run(set, v->address, (struct str){0}, RESOLVE_FINAL | RESOLVE_ANY_SENDER, on_resolved,
                v);
}
