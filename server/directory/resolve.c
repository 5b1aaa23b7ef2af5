/* Resolving a recipient. */
#include "directory/resolve.h"
#include "base/clock.h"
#include "base/map.h"
#include "directory/domains.h"
#include "directory/graph.h"
#include "directory/trace.h"

#include <stdlib.h>

#define AT_ONCE 16 /* addresses of one recipient that are looked up at the same time */

enum { KEY_FULL, KEY_SHORT, KEY_DOMAIN, KEYS };

struct resolve {
    struct dirset *set;
    struct arena *arena;
    unsigned flags;
    resolve_fn fn;
    void *arg;
    struct graph *graph;
    struct graph_node *root;
    bool fallback;    /* postmaster_address stands for the address that was asked */
    size_t under_way; /* addresses with lookups under way */
    bool starting;    /* inside the loop of visit_next */
    bool answered;    /* fn was called; the rest only drains */
    bool any_remote;
    bool stale; /* some answer is from before an outage */
    struct err err;
    struct resolve_target *targets;
    size_t count;
};

/* One address on its way. */
struct visit {
    struct resolve *r;
    struct graph_node *node;
    size_t pending;
    enum domain_class class;
    struct lookup_want classes[2]; /* mailbox domains, alias domains */
    bool class_asked;
    bool decided;
    struct lookup_want aliases[KEYS];
    bool alias_asked[KEYS];
    struct lookup_want boxes[KEY_DOMAIN][BOX_WANTS];
    bool box_asked[KEY_DOMAIN];
};

static void visit_next(struct resolve *r);
static void visit_decide(struct visit *v);

/* --- the end --- */

static void resolve_free(struct resolve *r)
{
    if (r->graph)
        graph_free(r->graph);
    dirset_release(r->set);
    arena_free(r->arena);
    free(r);
}

static void answer(struct resolve *r, enum verdict verdict, const char *text)
{
    struct resolve_result result = {verdict, text, r->err.log, r->targets, r->count};
    if (r->answered)
        return;
    r->answered = true;
    if (r->stale && (verdict == VERDICT_NO || verdict == VERDICT_NOT_HERE)) {
        err_temp(&r->err, "%s, as far as is known from before an outage", text);
        result = (struct resolve_result){.verdict = verdict = VERDICT_CANNOT_SAY,
                                         .text = "the directory cannot say now",
                                         .why = r->err.log};
    }
    if (verdict != VERDICT_YES && verdict != VERDICT_REMOTE)
        result.count = 0;
    r->fn(r->arg, &result);
}

/* r->err says why. */
static void cannot_say(struct resolve *r)
{
    answer(r, VERDICT_CANNOT_SAY, "the directory cannot say now where this address leads");
}

/* Two addresses of one maildir are one target. */
static bool is_new_target(struct map *seen, const struct graph_node *n)
{
    const struct resolve_target *t = n->user;
    return !map_put(seen, t->remote ? n->addr.key : t->box.m.maildir, n->user);
}

/* The targets, in the order in which the aliases name them. */
static void collect_targets(struct resolve *r)
{
    struct map *seen = map_new();
    size_t n = 0;
    for (struct graph_node *node = graph_first(r->graph); node; node = node->next)
        n += node->user != NULL;
    r->targets = arena_array(r->arena, n + 1, sizeof *r->targets);
    for (struct graph_node *node = graph_first(r->graph); node; node = node->next) {
        const struct resolve_target *t = node->user;
        if (!t || !is_new_target(seen, node))
            continue;
        r->targets[r->count++] = *t;
        r->any_remote = r->any_remote || t->remote;
    }
    map_free(seen, NULL);
}

static void all_visited(struct resolve *r)
{
    if (r->answered)
        return;
    if (graph_check_loops(r->graph, &r->err) != 0) {
        cannot_say(r);
        return;
    }
    collect_targets(r);
    if (r->any_remote) {
        answer(r, VERDICT_REMOTE, "the address leads to another server");
    } else if (r->count == 0) {
        err_temp(&r->err, "the aliases lead to no mailbox");
        cannot_say(r);
    } else {
        answer(r, VERDICT_YES, "");
    }
}

static void visit_end(struct visit *v)
{
    v->r->under_way--;
    visit_next(v->r);
}

static void visit_fail(struct visit *v)
{
    cannot_say(v->r);
    visit_end(v);
}

static void visit_answer(struct visit *v, enum verdict verdict, const char *text)
{
    answer(v->r, verdict, text);
    visit_end(v);
}

/* --- targets --- */

