/* What is asked about senders, other addresses, clients and maps. */
#include "base/clock.h"
#include "base/log.h"
#include "directory/access.h"
#include "directory/maps.h"
#include "directory/question.h"
#include "directory/rewrite.h"
#include "directory/sender.h"
#include "directory/vacation.h"

/* --- rewriting --- */

static void on_rewritten(void *arg, enum verdict verdict, struct str address, const char *why)
{
    struct aside *w = arg;
    struct question *q = w->q;
    struct msg m = MSG_INIT(rewrite_reply);
    m.rewrite_reply.id = q->id;
    m.rewrite_reply.verdict = (uint8_t)verdict;
    m.rewrite_reply.address = address;
    if (verdict == VERDICT_CANNOT_SAY)
        log_warning("rewrite", LZ("address", q->address), LZ("verdict", question_verdict_name(verdict)),
                    LZ("why", why));
    question_count(q->peer->d, verdict);
    peer_send(q->peer, &m);
    aside_end(w);
}

void answer_rewrite(struct peer *p, const struct msg_rewrite_ask *m)
{
    struct aside *w = aside_new(p, m->id, m->address);
    if (question_is_too_much(p))
        on_rewritten(w, VERDICT_CANNOT_SAY, (struct str){0}, "too many questions");
    else
        rewrite_run(w->set, w->arena, m->address, m->class, on_rewritten, w);
}

/* --- access tables --- */

static void on_access(void *arg, const struct find_result *r)
{
    struct aside *w = arg;
    struct question *q = w->q;
    struct msg m = MSG_INIT(access_reply);
    m.access_reply.id = q->id;
    m.access_reply.verdict = r->answer == LDAPMAP_YES  ? VERDICT_YES
                             : r->answer == LDAPMAP_NO ? VERDICT_NO
                                                       : VERDICT_CANNOT_SAY;
    if (r->answer == LDAPMAP_YES)
        m.access_reply.action = str_head(r->values[0].value, 500);
    if (r->answer == LDAPMAP_CANNOT_SAY)
        log_warning("access", LZ("subject", q->address), LZ("why", r->why));
    peer_send(q->peer, &m);
    aside_end(w);
}

void answer_access(struct peer *p, const struct msg_access_ask *m)
{
    static const struct find_result busy = {.answer = LDAPMAP_CANNOT_SAY,
                                            .why = "too many questions"};
    struct aside *w = aside_new(p, m->id, m->subject);
    if (question_is_too_much(p))
        on_access(w, &busy);
    else
        access_run(w->set, w->arena, m->table, m->kind, m->subject, on_access, w);
}

/* --- people who are away --- */

static void on_vacation(void *arg, const struct vacation_result *r)
{
    struct aside *w = arg;
    struct question *q = w->q;
    struct msg m = MSG_INIT(vacation_reply);
    m.vacation_reply.id = q->id;
    m.vacation_reply.verdict = (uint8_t)r->verdict;
    if (r->verdict == VERDICT_YES) {
        m.vacation_reply.subject = r->subject;
        m.vacation_reply.text = r->text;
        m.vacation_reply.addresses = r->addresses;
    }
    if (r->verdict == VERDICT_CANNOT_SAY)
        log_warning("vacation", LZ("address", q->address), LZ("why", r->why));
    peer_send(q->peer, &m);
    aside_end(w);
}

void answer_vacation(struct peer *p, const struct msg_vacation_ask *m)
{
    static const struct vacation_result busy = {.verdict = VERDICT_CANNOT_SAY,
                                                .why = "too many questions"};
    struct aside *w = aside_new(p, m->id, m->address);
    if (question_is_too_much(p))
        on_vacation(w, &busy);
    else
        vacation_run(w->set, w->arena, m->address, on_vacation, w);
}

/* --- senders --- */

