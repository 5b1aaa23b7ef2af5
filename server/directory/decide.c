/* What the answers about an address mean: alias, group, somebody who has moved, or the end of its way. */
#include "base/clock.h"
#include "directory/dirset.h"
#include "directory/domains.h"
#include "directory/find.h"
#include "directory/graph.h"
#include "directory/group.h"
#include "directory/local.h"
#include "directory/trace.h"
#include "directory/visit.h"

/* The first of the keys by which there is something: 1 and *out; 0 when there is nothing; -1 when the directory
 * cannot say. */
static int find_key(struct visit *v, const struct lookup_want *wants, const bool *asked, size_t n, size_t *out)
{
    for (size_t i = 0; i < n; i++) {
        if (!asked[i] || wants[i].answer == LDAPMAP_NO)
            continue;
        if (wants[i].answer == LDAPMAP_CANNOT_SAY)
            return err_temp(&v->r->err, "%s", wants[i].why);
        *out = i;
        return 1;
    }
    return 0;
}

/* The alias that counts, as find_key. */
static int find_alias(struct visit *v, size_t *out)
{
    int found = find_key(v, v->aliases, v->alias_asked, KEYS, out);
    if (found == 0 && v->alias_asked[KEY_DOMAIN] && v->class == DOMAIN_MAILBOX)
        domains_keep_no_catch_all(v->r->set->domains, v->node->addr.domain, clock_mono_ms());
    return found;
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
        visit_end_mailbox(v, &box);
    else if (verdict == VERDICT_CANNOT_SAY)
        visit_fail(v);
    else
        visit_end_unknown(v);
}

static void on_local(void *arg, enum verdict verdict, const struct box *box, const char *why)
{
    struct visit *v = arg;
    if (verdict == VERDICT_YES) {
        visit_end_mailbox(v, box);
    } else if (verdict == VERDICT_CANNOT_SAY) {
        err_temp(&v->r->err, "%s", why);
        visit_fail(v);
    } else {
        visit_end_unknown(v);
    }
}

static void on_relay_recipient(void *arg, const struct find_result *found)
{
    struct visit *v = arg;
    if (found->answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&v->r->err, "%s", found->why);
        visit_fail(v);
    } else if (found->answer == LDAPMAP_NO && v->r->set->relay_recipients.n) {
        visit_end_unknown(v);
    } else {
        visit_end_remote(v);
    }
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
    else if (v->class == DOMAIN_ALIAS || visit_is_owed_postmaster(v))
        visit_end_unknown(v);
    else if (visit_was_said(v))
        visit_end_elsewhere(v);
    else
        visit_end_remote(v);
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
    size_t i;
    int found = find_key(v, v->groups, v->group_asked, KEY_OWN_FULL, &i);
    if (found <= 0)
        return found;
    struct group_post post = {v->r->sender, v->r->flags & RESOLVE_AUTHENTICATED, v->node->addr.domain};
    trace_decision(v->r->set->trace, "%.*s is a group", STR_FMT(v->node->addr.key));
    group_run(v->r->set, v->r->arena, &v->groups[i], &post, &v->r->stale, on_group, v);
    return 1;
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
    if (v->class == DOMAIN_NONE && visit_was_said(v) && !visit_is_owed_postmaster(v)) {
        visit_end_elsewhere(v);
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
