/* What is asked about one address of a recipient, in as few searches as its maps allow. */
#include "directory/visit.h"
#include "base/clock.h"
#include "directory/find.h"
#include "directory/group.h"
#include "directory/join.h"
#include "directory/trace.h"

void visit_on_lookup(void *arg)
{
    struct visit *v = arg;
    if (--v->pending == 0)
        visit_decide(v);
}

static void ask(struct visit *v, struct lookup_want *wants, size_t n, struct str key,
                const char *const *extra)
{
    for (size_t i = 0; i < n; i++)
        wants[i].stale = &v->r->stale;
    v->pending++;
    lookup_run_joined(v->r->set, v->r->arena, wants, n, key, extra, v->join, visit_on_lookup, v);
}

/* All that is asked between the two is asked together. */
void visit_ask_begin(struct visit *v)
{
    v->join = join_new(v->r->set, v->r->arena);
    v->pending++;
}

void visit_ask_end(struct visit *v)
{
    join_send(v->join);
    v->join = NULL;
    v->pending--;
}

static const struct ldapmap_table *first_table(const struct dirmap *map)
{
    return map->n && map->v[0].kind == SOURCE_LDAP ? map->v[0].table : NULL;
}

/* Aliases and mailboxes are found by searches that go as one. */
static bool has_joined_maps(const struct dirset *set)
{
    const struct ldapmap_table *x = first_table(&set->alias_maps);
    const struct ldapmap_table *y = first_table(&set->mailbox_maps);
    return x && y && join_fits(x, y);
}

/* Bare names are asked for where that is free, and among the users of mydestination. */
static bool has_bare_keys(const struct visit *v)
{
    const struct dirset *set = v->r->set;
    return v->class == DOMAIN_LOCAL || (find_is_own_domain(set, v->node->addr.domain) &&
                                        !lookup_has_tables(&set->alias_maps));
}

struct str visit_alias_key(const struct visit *v, size_t i)
{
    const struct name_address *a = &v->node->addr;
    struct str whole = i == KEY_SHORT || i == KEY_OWN_SHORT ? a->short_key : a->key;
    if (i == KEY_DOMAIN)
        return a->at_domain;
    if (i < KEY_OWN_FULL || whole.n == 0)
        return whole;
    return str_head(whole, has_bare_keys(v) ? whole.n - a->at_domain.n : 0);
}

void visit_ask_alias(struct visit *v, size_t i)
{
    struct str key = visit_alias_key(v, i);
    if (v->node->is_final || v->alias_asked[i] || key.n == 0 || v->r->set->alias_maps.n == 0)
        return;
    v->alias_asked[i] = true;
    v->aliases[i] = (struct lookup_want){.map = &v->r->set->alias_maps};
    ask(v, &v->aliases[i], 1, key, NULL);
}

static void ask_groups(struct visit *v)
{
    for (size_t i = 0; i < KEY_OWN_FULL; i++) {
        struct str key = visit_alias_key(v, i);
        if (v->node->is_final || key.n == 0 || v->r->set->groups.n == 0)
            continue;
        v->group_asked[i] = true;
        v->groups[i] = (struct lookup_want){.map = &v->r->set->groups};
        ask(v, &v->groups[i], 1, key, group_attrs(v->r->set, v->r->arena));
    }
}

void visit_ask_catch_all(struct visit *v)
{
    bool known =
        v->class == DOMAIN_MAILBOX && !has_joined_maps(v->r->set) &&
        domains_has_no_catch_all(v->r->set->domains, v->node->addr.domain, clock_mono_ms());
    if (!known)
        visit_ask_alias(v, KEY_DOMAIN);
}

void visit_ask_boxes(struct visit *v)
{
    for (size_t i = 0; i < KEY_OWN_FULL; i++) {
        struct str key = visit_alias_key(v, i);
        if (v->box_asked[i] || key.n == 0)
            continue;
        v->box_asked[i] = true;
        box_wants(v->r->set, v->boxes[i]);
        ask(v, v->boxes[i], BOX_WANTS, key, v->r->set->asked_attrs);
    }
}

/* The options that give a domain its class; the first that has it counts. */
static const struct dirmap *class_map(const struct dirset *set, size_t i, enum domain_class *class)
{
    static const enum domain_class classes[CLASSES] = {DOMAIN_LOCAL, DOMAIN_MAILBOX, DOMAIN_ALIAS,
                                                       DOMAIN_RELAY};
    const struct dirmap *maps[CLASSES] = {&set->local_domains, &set->mailbox_domains,
                                          &set->alias_domains, &set->relay_domains};
    *class = classes[i];
    return maps[i];
}

/* relay_domains names what lies below its domains too (parent_domain_matches_subdomains). */
static bool is_listed(const struct dirmap *map, enum domain_class class, struct str domain)
{
    ptrdiff_t dot = 0;
    for (; dot >= 0; domain = str_skip(domain, (size_t)dot + 1)) {
        if (lookup_is_listed(map, domain))
            return true;
        dot = class == DOMAIN_RELAY ? str_find(domain, '.') : -1;
        if (dot < 0)
            break;
    }
    return false;
}

