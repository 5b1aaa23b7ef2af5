/*
 * The questions of the other programs and their answers: what is logged, which grants are given and
 * to whom they are bound. Nothing here waits.
 */
#include "base/clock.h"
#include "base/log.h"
#include "directory/access.h"
#include "directory/bearer.h"
#include "directory/directory.h"
#include "directory/domains.h"
#include "directory/exchange.h"
#include "directory/explain.h"
#include "directory/login.h"
#include "directory/maps.h"
#include "directory/resolve.h"
#include "directory/rewrite.h"
#include "directory/sender.h"
#include "directory/vacation.h"
#include "directory/watch.h"

#include <stdlib.h>

#define TARGETS_A_REPLY 40 /* messages.def */
#define CHALLENGE_MAX 9300  /* messages.def */

/* A question under way. */
struct question {
    struct peer *peer;
    uint64_t id;
    enum service service;
    int64_t started;
    char address[256]; /* or login name: for the log */
    char client[64];
};

static struct question *question_new(struct peer *p, uint64_t id, struct str about)
{
    struct question *q = MEM_NEW(struct question);
    *q = (struct question){.peer = p, .id = id, .started = clock_mono_ms()};
    about = str_head(about, sizeof q->address - 1);
    memcpy(q->address, about.p, about.n);
    peer_hold(p);
    return q;
}

static void question_end(struct question *q)
{
    peer_release(q->peer);
    free(q);
}

static const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"cannot-say", "yes", "no", "not-here", "remote", "full",
                                        "refused"};
    return names[v];
}

/* True when the peer may not ask more now, or we were not configured yet. */
static bool is_too_busy(const struct peer *p)
{
    return p->under_way >= PEER_UNDER_WAY_MAX || !p->d->set;
}

static void count_verdict(struct directory *d, enum verdict v)
{
    d->counts.cannot_say += v == VERDICT_CANNOT_SAY;
}

/* --- recipients --- */

static int grant_target(struct directory *d, struct peer *p, const struct resolve_target *t,
                        struct grant *out)
{
    struct grant_fields f = {.kind = t->remote ? GRANT_RELAY : GRANT_DELIVER,
                             .uid = t->box.m.uid,
                             .gid = t->box.m.gid,
                             .limit = t->box.limit,
                             .home = t->box.m.home,
                             .maildir = t->box.m.maildir,
                             .address = t->address,
                             .login = t->box.login,
                             .dn = t->box.dn};
    *out = (struct grant){0};
    if (t->unknown)
        return 0;
    if (t->remote && t->list)
        f.sender = t->list->sender;
    return grants_issue(d->grants, &f, p->number, clock_mono_ms(), out);
}

/* All targets with their grants, or -1: too many grants are out. */
static int grant_targets(struct question *q, const struct resolve_result *r, struct msg_target *v)
{
    for (size_t i = 0; i < r->count; i++) {
        v[i].address = r->targets[i].address;
        v[i].remote = r->targets[i].remote;
        v[i].away = r->targets[i].box.account.away;
        v[i].unknown = r->targets[i].unknown;
        /* Elsewhere, and not by our doing: the client must have a right of its own. */
        if (r->verdict != VERDICT_NOT_HERE &&
            grant_target(q->peer->d, q->peer, &r->targets[i], &v[i].grant) != 0)
            return -1;
    }
    return 0;
}

static void log_resolved(const struct question *q, const struct resolve_result *r,
                         enum verdict verdict, const char *why)
{
    int64_t ms = clock_mono_ms() - q->started;
    if (verdict == VERDICT_CANNOT_SAY)
        log_warning("resolve", LZ("address", q->address), LZ("verdict", verdict_name(verdict)),
                    LZ("why", why), LN("ms", ms));
    else
        log_debug("resolve", LZ("address", q->address), LZ("verdict", verdict_name(verdict)),
                  LN("targets", r->count), LN("ms", ms));
}

/* How many of the first targets fit one message: those of one list, and not too many. */
static size_t piece_size(const struct resolve_target *t, size_t n)
{
    size_t some = 0;
    while (some < n && some < TARGETS_A_REPLY && t[some].list == t[0].list)
        some++;
    return some;
}

