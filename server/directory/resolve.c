/* Resolving a recipient. */
#include "directory/resolve.h"
#include "base/clock.h"
#include "base/map.h"
#include "directory/domains.h"
#include "directory/graph.h"
#include "directory/group.h"
#include "directory/join.h"
#include "directory/local.h"
#include "directory/rewrite.h"
#include "directory/trace.h"
#include "directory/visit.h"

#include <stdlib.h>

#define AT_ONCE 16 /* addresses of one recipient that are looked up at the same time */

static void visit_next(struct resolve *r);

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
    *t = (struct resolve_target){.address = v->node->addr.printed, .remote = true,
                                 .list = v->node->list};
    v->node->user = t;
    visit_end(v);
}

/* Where the account's mail goes beside its mailbox. Its own address there is the mailbox itself. */
static int follow_forward(struct visit *v, const struct account *account)
{
    struct resolve *r = v->r;
    for (size_t i = 0; i < account->forward_count; i++) {
        struct name_address to;
        if (name_address_read(r->arena, &r->set->names, account->forward[i], &to, &r->err) != 0) {
            r->err.kind = ERR_TEMPORARY;
            return err_prefix(&r->err, "%.*s is forwarded to \"%.*s\", which is no address",
                              STR_FMT(str_head(v->node->addr.key, 150)),
                              STR_FMT(str_head(account->forward[i], 100)));
        }
        if (str_eq(to.key, v->node->addr.key))
            continue;
        trace_decision(r->set->trace, "%.*s is forwarded to %.*s", STR_FMT(v->node->addr.key),
                       STR_FMT(to.printed));
        if (graph_edge(r->graph, v->node, &to, &r->err) != 0)
            return -1;
    }
    return 0;
}

/* A mailbox asked for as such, by the queue, is not forwarded again unless it keeps nothing. */
static bool is_forwarded(const struct visit *v, const struct account *account)
{
    bool alone = v->r->flags & RESOLVE_FINAL && v->node == v->r->root;
    return account->forward_count &&
           (account->state == ACCOUNT_FORWARD ||
            (!alone && account->state != ACCOUNT_DISABLED));
}

/* Nothing is lost to a disabled account that is put off or kept. */
static bool takes_mail(struct visit *v, const struct account *account)
{
    struct resolve *r = v->r;
    if (account->state == ACCOUNT_FORWARD)
        return false;
    if (account->state != ACCOUNT_DISABLED || r->set->cfg->account_disabled_action == ACCOUNT_KEEP)
        return true;
    trace_decision(r->set->trace, "%.*s is disabled: account_disabled_action decides",
                   STR_FMT(v->node->addr.printed));
    r->any_disabled = true;
    return r->set->cfg->account_disabled_action == ACCOUNT_DEFER;
}

static void end_mailbox(struct visit *v, const struct box *box)
{
    if (is_forwarded(v, &box->account)) {
        v->node->keeps = box->account.state != ACCOUNT_FORWARD;
        if (follow_forward(v, &box->account) != 0) {
            visit_fail(v);
            return;
        }
    }
    if (!takes_mail(v, &box->account)) {
        visit_end(v);
        return;
    }
    struct resolve_target *t = ARENA_NEW(v->r->arena, struct resolve_target);
    trace_decision(v->r->set->trace, "%.*s is a mailbox: %.*s, uid %u, gid %u, home %.*s",
                   STR_FMT(v->node->addr.printed), STR_FMT(box->m.maildir), box->m.uid, box->m.gid,
                   STR_FMT(box->m.home));
    if (box->account.away)
        trace_decision(v->r->set->trace, "%.*s may be away: senders are told so "
                                         "(account_vacation_text_attribute)",
                       STR_FMT(v->node->addr.printed));
    *t = (struct resolve_target){.address = v->node->addr.printed, .box = *box,
                                 .list = v->node->list};
    v->node->user = t;
    visit_end(v);
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
    while (!r->answered && r->under_way < AT_ONCE && (node = graph_todo(r->graph)))
        visit_start(r, node);
    r->starting = false;
    if (r->under_way > 0)
        return;
    all_visited(r);
    resolve_free(r);
}

