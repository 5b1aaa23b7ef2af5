/* The questions of the other programs: who answers which, and what is asked of grants. Nothing here waits. */
#include "base/clock.h"
#include "base/log.h"
#include "directory/domains.h"
#include "directory/exchange.h"
#include "directory/explain.h"
#include "directory/question.h"
#include "directory/watch.h"

/* --- grants --- */

static void on_redeem_ask(struct peer *p, const struct msg_redeem_ask *m)
{
    struct directory *d = p->d;
    struct grant_record *r = grants_find(d->grants, &m->grant, clock_mono_ms());
    struct msg reply = MSG_INIT(redeem_reply);
    struct msg_redeem_reply *out = &reply.redeem_reply;
    bool may = r && !grants_is_ended(r) && grants_may_redeem(r, p->program);
    out->id = m->id;
    /* Not "no": after a restart of ours old grants are unknown, and their mail is good. */
    out->verdict = may ? VERDICT_YES : VERDICT_CANNOT_SAY;
    if (may) {
        const struct grant_fields *f = grants_fields(r);
        out->service = (uint8_t)f->service;
        out->uid = f->uid;
        out->gid = f->gid;
        out->home = f->home;
        out->maildir = f->maildir;
        out->login = f->login;
        out->name = f->name;
        out->limit = f->limit;
        out->address = f->address;
        out->sender = f->sender;
        d->counts.redeemed++;
    } else {
        log_warning("redeem", LZ("by", program_name(p->program)),
                    LZ("why", r ? "a grant of another kind" : "unknown or too old"));
    }
    peer_send(p, &reply);
    if (may && m->use == REDEEM_USE && grants_is_single_use(r))
        grants_remove(d->grants, r);
}

/* Who may drop a grant: who was given it, and the queue, which was handed it on. */
static void on_grant_drop(struct peer *p, const struct msg_grant_drop *m)
{
    struct grant_record *r = grants_find(p->d->grants, &m->grant, clock_mono_ms());
    if (r && (p->program == QUEUE || grants_holder(r) == p->number))
        grants_remove(p->d->grants, r);
}

/* --- what the master tells and asks --- */

static void on_flush_ask(struct peer *p, const struct msg_flush_ask *m)
{
    struct dirset *set = p->d->set;
    struct msg reply = MSG_INIT(flush_reply);
    size_t n = 0;
    if (set) {
        n = m->user.n ? picture_forget_user(set->picture, m->user) : picture_forget(set->picture);
        domains_forget(set->domains);
        watch_changed(p->d->watch, (struct str){0});
    }
    log_info("flush", LS("user", m->user), LN("forgotten", n));
    reply.flush_reply.id = m->id;
    reply.flush_reply.dropped = (uint32_t)n;
    peer_send(p, &reply);
}

/* --- all --- */

void directory_message(struct peer *p, struct msg *m)
{
    switch (m->type) {
    case MSG_resolve_ask:
        answer_resolve(p, &m->resolve_ask);
        break;
    case MSG_access_ask:
        answer_access(p, &m->access_ask);
        break;
    case MSG_rewrite_ask:
        answer_rewrite(p, &m->rewrite_ask);
        break;
    case MSG_vacation_ask:
        answer_vacation(p, &m->vacation_ask);
        break;
    case MSG_auth_ask:
        answer_auth(p, &m->auth_ask);
        break;
    case MSG_auth_step_ask:
        answer_auth_step(p, &m->auth_step_ask);
        break;
    case MSG_auth_stop:
        exchange_stop(p->d->exchanges, p->number, m->auth_stop.exchange);
        break;
    case MSG_sender_ask:
        answer_sender(p, &m->sender_ask);
        break;
    case MSG_map_ask:
        answer_map(p, &m->map_ask);
        break;
    case MSG_redeem_ask:
        on_redeem_ask(p, &m->redeem_ask);
        break;
    case MSG_explain_ask:
        explain_run(p, &m->explain_ask);
        break;
    case MSG_grant_drop:
        on_grant_drop(p, &m->grant_drop);
        break;
    case MSG_flush_ask:
        on_flush_ask(p, &m->flush_ask);
        break;
    case MSG_login_began:
        watch_add(p->d->watch, m->login_began.login, m->login_began.uid, m->login_began.name,
                  (struct str){0});
        break;
    case MSG_login_over:
        watch_remove(p->d->watch, m->login_over.login, m->login_over.uid);
        break;
    default:
        break; /* msg_decode lets nothing else through */
    }
}

void directory_peer_gone(struct peer *p)
{
    grants_drop_holder(p->d->grants, p->number);
    exchange_drop_holder(p->d->exchanges, p->number);
}