static void end_remote(struct visit *v)
{
    struct resolve_target *t = ARENA_NEW(v->r->arena, struct resolve_target);
    trace_decision(v->r->set->trace, "%.*s goes to another server", STR_FMT(v->node->addr.printed));
    *t = (struct resolve_target){.address = v->node->addr.printed, .remote = true};
    v->node->user = t;
    visit_end(v);
}

static void end_mailbox(struct visit *v, const struct box *box)
{
    struct resolve_target *t = ARENA_NEW(v->r->arena, struct resolve_target);
    trace_decision(v->r->set->trace, "%.*s is a mailbox: %.*s, uid %u, gid %u, home %.*s",
                   STR_FMT(v->node->addr.printed), STR_FMT(box->m.maildir), box->m.uid, box->m.gid,
                   STR_FMT(box->m.home));
    *t = (struct resolve_target){.address = v->node->addr.printed, .box = *box};
    v->node->user = t;
    visit_end(v);
}

/* --- what is asked about one address --- */

static void on_lookup(void *arg)
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
    lookup_run(v->r->set, v->r->arena, wants, n, key, extra, on_lookup, v);
}

static struct str alias_key(const struct visit *v, size_t i)
{
    const struct name_address *a = &v->node->addr;
    return i == KEY_FULL ? a->key : i == KEY_SHORT ? a->short_key : a->at_domain;
}

static void ask_alias(struct visit *v, size_t i)
{
    struct str key = alias_key(v, i);
    if (v->node->is_final || v->alias_asked[i] || key.n == 0 || v->r->set->alias_maps.n == 0)
        return;
    v->alias_asked[i] = true;
    v->aliases[i] = (struct lookup_want){.map = &v->r->set->alias_maps};
    ask(v, &v->aliases[i], 1, key, NULL);
}

static void ask_catch_all(struct visit *v)
{
    bool known =
        v->class == DOMAIN_MAILBOX &&
        domains_has_no_catch_all(v->r->set->domains, v->node->addr.domain, clock_mono_ms());
    if (!known)
        ask_alias(v, KEY_DOMAIN);
}

static void ask_boxes(struct visit *v)
{
    for (size_t i = 0; i < KEY_DOMAIN; i++) {
        struct str key = alias_key(v, i);
        if (v->box_asked[i] || key.n == 0)
            continue;
        v->box_asked[i] = true;
        box_wants(v->r->set, v->boxes[i]);
        ask(v, v->boxes[i], BOX_WANTS, key, v->r->set->extra_attrs);
    }
}

/* What is known about the domain without asking. */
static enum domain_class class_known(const struct dirset *set, struct str domain)
{
    if (lookup_is_listed(&set->mailbox_domains, domain))
        return DOMAIN_MAILBOX;
    if (!lookup_has_tables(&set->mailbox_domains) && lookup_is_listed(&set->alias_domains, domain))
        return DOMAIN_ALIAS;
    if (!lookup_has_tables(&set->mailbox_domains) && !lookup_has_tables(&set->alias_domains))
        return DOMAIN_NONE;
    return domains_class(set->domains, domain, clock_mono_ms());
}

static void ask_class(struct visit *v)
{
    struct dirset *set = v->r->set;
    v->class = class_known(set, v->node->addr.domain);
    if (v->class != DOMAIN_UNKNOWN)
        return;
    v->class_asked = true;
    v->classes[0] = (struct lookup_want){.map = &set->mailbox_domains, .exists = true};
    v->classes[1] = (struct lookup_want){.map = &set->alias_domains, .exists = true};
    ask(v, v->classes, 2, v->node->addr.domain, NULL);
}

static void visit_start(struct resolve *r, struct graph_node *node)
{
    struct visit *v = ARENA_NEW(r->arena, struct visit);
    *v = (struct visit){.r = r, .node = node, .pending = 1};
    r->under_way++;
    ask_class(v);
    if (v->class != DOMAIN_NONE || node != r->root) {
        ask_alias(v, KEY_FULL);
        ask_alias(v, KEY_SHORT);
    }
    if (v->class == DOMAIN_MAILBOX) {
        ask_catch_all(v);
        ask_boxes(v);
    }
    on_lookup(v);
}

/* Starts what may be started; the last one to end ends all. May free r. */
static void visit_next(struct resolve *r)
{
    struct graph_node *node;
    if (r->starting)
        return;
    r->starting = true;
    while (!r->answered && r->under_way < AT_ONCE && (node = graph_todo(r->graph)))
        visit_start(r, node);
    r->starting = false;
    if (r->under_way > 0)
        return;
    all_visited(r);
    resolve_free(r);
}

/* --- what the answers mean --- */