/* --- what the answers mean --- */

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
    struct str extension = key == KEY_SHORT || key == KEY_OWN_SHORT ? from->extension : none;
    struct str dn = value->entry ? value->entry->dn : none;
    while (name_list_next(&rest, &piece)) {
        struct name_address to;
        struct str text = name_alias_target(r->arena, from, piece, extension);
        int bad = name_address_read(r->arena, &r->set->names, text, &to, e);
        if (bad)
            return err_prefix(e, "virtual_alias_maps: %.*s leads to \"%.*s\", which is no address",
                              STR_FMT(str_head(dn, 200)), STR_FMT(str_head(piece, 100)));
        trace_decision(r->set->trace, "%.*s is an alias by its key %.*s: it leads to %.*s",
                       STR_FMT(from->key), STR_FMT(visit_alias_key(v, key)), STR_FMT(to.printed));
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

/* Of a list whose owner hears of it, one address that is wrong stops nothing for the others. */
static bool leave_to_owner(struct visit *v)
{
    const struct resolve_list *list = v->node->list;
    if (!v->node->of_group || !list || list->sender.n == 0)
        return false;
    struct resolve_target *t = ARENA_NEW(v->r->arena, struct resolve_target);
    *t = (struct resolve_target){.address = v->node->addr.printed, .unknown = true, .list = list};
    trace_decision(v->r->set->trace, "%.*s does not exist: the list's owner is told",
                   STR_FMT(v->node->addr.printed));
    v->node->user = t;
    visit_end(v);
    return true;
}

/* No such address: no to whoever said it, a broken alias to whoever was led here. */
static void end_unknown(struct visit *v)
{
    trace_decision(v->r->set->trace, "%.*s is neither an alias nor a mailbox",
                   STR_FMT(v->node->addr.key));
    if (visit_was_said(v)) {
        visit_answer(v, VERDICT_NO, "unknown user");
        return;
    }
    if (leave_to_owner(v))
        return;
    err_temp(&v->r->err, "%s leads to %.*s, which does not exist",
             v->r->led_by && v->node == v->r->root ? v->r->led_by : "an alias",
             STR_FMT(v->node->addr.key));
    visit_fail(v);
}

static void set_root(struct resolve *r, const struct name_address *addr)
{
    r->graph = graph_new(r->arena, (unsigned)r->set->cfg->virtual_alias_recursion_limit,
                         (size_t)r->set->cfg->virtual_alias_expansion_limit);
    r->root = graph_root(r->graph, addr, r->flags & (RESOLVE_FINAL | RESOLVE_DOMAIN));
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
    r->led_by = "postmaster_address";
    set_root(r, &to);
    trace_decision(r->set->trace, "postmaster is nowhere in the directory: postmaster_address, "
                                  "%.*s, stands in", STR_FMT(to.printed));
    visit_end(v);
}

static bool is_owed_postmaster(const struct visit *v)
{
    return v->class != DOMAIN_RELAY && visit_was_said(v) && v->node->addr.is_postmaster && !(v->r->flags & RESOLVE_FINAL) &&
           (v->class != DOMAIN_NONE || str_eq(v->node->addr.domain, v->r->set->names.myhostname));
}

/* That there is no catch-all may have been remembered, and does not carry a no: it is asked for. */
static bool ask_late_catch_all(struct visit *v)
{
    v->pending = 1;
    visit_ask_alias(v, KEY_DOMAIN);
    return --v->pending > 0;
}

static void end_box(struct visit *v)
{
    struct box box;
    enum verdict verdict = VERDICT_NO;
    for (size_t i = 0; i < KEY_OWN_FULL && verdict == VERDICT_NO; i++)
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

/* --- users, and domains that are relayed --- */

static void on_local(void *arg, enum verdict verdict, const struct box *box, const char *why)
{
    struct visit *v = arg;
    if (verdict == VERDICT_YES) {
        end_mailbox(v, box);
    } else if (verdict == VERDICT_CANNOT_SAY) {
        err_temp(&v->r->err, "%s", why);
        visit_fail(v);
    } else if (is_owed_postmaster(v)) {
        end_postmaster(v);
    } else {
        end_unknown(v);
    }
}

static void on_relay_recipient(void *arg, const struct find_result *found)
{
    struct visit *v = arg;
    if (found->answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&v->r->err, "%s", found->why);
        visit_fail(v);
    } else if (found->answer == LDAPMAP_NO && v->r->set->relay_recipients.n) {
        end_unknown(v);
    } else {
        end_remote(v);
    }
}

/* The address as it became, for who may send there by a right of its own. */
static void end_elsewhere(struct visit *v)
{
    struct resolve *r = v->r;
    r->targets = ARENA_NEW(r->arena, struct resolve_target);
    *r->targets = (struct resolve_target){.address = v->node->addr.printed, .remote = true};
    r->count = r->changed ? 1 : 0;
    visit_answer(v, VERDICT_NOT_HERE, "not hosted here");
}

/* No alias leads on from here, and nobody has moved. */
static void end_of_aliases(struct visit *v)
{
    struct resolve *r = v->r;
    if (v->class == DOMAIN_MAILBOX)
        end_box(v);
    else if (v->class == DOMAIN_LOCAL)
        local_run(r->set, r->arena, v->node->addr.user, &r->stale, on_local, v);
    else if (v->class == DOMAIN_RELAY)
        find_address(r->set, r->arena, &r->set->relay_recipients, &v->node->addr,
                     on_relay_recipient, v);
    else if (is_owed_postmaster(v))
        end_postmaster(v);
    else if (v->class == DOMAIN_ALIAS)
        end_unknown(v);
    else if (visit_was_said(v))
        end_elsewhere(v);
    else
        end_remote(v);
}

/* --- who has moved --- */

static void decide_end(struct visit *v)
{
    v->pending = 1;
    visit_ask_begin(v);
    visit_ask_alias(v, KEY_OWN_FULL);
    visit_ask_alias(v, KEY_OWN_SHORT);
    visit_ask_catch_all(v);
    if (v->class == DOMAIN_MAILBOX)
        visit_ask_boxes(v);
    visit_ask_end(v);
    if (--v->pending == 0)
        end_of_aliases(v);
}

static void on_moved(void *arg, const struct find_result *found)
{
    struct visit *v = arg;
    struct resolve *r = v->r;
    if (r->answered) {
        visit_end(v);
    } else if (found->answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&r->err, "%s", found->why);
        visit_fail(v);
    } else if (found->answer == LDAPMAP_NO) {
        v->moved_known = true;
        decide_end(v);
    } else if (visit_was_said(v)) {
        struct str to = str_head(found->values[0].value, 180);
        visit_answer(v, VERDICT_NO,
                     arena_printf(r->arena, "5.1.6 User has moved to %.*s", STR_FMT(to)).p);
    } else {
        err_temp(&r->err, "an alias leads to %.*s, who has moved", STR_FMT(v->node->addr.key));
        visit_fail(v);
    }
}

