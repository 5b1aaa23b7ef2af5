/* Groups as mailing lists. */
#include "directory/group.h"
#include "base/clock.h"
#include "base/map.h"
#include "directory/trace.h"

#define AT_ONCE 32 /* entries of members that are read at the same time */
#define ATTRS_MAX 24

enum post { POST_ANYONE, POST_MEMBERS, POST_OWNER, POST_LISTED };

struct group {
    struct dirset *set;
    struct arena *arena;
    struct searcher *searcher;
    group_fn fn;
    void *arg;
    bool *stale;
    bool has_sender, vouched;
    struct name_address sender;
    enum post post;
    bool is_member, is_owner, is_listed; /* the sender */
    struct str errors_to;
    size_t errors_rank; /* the place of the owner's entry that errors_to is from */
    const char *const *attrs; /* of members */
    struct map *seen; /* DNs, and user names */
    struct entry *waiting, **last;
    size_t entries, under_way;
    struct name_address *members;
    size_t count, cap;
    bool failed;
    struct err err;
};

/* The entry of a member or an owner, to be read. */
struct entry {
    struct entry *next;
    struct group *group;
    bool owner;
    size_t rank;     /* its place in the order in which entries are named */
    struct str name; /* DN or user name */
    struct ldapmap_search search;
    int64_t began;
};

static void read_more(struct group *g);

const char *const *group_attrs(const struct dirset *set, struct arena *a)
{
    static const char *const own[] = {"member", "uniqueMember", "memberUid", "owner",
                                      "facteurListMember", "facteurListPost", "facteurListOwner",
                                      "facteurListPoster"};
    const struct config_list *more = &set->cfg->group_member_attributes;
    const char **v = arena_array(a, ATTRS_MAX + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        v[n++] = own[i];
    v[n++] = set->uid_attr;
    for (size_t i = 0; i < more->n && n < ATTRS_MAX; i++)
        v[n++] = arena_strz(a, more->v[i]);
    v[n] = NULL;
    return v;
}

static void fail(struct group *g)
{
    g->failed = true;
    g->waiting = NULL;
}

/* --- addresses --- */

static bool is_sender(const struct group *g, const struct name_address *a)
{
    const struct name_address *s = &g->sender;
    return g->has_sender &&
           (str_eq(s->key, a->key) || (s->short_key.n && str_eq(s->short_key, a->key)));
}

/* False: it is no address. */
static bool read_address(struct group *g, struct str text, struct name_address *out)
{
    struct err ignored = {0};
    return str_find(text, '@') > 0 &&
           name_address_read(g->arena, &g->set->names, text, out, &ignored) == 0;
}

static void add_member(struct group *g, const struct name_address *a)
{
    if (g->count == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct name_address *v = arena_array(g->arena, cap, sizeof *v);
        if (g->count)
            memcpy(v, g->members, g->count * sizeof *v);
        g->members = v;
        g->cap = cap;
    }
    g->members[g->count++] = *a;
}

/* The first owner who has an address is told of what fails. */
static void note_owner(struct group *g, size_t rank, const struct name_address *a)
{
    if (g->errors_to.n && rank >= g->errors_rank)
        return;
    g->errors_to = a->printed;
    g->errors_rank = rank;
}

static bool has_sender(struct group *g, const struct ldapmap_entry *e, const char *name)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(e, name);
    struct name_address a;
    for (size_t i = 0; attr && i < attr->count; i++)
        if (read_address(g, attr->values[i], &a) && is_sender(g, &a))
            return true;
    return false;
}

/* The first address is where mail goes; any may be the sender's. */
static void take_person(struct group *g, const struct ldapmap_entry *e, const struct entry *of)
{
    const struct config_list *names = &g->set->cfg->group_member_attributes;
    bool found = false, sends = false;
    bool counts = g->vouched || !ldapmap_entry_attr(e, g->set->uid_attr);
    for (size_t i = 0; i < names->n; i++) {
        const char *name = arena_strz(g->arena, names->v[i]);
        const struct ldapmap_attr *attr = ldapmap_entry_attr(e, name);
        struct name_address a;
        for (size_t k = 0; !found && attr && k < attr->count; k++) {
            found = read_address(g, attr->values[k], &a);
            if (found && of->owner)
                note_owner(g, of->rank, &a);
            else if (found)
                add_member(g, &a);
        }
        sends = sends || (counts && has_sender(g, e, name));
    }
    g->is_owner = g->is_owner || (of->owner && sends);
    g->is_member = g->is_member || (!of->owner && sends);
    if (!found)
        trace_decision(g->set->trace, "%.*s has no address: left out", STR_FMT(e->dn));
}

/* --- entries to be read --- */