/* Replies in pieces of what fits one message. */
static void send_targets(struct question *q, enum verdict verdict, const char *text,
                         const struct resolve_target *targets, struct msg_target *v, size_t n)
{
    size_t at = 0;
    do {
        struct msg m = MSG_INIT(resolve_reply);
        const struct resolve_list *list = n ? targets[at].list : NULL;
        size_t some = piece_size(targets + at, n - at);
        m.resolve_reply.id = q->id;
        m.resolve_reply.verdict = (uint8_t)verdict;
        m.resolve_reply.text = str_from(text);
        m.resolve_reply.targets = (struct msg_targets){v + at, some};
        if (list) {
            m.resolve_reply.list = list->address;
            m.resolve_reply.list_closed = list->closed;
            m.resolve_reply.list_sender = list->sender;
        }
        at += some;
        m.resolve_reply.more = at < n;
        peer_send(q->peer, &m);
    } while (at < n);
}

static void on_resolved(void *arg, const struct resolve_result *r)
{
    struct question *q = arg;
    struct msg_target *v = mem_array(r->count + 1, sizeof *v);
    enum verdict verdict = r->verdict;
    const char *text = r->text, *why = r->why;
    size_t n = r->count;
    if (q->peer->ch && grant_targets(q, r, v) != 0) {
        verdict = VERDICT_CANNOT_SAY;
        text = "too much mail is under way";
        why = "too many grants are out";
        n = 0;
    }
    count_verdict(q->peer->d, verdict);
    log_resolved(q, r, verdict, why);
    send_targets(q, verdict, text, r->targets, v, n);
    free(v);
    question_end(q);
}

static void on_resolve_ask(struct peer *p, const struct msg_resolve_ask *m)
{
    struct question *q = question_new(p, m->id, m->address);
    p->d->counts.resolves++;
    if (is_too_busy(p)) {
        struct resolve_result r = {.verdict = VERDICT_CANNOT_SAY,
                                   .text = "too many questions",
                                   .why = "too many questions"};
        on_resolved(q, &r);
        return;
    }
    resolve_run(p->d->set, m->address, m->sender, m->flags, on_resolved, q);
}

/* --- logins --- */

static int grant_login(struct question *q, const struct login_result *r, struct grant *out)
{
    const struct box *box = &r->box;
    struct directory *d = q->peer->d;
    struct grant_fields f = {.kind = GRANT_LOGIN,
                             .service = q->service,
                             .uid = box->m.uid,
                             .gid = box->m.gid,
                             .limit = box->limit,
                             .home = box->m.home,
                             .maildir = box->m.maildir,
                             .login = box->login,
                             .name = r->name,
                             .dn = box->dn};
    if (grants_issue(d->grants, &f, q->peer->number, clock_mono_ms(), out) != 0)
        return -1;
    if (f.service <= SERVICE_SUBMISSIONS)
        watch_add(d->watch, f.login, f.uid, f.name, f.dn);
    return 0;
}

static void log_login(const struct question *q, enum verdict verdict, const struct box *box,
                      const char *why)
{
    enum log_level level = verdict == VERDICT_CANNOT_SAY ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;
    LOG_AT(level, "auth", LZ("service", service_name(q->service)), LZ("client", q->client),
           LZ("user", q->address), LZ("verdict", verdict_name(verdict)), LS("login", box->login),
           LZ("why", why), LN("ms", clock_mono_ms() - q->started));
}

static void on_logged_in(void *arg, const struct login_result *r)
{
    struct question *q = arg;
    struct msg m = MSG_INIT(auth_reply);
    enum verdict verdict = r->verdict;
    const char *why = r->why;
    if (verdict == VERDICT_YES && q->peer->ch &&
        grant_login(q, r, &m.auth_reply.grant) != 0) {
        verdict = VERDICT_CANNOT_SAY;
        why = "too many grants are out";
    }
    m.auth_reply.id = q->id;
    m.auth_reply.verdict = (uint8_t)verdict;
    if (verdict != VERDICT_YES && verdict == r->verdict)
        m.auth_reply.state = (uint8_t)r->state;
    if (verdict == VERDICT_YES)
        m.auth_reply.login = r->box.login;
    else
        m.auth_reply.text = verdict == VERDICT_NO ? STR("wrong name or password")
                                                  : STR("the directory cannot say now");
    count_verdict(q->peer->d, verdict);
    log_login(q, verdict, &r->box, why);
    peer_send(q->peer, &m);
    question_end(q);
}

static bool is_own_service(const struct peer *p, enum service service)
{
    /* An smtp program gets no grant that opens a mailbox, nor access one that sends mail. */
    bool is_smtp = service >= SERVICE_SMTP && service <= SERVICE_SUBMISSIONS;
    return is_smtp == (p->program == SMTP) && service <= SERVICE_POP3S;
}