/* --- groups --- */

/* Circles of groups are cut: each has its members once. */
static int follow_members(struct visit *v, const struct group_result *found)
{
    struct resolve_list *list = ARENA_NEW(v->r->arena, struct resolve_list);
    const struct name_address *own = &v->node->addr;
    *list = (struct resolve_list){.address = own->short_key.n ? own->short_key : own->key,
                                  .sender = found->errors_to, .closed = found->closed};
    if (list->sender.n)
        trace_decision(v->r->set->trace, "errors of the list %.*s go to %.*s",
                       STR_FMT(list->address), STR_FMT(list->sender));
    v->node->list = list;
    v->node->keeps = true;
    for (size_t i = 0; i < found->count; i++) {
        const struct name_address *to = &found->members[i];
        if (str_eq(to->key, v->node->addr.key))
            continue;
        if (graph_edge(v->r->graph, v->node, to, &v->r->err) != 0)
            return -1;
        v->node->to[v->node->to_n - 1]->of_group = true;
    }
    return 0;
}

static void on_group(void *arg, const struct group_result *found)
{
    struct visit *v = arg;
    struct resolve *r = v->r;
    bool asked = !(r->flags & (RESOLVE_ANY_SENDER | RESOLVE_BCC)) && !v->node->of_group;
    if (r->answered) {
        visit_end(v);
    } else if (found->answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&r->err, "%s", found->why);
        visit_fail(v);
    } else if (!found->may_post && asked) {
        err_temp(&r->err, "%s", found->why);
        visit_answer(v, VERDICT_REFUSED, arena_printf(r->arena, "5.7.1 %s", found->why).p);
    } else if (follow_members(v, found) != 0) {
        visit_fail(v);
    } else {
        visit_end(v);
    }
}

