/* Resolving a recipient: the beginning, the walk from address to address, and the answer. */
#include "directory/resolve.h"
#include "base/map.h"
#include "directory/graph.h"
#include "directory/rewrite.h"
#include "directory/visit.h"

#include <stdlib.h>

#define AT_ONCE 16 /* addresses of one recipient that are looked up at the same time */

static void visit_next(struct resolve *r);

/* --- the answer --- */

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
    if (verdict != VERDICT_YES && verdict != VERDICT_REMOTE && verdict != VERDICT_NOT_HERE)
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
    bool has_box = !t->remote && !t->unknown;
    return !map_put(seen, has_box ? t->box.m.maildir : n->addr.key, n->user);
}

/* The targets, in the order in which the aliases name them. */
static void collect_targets(struct resolve *r)
{
    struct map *seen = map_new();
    size_t n = 0;
    r->all_unknown = true;
    for (struct graph_node *node = graph_first(r->graph); node; node = node->next)
        n += node->user != NULL;
    r->targets = arena_array(r->arena, n + 1, sizeof *r->targets);
    for (struct graph_node *node = graph_first(r->graph); node; node = node->next) {
        const struct resolve_target *t = node->user;
        if (!t || !is_new_target(seen, node))
            continue;
        r->targets[r->count++] = *t;
        r->any_remote = r->any_remote || t->remote;
        r->all_unknown = r->all_unknown && t->unknown;
    }
    map_free(seen, NULL);
}

/* Of several people those who are disabled are left out, or the mail is kept for them. */
static bool is_all_disabled(const struct resolve *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->targets[i].remote || r->targets[i].box.account.state != ACCOUNT_DISABLED)
            return false;
    return r->any_disabled;
}

static void end_disabled(struct resolve *r)
{
    err_temp(&r->err, "the account is disabled");
    if (r->set->cfg->account_disabled_action == ACCOUNT_DEFER)
        answer(r, VERDICT_CANNOT_SAY, "Mailbox disabled for now");
    else
        answer(r, VERDICT_REFUSED, "Mailbox disabled");
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
    if (is_all_disabled(r)) {
        end_disabled(r);
    } else if (r->any_remote) {
        answer(r, VERDICT_REMOTE, "the address leads to another server");
    } else if (r->all_unknown) {
        err_temp(&r->err, "the aliases lead to no mailbox");
        cannot_say(r);
    } else {
        answer(r, VERDICT_YES, "");
    }
}

/* --- the walk --- */

void visit_end(struct visit *v)
{
    v->r->under_way--;
    visit_next(v->r);
}

void visit_fail(struct visit *v)
{
    cannot_say(v->r);
    visit_end(v);
}

void visit_answer(struct visit *v, enum verdict verdict, const char *text)
{
    answer(v->r, verdict, text);
    visit_end(v);
}

void resolve_set_root(struct resolve *r, const struct name_address *addr)
{
    r->graph = graph_new(r->arena, (unsigned)r->set->cfg->virtual_alias_recursion_limit,
                         (size_t)r->set->cfg->virtual_alias_expansion_limit);
    r->root = graph_root(r->graph, addr, r->flags & (RESOLVE_FINAL | RESOLVE_DOMAIN));
}

static void visit_start(struct resolve *r, struct graph_node *node)
{
    struct visit *v = ARENA_NEW(r->arena, struct visit);
    *v = (struct visit){.r = r, .node = node, .pending = 1};
    r->under_way++;
    visit_ask_first(v);
    visit_on_lookup(v);
}

/* Starts what may be started; the last one to end ends all. May free r. */
static void visit_next(struct resolve *r)
{
    struct graph_node *node;
    if (r->starting)
        return;
    r->starting = true;
    while (!r->answered && r->under_way < AT_ONCE && (node = graph_next(r->graph)))
        visit_start(r, node);
    r->starting = false;
    if (r->under_way > 0)
        return;
    all_visited(r);
    resolve_free(r);
}

/* --- the beginning --- */

static void start_no(struct resolve *r, const char *text)
{
    answer(r, VERDICT_NO, text);
    resolve_free(r);
}

static void start_fail(struct resolve *r)
{
    cannot_say(r);
    resolve_free(r);
}

static void on_rewritten(void *arg, enum verdict verdict, struct str address, const char *why)
{
    struct resolve *r = arg;
    struct name_address addr;
    if (verdict == VERDICT_CANNOT_SAY) {
        err_temp(&r->err, "%s", why);
        start_fail(r);
    } else if (verdict != VERDICT_YES ||
               name_address_read(r->arena, &r->set->names, address, &addr, &r->err) != 0) {
        start_no(r, "not an address");
    } else {
        resolve_set_root(r, &addr);
        visit_next(r);
    }
}

static void rewrite(struct resolve *r, const struct name_address *addr)
{
    if (r->flags & (RESOLVE_FINAL | RESOLVE_DOMAIN) ||
        !rewrite_is_wanted(r->set, REWRITE_ENVELOPE_RECIPIENT)) {
        resolve_set_root(r, addr);
        visit_next(r);
        return;
    }
    r->changed = true;
    rewrite_run(r->set, r->arena, addr->printed, REWRITE_ENVELOPE_RECIPIENT, on_rewritten, r);
}

/* --- blind copies --- */

static void copy_to(struct resolve *r, struct str text)
{
    struct name_address to;
    if (name_address_read(r->arena, &r->set->names, text, &to, &r->err) != 0) {
        err_prefix(&r->err, "%s", r->led_by);
        start_fail(r);
    } else {
        rewrite(r, &to);
    }
}

static void on_copy(void *arg, const struct find_result *found)
{
    struct resolve *r = arg;
    if (found->answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&r->err, "%s", found->why);
        start_fail(r);
    } else if (found->answer == LDAPMAP_NO) {
        start_no(r, "nobody gets a copy");
    } else {
        copy_to(r, name_alias_target(r->arena, &r->said, found->values[0].value,
                                     found->extension));
    }
}

static void start_copy(struct resolve *r)
{
    struct dirset *set = r->set;
    bool sender = r->flags & RESOLVE_BCC_SENDER;
    r->led_by = r->flags & RESOLVE_BCC_ALWAYS ? "always_bcc"
                : sender                      ? "sender_bcc_maps"
                                              : "recipient_bcc_maps";
    if (r->flags & RESOLVE_BCC_ALWAYS)
        copy_to(r, set->cfg->always_bcc);
    else
        find_address(set, r->arena, sender ? &set->sender_bcc : &set->recipient_bcc, &r->said,
                     on_copy, r);
}

void resolve_run(struct dirset *set, struct str address, struct str sender, unsigned flags,
                 resolve_fn fn, void *arg)
{
    struct resolve *r = MEM_NEW(struct resolve);
    *r = (struct resolve){.set = dirset_hold(set), .flags = flags, .fn = fn, .arg = arg};
    r->arena = arena_new(4096);
    r->sender = arena_str(r->arena, sender);
    if (!(flags & RESOLVE_BCC_ALWAYS) &&
        name_address_read(r->arena, &set->names, arena_str(r->arena, address), &r->said,
                          &r->err) != 0)
        start_no(r, "not an address");
    else if (flags & RESOLVE_BCC)
        start_copy(r);
    else
        rewrite(r, &r->said);
}