static void trace_class(const struct visit *v, bool known)
{
    static const char *const meanings[] = {
        [DOMAIN_UNKNOWN] = "a domain nothing is known of",
        [DOMAIN_NONE] = "not hosted here",
        [DOMAIN_ALIAS] = "a hosted domain of aliases",
        [DOMAIN_MAILBOX] = "a hosted domain of mailboxes",
    };
    trace_decision(v->r->set->trace, "%.*s is %s%s", STR_FMT(v->node->addr.domain),
                   meanings[v->class],
                   known ? " (without asking: listed, or remembered for some seconds)" : "");
}

/* 0, or -1 when the directory cannot say. */
static int decide_class(struct visit *v)
{
    struct domains *known = v->r->set->domains;
    if (!v->class_asked)
        return 0;
    v->class_asked = false;
    for (size_t i = 0; i < 2; i++) {
        struct lookup_want *w = &v->classes[i];
        if (w->answer == LDAPMAP_CANNOT_SAY)
            return err_temp(&v->r->err, "%s", w->why);
        if (w->answer == LDAPMAP_NO)
            continue;
        v->class = i == 0 ? DOMAIN_MAILBOX : DOMAIN_ALIAS;
        domains_keep_class(known, v->node->addr.domain, v->class, clock_mono_ms());
        trace_class(v, false);
        return 0;
    }
    v->class = DOMAIN_NONE;
    trace_class(v, false);
    return 0;
}

/* The alias that counts: 1 and *out; 0 when there is none; -1 when the directory cannot say. */
static int find_alias(struct visit *v, size_t *out)
{
    for (size_t i = 0; i < KEYS; i++) {
        const struct lookup_want *w = &v->aliases[i];
        if (!v->alias_asked[i] || w->answer == LDAPMAP_NO)
            continue;
        if (w->answer == LDAPMAP_CANNOT_SAY)
            return err_temp(&v->r->err, "%s", w->why);
        *out = i;
        return 1;
    }
    if (v->alias_asked[KEY_DOMAIN] && v->class == DOMAIN_MAILBOX)
        domains_keep_no_catch_all(v->r->set->domains, v->node->addr.domain, clock_mono_ms());
    return 0;
}

static int follow_value(struct visit *v, size_t key, const struct ldapmap_value *value)
{
    struct resolve *r = v->r;
    struct err *e = &r->err;
    const struct name_address *from = &v->node->addr;
    struct str none = {0}, rest = value->value, piece;
    struct str extension = key == KEY_SHORT ? from->extension : none;
    struct str dn = value->entry ? value->entry->dn : none;
    while (name_list_next(&rest, &piece)) {
        struct name_address to;
        struct str text = name_alias_target(r->arena, from, piece, extension);
        int bad = name_address_read(r->arena, &r->set->names, text, &to, e);
        if (bad)
            return err_prefix(e, "virtual_alias_maps: %.*s leads to \"%.*s\", which is no address",
                              STR_FMT(str_head(dn, 200)), STR_FMT(str_head(piece, 100)));
        trace_decision(r->set->trace, "%.*s is an alias by its key %.*s: it leads to %.*s",
                       STR_FMT(from->key), STR_FMT(alias_key(v, key)), STR_FMT(to.printed));
        if (graph_edge(r->graph, v->node, &to, e) != 0)
            return -1;
    }
    return 0;
}

static void follow_alias(struct visit *v, size_t key)
{
    const struct lookup_want *w = &v->aliases[key];
    for (size_t i = 0; i < w->count; i++) {
        if (follow_value(v, key, &w->values[i]) != 0) {
            visit_fail(v);
            return;
        }
    }
    if (v->node->to_n == 0) {
        err_temp(&v->r->err, "virtual_alias_maps: %.*s leads to nothing",
                 STR_FMT(v->node->addr.key));
        visit_fail(v);
        return;
    }
    visit_end(v);
}

static bool was_said(const struct visit *v)
{
    return v->node == v->r->root && !v->r->fallback;
}

/* No such address: no to whoever said it, a broken alias to whoever was led here. */
static void end_unknown(struct visit *v)
{
    trace_decision(v->r->set->trace, "%.*s is neither an alias nor a mailbox",
                   STR_FMT(v->node->addr.key));
    if (was_said(v)) {
        visit_answer(v, VERDICT_NO, "unknown user");
        return;
    }
    err_temp(&v->r->err, "%s leads to %.*s, which does not exist",
             v->r->fallback && v->node == v->r->root ? "postmaster_address" : "an alias",
             STR_FMT(v->node->addr.key));
    visit_fail(v);
}