/* 1: a group of this address was found and is followed; 0: there is none; -1: r->err. */
static int find_group(struct visit *v)
{
    for (size_t i = 0; i < KEY_OWN_FULL; i++) {
        const struct lookup_want *w = &v->groups[i];
        if (!v->group_asked[i] || w->answer == LDAPMAP_NO)
            continue;
        if (w->answer == LDAPMAP_CANNOT_SAY)
            return err_temp(&v->r->err, "%s", w->why);
        struct group_post post = {v->r->sender, v->r->flags & RESOLVE_AUTHENTICATED,
                                  v->node->addr.domain};
        trace_decision(v->r->set->trace, "%.*s is a group", STR_FMT(v->node->addr.key));
        group_run(v->r->set, v->r->arena, w, &post, &v->r->stale, on_group, v);
        return 1;
    }
    return 0;
}

static void answer_domain(struct visit *v)
{
    bool relayed = v->class == DOMAIN_RELAY;
    if (v->class == DOMAIN_NONE)
        visit_answer(v, VERDICT_NOT_HERE, "not hosted here");
    else
        visit_answer(v, relayed ? VERDICT_REMOTE : VERDICT_YES, "");
}

void visit_decide(struct visit *v)
{
    size_t key = KEYS;
    if (v->r->answered) {
        visit_end(v);
        return;
    }
    if (!v->class_told)
        visit_trace_class(v, true);
    v->class_told = true;
    if (visit_decide_class(v) != 0) {
        visit_fail(v);
        return;
    }
    if (v->r->flags & RESOLVE_DOMAIN) {
        answer_domain(v);
        return;
    }
    if (v->class == DOMAIN_NONE && visit_was_said(v) && !is_owed_postmaster(v)) {
        end_elsewhere(v);
        return;
    }
    int found = find_alias(v, &key);
    if (v->class == DOMAIN_UNKNOWN && found >= 0 && !visit_is_class_settled(v, found, key)) {
        visit_ask_class(v);
        return;
    }
    int group = found < 0 || v->class == DOMAIN_NONE ? 0 : find_group(v);
    if (group > 0)
        return;
    if (found != 0 || group < 0) {
        if (found > 0 && group == 0)
            follow_alias(v, key);
        else
            visit_fail(v);
        return;
    }
    if (!v->moved_known && v->class != DOMAIN_NONE && !(v->r->flags & RESOLVE_FINAL))
        find_address(v->r->set, v->r->arena, &v->r->set->relocated, &v->node->addr, on_moved, v);
    else
        decide_end(v);
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
        set_root(r, &addr);
        visit_next(r);
    }
}

static void rewrite(struct resolve *r, const struct name_address *addr)
{
    if (r->flags & (RESOLVE_FINAL | RESOLVE_DOMAIN) ||
        !rewrite_is_wanted(r->set, REWRITE_ENVELOPE_RECIPIENT)) {
        set_root(r, addr);
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