/* What is known about the domain without asking. */
static enum domain_class class_known(const struct dirset *set, struct str domain)
{
    enum domain_class class;
    bool tables = false;
    for (size_t i = 0; i < CLASSES && !tables; i++) {
        const struct dirmap *map = class_map(set, i, &class);
        if (is_listed(map, class, domain))
            return class;
        tables = lookup_has_tables(map);
    }
    return tables ? domains_class(set->domains, domain, clock_mono_ms()) : DOMAIN_NONE;
}

void visit_ask_class(struct visit *v)
{
    enum domain_class ignored;
    v->class_asked = true;
    for (size_t i = 0; i < CLASSES; i++)
        v->classes[i] = (struct lookup_want){.map = class_map(v->r->set, i, &ignored),
                                             .exists = true};
    ask(v, v->classes, CLASSES, v->node->addr.domain, NULL);
}

bool visit_was_said(const struct visit *v)
{
    return v->node == v->r->root && !v->r->led_by;
}

/* An alias found in this table shows that its domain is hosted. */
static bool proves_domain(const struct dirset *set, const struct map_source *source)
{
    enum domain_class class;
    for (size_t i = 0; i < CLASSES; i++) {
        const struct ldapmap_table *t = first_table(class_map(set, i, &class));
        if (t && source && source->kind == SOURCE_LDAP && ldapmap_table_implies(source->table, t))
            return true;
    }
    return false;
}

/* The domain matters only where no alias leads on, and to tell whose address was said: then a found
 * alias may show it. Asking for it last spares the search that costs servers most. */
static bool is_class_last(const struct visit *v)
{
    const struct dirmap *aliases = &v->r->set->alias_maps;
    if (v->node->is_final || aliases->n == 0)
        return false;
    return !visit_was_said(v) || proves_domain(v->r->set, &aliases->v[0]);
}

/* A mailbox may be looked for before the domain is known, where that costs no search. */
static bool may_be_mailbox(const struct visit *v)
{
    const struct dirset *set = v->r->set;
    return v->class == DOMAIN_MAILBOX || (v->class == DOMAIN_UNKNOWN && has_joined_maps(set) &&
                                          lookup_has_tables(&set->mailbox_domains));
}

void visit_ask_first(struct visit *v)
{
    v->class = class_known(v->r->set, v->node->addr.domain);
    v->class_told = v->class == DOMAIN_UNKNOWN;
    visit_ask_begin(v);
    if (v->class == DOMAIN_UNKNOWN && !is_class_last(v))
        visit_ask_class(v);
    if (v->r->flags & RESOLVE_DOMAIN) {
        visit_ask_end(v);
        return;
    }
    if (v->class != DOMAIN_NONE || v->node != v->r->root) {
        for (size_t i = 0; i < KEY_DOMAIN; i++)
            visit_ask_alias(v, i);
        ask_groups(v);
    }
    if (may_be_mailbox(v)) {
        visit_ask_catch_all(v);
        visit_ask_boxes(v);
    }
    visit_ask_end(v);
}

void visit_trace_class(const struct visit *v, bool known)
{
    static const char *const meanings[] = {
        [DOMAIN_UNKNOWN] = "a domain nothing is known of",
        [DOMAIN_NONE] = "not hosted here",
        [DOMAIN_LOCAL] = "a domain of mydestination",
        [DOMAIN_RELAY] = "a domain of relay_domains",
        [DOMAIN_ALIAS] = "a hosted domain of aliases",
        [DOMAIN_MAILBOX] = "a hosted domain of mailboxes",
    };
    trace_decision(v->r->set->trace, "%.*s is %s%s", STR_FMT(v->node->addr.domain),
                   meanings[v->class],
                   known ? " (without asking: listed, or remembered for some seconds)" : "");
}

int visit_decide_class(struct visit *v)
{
    struct domains *known = v->r->set->domains;
    if (!v->class_asked)
        return 0;
    v->class_asked = false;
    for (size_t i = 0; i < CLASSES; i++) {
        struct lookup_want *w = &v->classes[i];
        enum domain_class class;
        const struct dirmap *map = class_map(v->r->set, i, &class);
        if (w->answer == LDAPMAP_CANNOT_SAY)
            return err_temp(&v->r->err, "%s", w->why);
        if (w->answer == LDAPMAP_NO && !is_listed(map, class, v->node->addr.domain))
            continue;
        v->class = class;
        domains_keep_class(known, v->node->addr.domain, v->class, clock_mono_ms());
        visit_trace_class(v, false);
        return 0;
    }
    v->class = DOMAIN_NONE;
    visit_trace_class(v, false);
    return 0;
}

bool visit_is_class_settled(const struct visit *v, int found, size_t key)
{
    if (found == 0)
        return false;
    if (!visit_was_said(v))
        return true;
    if (key >= KEY_OWN_FULL || !proves_domain(v->r->set, v->aliases[key].source))
        return false;
    trace_decision(v->r->set->trace, "%.*s is a hosted domain: the map that says so names this "
                                     "address too", STR_FMT(v->node->addr.domain));
    return true;
}