/* RFC 5321 section 4.5.1: postmaster of a hosted domain is always accepted, so where the directory
 * has none, postmaster_address stands in; the class of this domain does not matter any more. */
static void end_postmaster(struct visit *v)
{
    struct resolve *r = v->r;
    struct name_address to;
    if (r->set->cfg->postmaster_address.n == 0) {
        err_temp(&r->err, "%.*s is nowhere in the directory: set postmaster_address",
                 STR_FMT(v->node->addr.key));
        visit_fail(v);
        return;
    }
    if (name_address_read(r->arena, &r->set->names, r->set->cfg->postmaster_address, &to,
                          &r->err) != 0) {
        err_prefix(&r->err, "postmaster_address");
        visit_fail(v);
        return;
    }
    graph_free(r->graph);
    r->graph = graph_new(r->arena, (unsigned)r->set->cfg->virtual_alias_recursion_limit,
                         (size_t)r->set->cfg->virtual_alias_expansion_limit);
    r->root = graph_root(r->graph, &to, false);
    r->fallback = true;
    trace_decision(r->set->trace, "postmaster is nowhere in the directory: postmaster_address, "
                                  "%.*s, stands in", STR_FMT(to.printed));
    visit_end(v);
}

static bool is_owed_postmaster(const struct visit *v)
{
    return was_said(v) && v->node->addr.is_postmaster && !(v->r->flags & RESOLVE_FINAL) &&
           (v->class != DOMAIN_NONE || str_eq(v->node->addr.domain, v->r->set->names.myhostname));
}

/* That there is no catch-all may have been remembered, and does not carry a no: it is asked for. */
static bool ask_late_catch_all(struct visit *v)
{
    v->pending = 1;
    ask_alias(v, KEY_DOMAIN);
    return --v->pending > 0;
}

static void end_box(struct visit *v)
{
    struct box box;
    enum verdict verdict = VERDICT_NO;
    for (size_t i = 0; i < KEY_DOMAIN && verdict == VERDICT_NO; i++)
        if (v->box_asked[i])
            verdict = box_read(v->r->set, v->r->arena, v->boxes[i], &box, &v->r->err);
    if (verdict == VERDICT_NO && ask_late_catch_all(v))
        return;
    if (verdict == VERDICT_YES)
        end_mailbox(v, &box);
    else if (verdict == VERDICT_CANNOT_SAY)
        visit_fail(v);
    else if (is_owed_postmaster(v))
        end_postmaster(v);
    else
        end_unknown(v);
}

/* No alias leads on from here. */
static void end_of_aliases(struct visit *v)
{
    if (v->class == DOMAIN_MAILBOX)
        end_box(v);
    else if (is_owed_postmaster(v))
        end_postmaster(v);
    else if (v->class == DOMAIN_ALIAS)
        end_unknown(v);
    else if (was_said(v))
        visit_answer(v, VERDICT_NOT_HERE, "not hosted here");
    else
        end_remote(v);
}

static void visit_decide(struct visit *v)
{
    size_t key;
    if (v->r->answered) {
        visit_end(v);
        return;
    }
    if (!v->class_asked && !v->decided)
        trace_class(v, true);
    v->decided = true;
    if (decide_class(v) != 0) {
        visit_fail(v);
        return;
    }
    if (v->class == DOMAIN_NONE && was_said(v) && !is_owed_postmaster(v)) {
        visit_answer(v, VERDICT_NOT_HERE, "not hosted here");
        return;
    }
    int found = find_alias(v, &key);
    if (found != 0) {
        if (found > 0)
            follow_alias(v, key);
        else
            visit_fail(v);
        return;
    }
    v->pending = 1;
    ask_catch_all(v);
    if (v->class == DOMAIN_MAILBOX)
        ask_boxes(v);
    if (--v->pending == 0)
        end_of_aliases(v);
}

/* --- the beginning --- */

void resolve_run(struct dirset *set, struct str address, unsigned flags, resolve_fn fn, void *arg)
{
    struct resolve *r = MEM_NEW(struct resolve);
    struct name_address addr;
    *r = (struct resolve){.set = dirset_hold(set), .flags = flags, .fn = fn, .arg = arg};
    r->arena = arena_new(4096);
    if (name_address_read(r->arena, &set->names, address, &addr, &r->err) != 0) {
        answer(r, VERDICT_NO, "not an address");
        resolve_free(r);
        return;
    }
    r->graph = graph_new(r->arena, (unsigned)set->cfg->virtual_alias_recursion_limit,
                         (size_t)set->cfg->virtual_alias_expansion_limit);
    r->root = graph_root(r->graph, &addr, flags & RESOLVE_FINAL);
    visit_next(r);
}