static struct entry *entry_new(struct group *g, struct str name, struct str key, bool owner)
{
    size_t most = 4 * (size_t)g->set->cfg->virtual_alias_expansion_limit;
    struct str marked = arena_concat(g->arena, owner ? STR("o") : STR("m"), key);
    if (g->failed || map_put(g->seen, marked, g))
        return NULL;
    if (++g->entries > most) {
        err_temp(&g->err, "a group has more than %zu members, four times "
                          "virtual_alias_expansion_limit", most);
        fail(g);
        return NULL;
    }
    struct entry *e = ARENA_NEW(g->arena, struct entry);
    *e = (struct entry){.group = g, .owner = owner, .rank = g->entries, .name = name};
    e->search = (struct ldapmap_search){.scope = LDAPMAP_SCOPE_BASE,
                                        .filter = "(objectClass=*)",
                                        .attrs = g->attrs,
                                        .sizelimit = 2,
                                        .timelimit = (int)g->set->shared.timeout,
                                        .deref = (int)g->set->shared.dereference};
    *g->last = e;
    g->last = &e->next;
    return e;
}

/* RFC 4517 section 3.3.21: a value of uniqueMember may end in a bit string behind "#". */
static struct str only_dn(struct str value)
{
    ptrdiff_t at = str_rfind(value, '#');
    bool bits = at > 0 && at + 2 < (ptrdiff_t)value.n && value.p[at + 1] == '\'' &&
                value.p[value.n - 1] == 'B';
    return bits ? str_head(value, (size_t)at) : value;
}

static void add_dns(struct group *g, const struct ldapmap_entry *of, const char *name, bool owner)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(of, name);
    for (size_t i = 0; attr && i < attr->count; i++) {
        struct str dn = only_dn(attr->values[i]), key = name_dn(g->arena, dn);
        struct entry *e = key.n ? entry_new(g, dn, key, owner) : NULL;
        if (e)
            e->search.base = arena_strz(g->arena, dn);
        else if (!key.n)
            trace_decision(g->set->trace, "%.*s is no DN: left out", STR_FMT(dn));
    }
}

static void add_names(struct group *g, const struct ldapmap_entry *of)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(of, "memberUid");
    for (size_t i = 0; attr && i < attr->count; i++) {
        struct str key = arena_concat(g->arena, STR("="), attr->values[i]);
        struct entry *e = entry_new(g, attr->values[i], key, false);
        AUTO_BUF filter = {0};
        if (!e)
            continue;
        buf_printf(&filter, "(%s=", g->set->name_attr);
        ldapmap_escape_filter(&filter, attr->values[i]);
        buf_byte(&filter, ')');
        e->search.base = arena_strz(g->arena, g->set->shared.search_base);
        e->search.scope = (int)g->set->shared.scope;
        e->search.filter = arena_strz(g->arena, buf_view(&filter));
    }
}

static void take_members(struct group *g, const struct ldapmap_entry *e)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(e, "facteurListMember");
    add_dns(g, e, "member", false);
    add_dns(g, e, "uniqueMember", false);
    add_names(g, e);
    for (size_t i = 0; attr && i < attr->count; i++) {
        struct name_address a;
        if (!read_address(g, attr->values[i], &a)) {
            trace_decision(g->set->trace, "%.*s is no address: left out", STR_FMT(attr->values[i]));
            continue;
        }
        g->is_member = g->is_member || is_sender(g, &a);
        add_member(g, &a);
    }
}