static void end_exchange(struct question *q, const struct login_result *r, struct str data)
{
    struct msg m = MSG_INIT(auth_step_reply);
    struct msg_auth_step_reply *out = &m.auth_step_reply;
    enum verdict verdict = r->verdict;
    const char *why = r->why;
    if (verdict == VERDICT_YES && q->peer->ch && grant_login(q, r, &out->grant) != 0) {
        verdict = VERDICT_CANNOT_SAY;
        why = "too many grants are out";
    }
    out->id = q->id;
    out->verdict = (uint8_t)verdict;
    out->state = verdict == r->verdict && verdict != VERDICT_YES ? (uint8_t)r->state : AUTH_PLAIN;
    if (verdict == VERDICT_YES)
        out->login = r->box.login;
    if (verdict == VERDICT_YES || verdict == VERDICT_NO)
        out->data = data;
    count_verdict(q->peer->d, verdict);
    log_login(q, verdict, &r->box, why);
    peer_send(q->peer, &m);
    question_end(q);
}

static void on_exchanged(void *arg, const struct exchange_reply *r)
{
    struct question *q = arg;
    if (r->user.n) {
        struct str user = str_head(r->user, sizeof q->address - 1);
        memset(q->address, 0, sizeof q->address);
        memcpy(q->address, user.p, user.n);
    }
    if (!r->go_on && r->data.n <= CHALLENGE_MAX) {
        end_exchange(q, r->login, r->data);
    } else if (r->data.n > CHALLENGE_MAX) {
        struct login_result bad = {.verdict = VERDICT_CANNOT_SAY, .why = "a challenge too long"};
        end_exchange(q, &bad, (struct str){0});
    } else {
        struct msg m = MSG_INIT(auth_step_reply);
        m.auth_step_reply.id = q->id;
        m.auth_step_reply.go_on = 1;
        m.auth_step_reply.data = r->data;
        peer_send(q->peer, &m);
        question_end(q);
    }
}

static void on_auth_step_ask(struct peer *p, const struct msg_auth_step_ask *m)
{
    struct question *q = question_new(p, m->id, m->mechanism);
    struct str client = str_head(m->client, sizeof q->client - 1);
    struct config_network from;
    bool known = config_network_parse(m->client, &from) == 0;
    memcpy(q->client, client.p, client.n);
    q->service = (enum service)m->service;
    p->d->counts.logins += m->mechanism.n > 0;
    if (is_too_busy(p) || !is_own_service(p, q->service)) {
        struct login_result r = {.verdict = VERDICT_CANNOT_SAY, .why = "not asked now, or not this"};
        end_exchange(q, &r, (struct str){0});
        return;
    }
    struct exchange_step step = {.holder = p->number, .number = m->exchange,
                                 .mechanism = m->mechanism, .data = m->has_data ? &m->data : NULL,
                                 .ip = known ? from.addr : NULL};
    if (bearer_is_offered(p->d->set, m->mechanism))
        bearer_run(p->d->bearers, p->d->set, &step, on_exchanged, q);
    else
        exchange_step(p->d->exchanges, p->d->set, &step, on_exchanged, q);
}

static void on_auth_ask(struct peer *p, const struct msg_auth_ask *m)
{
    struct question *q = question_new(p, m->id, m->user);
    struct str client = str_head(m->client, sizeof q->client - 1);
    memcpy(q->client, client.p, client.n);
    q->service = (enum service)m->service;
    p->d->counts.logins++;
    if (is_too_busy(p) || !is_own_service(p, q->service)) {
        struct login_result r = {.verdict = VERDICT_CANNOT_SAY,
                                 .why = is_too_busy(p) ? "too many questions"
                                                       : "a service that is not the program's"};
        on_logged_in(q, &r);
        return;
    }
    struct config_network from;
    bool known = config_network_parse(m->client, &from) == 0;
    login_run(p->d->set, m->user, m->password, known ? from.addr : NULL, on_logged_in, q);
}

/* --- rewriting --- */

/* A question that holds the set itself. */
struct aside {
    struct question *q;
    struct dirset *set; /* NULL: there is none yet */
    struct arena *arena;
};

static struct aside *aside_new(struct peer *p, uint64_t id, struct str about)
{
    struct aside *w = MEM_NEW(struct aside);
    *w = (struct aside){question_new(p, id, about), NULL, arena_new(1024)};
    if (p->d->set)
        w->set = dirset_hold(p->d->set);
    return w;
}