static void on_sender_known(void *arg, enum verdict verdict, const char *why)
{
    struct question *q = arg;
    struct msg m = MSG_INIT(sender_reply);
    m.sender_reply.id = q->id;
    m.sender_reply.verdict = (uint8_t)verdict;
    if (verdict == VERDICT_CANNOT_SAY) {
        m.sender_reply.text = STR("the directory cannot say now");
        log_warning("sender", LZ("address", q->address), LZ("verdict", question_verdict_name(verdict)),
                    LZ("why", why));
    }
    question_count(q->peer->d, verdict);
    peer_send(q->peer, &m);
    question_end(q);
}

/* The record of a login that this peer may speak for: an smtp program for its own sessions, the
 * queue for mail it was given. Other uses are somebody's fault and told to the log. */
static const struct grant_record *login_of(struct peer *p, const struct grant *id)
{
    struct grant_record *r = grants_find(p->d->grants, id, clock_mono_ms());
    if (!r)
        return NULL;
    const struct grant_fields *f = grants_fields(r);
    bool fits = f->kind == GRANT_LOGIN && f->service <= SERVICE_SUBMISSIONS &&
                (p->program == QUEUE || grants_holder(r) == p->number);
    if (!fits)
        log_error("grant-misused", LZ("by", program_name(p->program)), LS("login", f->login));
    return fits ? r : NULL;
}

/* What was said must be the login's, and become what the message is to come from. */
struct claim {
    struct aside *w;
    struct str login, dn, said, address;
};

static void on_claim_rewritten(void *arg, enum verdict verdict, struct str address,
                               const char *why)
{
    struct claim *c = arg;
    struct aside *w = c->w;
    struct question *q = w->q;
    if (verdict == VERDICT_YES && !str_eq(address, c->address))
        verdict = VERDICT_NO;
    if (verdict == VERDICT_YES)
        sender_run(w->set, c->said, c->login, c->dn, on_sender_known, q);
    else
        on_sender_known(q, verdict, why);
    aside_leave(w);
}

static void ask_claim(struct peer *p, const struct msg_sender_ask *m, const struct grant_fields *f)
{
    struct aside *w = aside_new(p, m->id, m->address);
    struct claim *c = ARENA_NEW(w->arena, struct claim);
    *c = (struct claim){w, arena_str(w->arena, f->login), arena_str(w->arena, f->dn),
                        arena_str(w->arena, m->said), arena_str(w->arena, m->address)};
    rewrite_run(w->set, w->arena, c->said, REWRITE_ENVELOPE_SENDER, on_claim_rewritten, c);
}

void answer_sender(struct peer *p, const struct msg_sender_ask *m)
{
    const struct grant_record *r = login_of(p, &m->grant);
    p->d->counts.senders++;
    if (r && m->said.n && !question_is_too_much(p)) {
        ask_claim(p, m, grants_fields(r));
        return;
    }
    struct question *q = question_new(p, m->id, m->address);
    if (question_is_too_much(p) || !r) {
        on_sender_known(q, VERDICT_CANNOT_SAY, r ? "too many questions" : "no such login");
        return;
    }
    if (grants_is_ended(r)) {
        on_sender_known(q, VERDICT_NO, "the login has ended");
        return;
    }
    const struct grant_fields *f = grants_fields(r);
    sender_run(p->d->set, m->address, f->login, f->dn, on_sender_known, q);
}

/* --- maps --- */

static void on_map_known(void *arg, const struct maps_result *r)
{
    struct question *q = arg;
    struct msg m = MSG_INIT(map_reply);
    m.map_reply.id = q->id;
    m.map_reply.verdict = (uint8_t)r->verdict;
    m.map_reply.value = r->value;
    if (r->verdict == VERDICT_CANNOT_SAY)
        log_warning("map", LZ("key", q->address), LZ("verdict", question_verdict_name(r->verdict)),
                    LZ("why", r->why));
    question_count(q->peer->d, r->verdict);
    peer_send(q->peer, &m);
    question_end(q);
}

void answer_map(struct peer *p, const struct msg_map_ask *m)
{
    struct question *q = question_new(p, m->id, m->key);
    p->d->counts.maps++;
    if (question_is_too_much(p)) {
        on_map_known(q, &(struct maps_result){.why = "too many questions"});
        return;
    }
    maps_run(p->d->set, p->program, m->option, m->key, on_map_known, q);
}