static bool is_group(const struct ldapmap_entry *e)
{
    static const char *const names[] = {"member", "uniqueMember", "memberUid", "facteurListMember"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (ldapmap_entry_attr(e, names[i]))
            return true;
    return false;
}

/* --- the end --- */

static bool may_post(const struct group *g)
{
    switch (g->post) {
    case POST_MEMBERS:
        return g->is_member || g->is_owner;
    case POST_OWNER:
        return g->is_owner;
    case POST_LISTED:
        return g->is_listed || g->is_owner;
    default:
        return true;
    }
}

static void end(struct group *g)
{
    static const char *const who[] = {
        "anyone may post to this list", "only its members may post to this list",
        "only its owner may post to this list", "only those it names may post to this list"};
    struct group_result r = {.answer = LDAPMAP_YES, .may_post = may_post(g), .members = g->members,
                             .count = g->count, .errors_to = g->errors_to,
                             .closed = g->post == POST_OWNER || g->post == POST_LISTED,
                             .why = who[g->post]};
    map_free(g->seen, NULL);
    if (g->failed)
        r = (struct group_result){.answer = LDAPMAP_CANNOT_SAY, .why = g->err.log};
    else
        trace_decision(g->set->trace, "a group of %zu addresses: %s%s", g->count, r.why,
                       r.may_post ? "" : ", and the sender is none of them");
    g->fn(g->arg, &r);
}

/* --- answers --- */

/* Whether there is an entry to take. Who is gone is left out: one name does not stop the list. */
static bool has_entry(struct group *g, const struct entry *e, const struct search_result *r)
{
    bool gone = r->code == LDAP_NO_SUCH_OBJECT || (r->code == LDAP_SUCCESS && r->count == 0);
    if (gone && !r->stale) {
        trace_decision(g->set->trace, "%.*s does not exist: left out", STR_FMT(e->name));
        return false;
    }
    if (!gone && r->code == LDAP_SUCCESS && r->count == 1)
        return true;
    if (r->count > 1)
        err_temp(&g->err, "a group's member %.*s is several entries: %.*s and %.*s",
                 STR_FMT(str_head(e->name, 100)), STR_FMT(str_head(r->entries[0].dn, 120)),
                 STR_FMT(str_head(r->entries[1].dn, 120)));
    else
        err_temp(&g->err, "a group's member %.*s: %s: %.*s", STR_FMT(str_head(e->name, 200)),
                 gone ? "not known before an outage" : ldap_err2string(r->code),
                 STR_FMT(str_head(r->diagnostic, 200)));
    fail(g);
    return false;
}

static void on_entry(void *arg, const struct search_result *r)
{
    struct entry *e = arg;
    struct group *g = e->group;
    g->under_way--;
    *g->stale = *g->stale || r->stale;
    trace_search(g->set->trace, e->owner ? STR("owner") : STR("member"), e->name, &e->search, r,
                 e->began);
    if (!g->failed && has_entry(g, e, r)) {
        if (!e->owner && is_group(&r->entries[0]))
            take_members(g, &r->entries[0]);
        else
            take_person(g, &r->entries[0], e);
    }
    read_more(g);
}

static void read_more(struct group *g)
{
    while (g->waiting && g->under_way < AT_ONCE) {
        struct entry *e = g->waiting;
        g->waiting = e->next;
        if (!g->waiting)
            g->last = &g->waiting;
        g->under_way++;
        e->began = g->set->trace ? clock_real_us() : 0;
        picture_search(g->set->picture, g->searcher, g->arena, &e->search, 0, on_entry, e);
    }
    if (g->under_way == 0)
        end(g);
}

/* --- the group itself --- */

static int read_post(struct group *g, const struct ldapmap_entry *e)
{
    static const char *const names[] = {"anyone", "members", "owner", "listed"};
    const struct ldapmap_attr *attr = ldapmap_entry_attr(e, "facteurListPost");
    for (size_t i = 0; attr && attr->count && i < sizeof names / sizeof names[0]; i++) {
        if (!str_caseeq(attr->values[0], str_from(names[i])))
            continue;
        g->post = (enum post)i;
        return 0;
    }
    if (!attr || attr->count == 0)
        return 0;
    return err_temp(&g->err, "%.*s: facteurListPost \"%.*s\" is none of anyone, members, owner, "
                             "listed", STR_FMT(str_head(e->dn, 200)),
                    STR_FMT(str_head(attr->values[0], 60)));
}

/* What is said of the owner goes before what the owner's entry says. */
static void take_owner(struct group *g, const struct ldapmap_entry *e)
{
    const struct ldapmap_attr *attr = ldapmap_entry_attr(e, "facteurListOwner");
    struct name_address a;
    for (size_t i = 0; attr && i < attr->count && g->errors_to.n == 0; i++)
        if (read_address(g, attr->values[i], &a))
            note_owner(g, 0, &a);
}

static void take_list(struct group *g, const struct ldapmap_entry *e)
{
    struct str key = name_dn(g->arena, e->dn);
    if (read_post(g, e) != 0) {
        fail(g);
        return;
    }
    map_put(g->seen, arena_concat(g->arena, STR("m"), key), g); /* a loop back to it ends there */
    g->is_owner = has_sender(g, e, "facteurListOwner");
    g->is_listed = has_sender(g, e, "facteurListPoster");
    take_owner(g, e);
    if (g->post != POST_ANYONE || g->errors_to.n == 0)
        add_dns(g, e, "owner", true);
    take_members(g, e);
}

void group_run(struct dirset *set, struct arena *a, const struct lookup_want *found,
               const struct group_post *post, bool *stale, group_fn fn, void *arg)
{
    struct group *g = ARENA_NEW(a, struct group);
    *g = (struct group){.set = set, .arena = a, .searcher = set->searcher, .fn = fn, .arg = arg,
                        .stale = stale, .seen = map_new(), .attrs = group_attrs(set, a),
                        .vouched = post->vouched};
    const struct ldapmap_entry *e = lookup_entry(found, 0);
    g->last = &g->waiting;
    g->has_sender = post->sender.n && read_address(g, post->sender, &g->sender) &&
                    (post->vouched || !str_caseeq(g->sender.domain, post->domain));
    for (size_t i = 1; e && i < found->count; i++)
        if (lookup_entry(found, i) != e)
            e = NULL;
    if (!e) {
        err_temp(&g->err, "group_maps: the address is not that of one group's entry");
        fail(g);
    } else {
        g->searcher = found->source->searcher;
        take_list(g, e);
    }
    read_more(g);
}
