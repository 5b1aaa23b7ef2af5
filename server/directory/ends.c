/* What an address turns out to be: a mailbox, mail for another server, nobody, postmaster. */
#include "directory/dirset.h"
#include "directory/trace.h"
#include "directory/visit.h"

void visit_end_remote(struct visit *v)
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

void visit_end_mailbox(struct visit *v, const struct box *box)
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

bool visit_is_owed_postmaster(const struct visit *v)
{
    return v->class != DOMAIN_RELAY && visit_was_said(v) && v->node->addr.is_postmaster &&
           !(v->r->flags & RESOLVE_FINAL) &&
           (v->class != DOMAIN_NONE || str_eq(v->node->addr.domain, v->r->set->names.myhostname));
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
    resolve_set_root(r, &to);
    trace_decision(r->set->trace, "postmaster is nowhere in the directory: postmaster_address, "
                                  "%.*s, stands in", STR_FMT(to.printed));
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
void visit_end_unknown(struct visit *v)
{
    if (visit_is_owed_postmaster(v)) {
        end_postmaster(v);
        return;
    }
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

/* The address as it became, for who may send there by a right of its own. */
void visit_end_elsewhere(struct visit *v)
{
    struct resolve *r = v->r;
    r->targets = ARENA_NEW(r->arena, struct resolve_target);
    *r->targets = (struct resolve_target){.address = v->node->addr.printed, .remote = true};
    r->count = r->changed ? 1 : 0;
    visit_answer(v, VERDICT_NOT_HERE, "not hosted here");
}