static void aside_end(struct aside *w)
{
    question_end(w->q);
    if (w->set)
        dirset_release(w->set);
    arena_free(w->arena);
    free(w);
}

static void on_rewritten(void *arg, enum verdict verdict, struct str address, const char *why)
{
    struct aside *w = arg;
    struct question *q = w->q;
    struct msg m = MSG_INIT(rewrite_reply);
    m.rewrite_reply.id = q->id;
    m.rewrite_reply.verdict = (uint8_t)verdict;
    m.rewrite_reply.address = address;
    if (verdict == VERDICT_CANNOT_SAY)
        log_warning("rewrite", LZ("address", q->address), LZ("verdict", verdict_name(verdict)),
                    LZ("why", why));
    count_verdict(q->peer->d, verdict);
    peer_send(q->peer, &m);
    aside_end(w);
}

static void on_rewrite_ask(struct peer *p, const struct msg_rewrite_ask *m)
{
    struct aside *w = aside_new(p, m->id, m->address);
    if (is_too_busy(p))
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

static void on_access_ask(struct peer *p, const struct msg_access_ask *m)
{
    static const struct find_result busy = {.answer = LDAPMAP_CANNOT_SAY,
                                            .why = "too many questions"};
    struct aside *w = aside_new(p, m->id, m->subject);
    if (is_too_busy(p))
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

static void on_vacation_ask(struct peer *p, const struct msg_vacation_ask *m)
{
    static const struct vacation_result busy = {.verdict = VERDICT_CANNOT_SAY,
                                                .why = "too many questions"};
    struct aside *w = aside_new(p, m->id, m->address);
    if (is_too_busy(p))
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
        log_warning("sender", LZ("address", q->address), LZ("verdict", verdict_name(verdict)),
                    LZ("why", why));
    }
    count_verdict(q->peer->d, verdict);
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
    if (w->set)
        dirset_release(w->set);
    arena_free(w->arena);
    free(w);
}

static void ask_claim(struct peer *p, const struct msg_sender_ask *m, const struct grant_fields *f)
{
    struct aside *w = aside_new(p, m->id, m->address);
    struct claim *c = ARENA_NEW(w->arena, struct claim);
    *c = (struct claim){w, arena_str(w->arena, f->login), arena_str(w->arena, f->dn),
                        arena_str(w->arena, m->said), arena_str(w->arena, m->address)};
    rewrite_run(w->set, w->arena, c->said, REWRITE_ENVELOPE_SENDER, on_claim_rewritten, c);
}

static void on_sender_ask(struct peer *p, const struct msg_sender_ask *m)
{
    const struct grant_record *r = login_of(p, &m->grant);
    p->d->counts.senders++;
    if (r && m->said.n && !is_too_busy(p)) {
        ask_claim(p, m, grants_fields(r));
        return;
    }
    struct question *q = question_new(p, m->id, m->address);
    if (is_too_busy(p) || !r) {
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
        log_warning("map", LZ("key", q->address), LZ("verdict", verdict_name(r->verdict)),
                    LZ("why", r->why));
    count_verdict(q->peer->d, r->verdict);
    peer_send(q->peer, &m);
    question_end(q);
}

static void on_map_ask(struct peer *p, const struct msg_map_ask *m)
{
    struct question *q = question_new(p, m->id, m->key);
    p->d->counts.maps++;
    if (is_too_busy(p)) {
        on_map_known(q, &(struct maps_result){.why = "too many questions"});
        return;
    }
    maps_run(p->d->set, p->program, m->option, m->key, on_map_known, q);
}

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
        on_resolve_ask(p, &m->resolve_ask);
        break;
    case MSG_access_ask:
        on_access_ask(p, &m->access_ask);
        break;
    case MSG_rewrite_ask:
        on_rewrite_ask(p, &m->rewrite_ask);
        break;
    case MSG_vacation_ask:
        on_vacation_ask(p, &m->vacation_ask);
        break;
    case MSG_auth_ask:
        on_auth_ask(p, &m->auth_ask);
        break;
    case MSG_auth_step_ask:
        on_auth_step_ask(p, &m->auth_step_ask);
        break;
    case MSG_auth_stop:
        exchange_stop(p->d->exchanges, p->number, m->auth_stop.exchange);
        break;
    case MSG_sender_ask:
        on_sender_ask(p, &m->sender_ask);
        break;
    case MSG_map_ask:
        on_map_ask(p, &m->map_ask);
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
