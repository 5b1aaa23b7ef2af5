/* What is asked about logins: passwords, the steps of an exchange, and the grants that come of them. */
#include "base/clock.h"
#include "base/log.h"
#include "directory/bearer.h"
#include "directory/exchange.h"
#include "directory/login.h"
#include "directory/question.h"
#include "directory/watch.h"

#define CHALLENGE_MAX 9300 /* messages.def */

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
           LZ("user", q->address), LZ("verdict", question_verdict_name(verdict)), LS("login", box->login),
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
    question_count(q->peer->d, verdict);
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
    question_count(q->peer->d, verdict);
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

void answer_auth_step(struct peer *p, const struct msg_auth_step_ask *m)
{
    struct question *q = question_new(p, m->id, m->mechanism);
    struct str client = str_head(m->client, sizeof q->client - 1);
    struct config_network from;
    bool known = config_network_parse(m->client, &from) == 0;
    memcpy(q->client, client.p, client.n);
    q->service = (enum service)m->service;
    p->d->counts.logins += m->mechanism.n > 0;
    if (question_is_too_much(p) || !is_own_service(p, q->service)) {
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

void answer_auth(struct peer *p, const struct msg_auth_ask *m)
{
    struct question *q = question_new(p, m->id, m->user);
    struct str client = str_head(m->client, sizeof q->client - 1);
    memcpy(q->client, client.p, client.n);
    q->service = (enum service)m->service;
    p->d->counts.logins++;
    if (question_is_too_much(p) || !is_own_service(p, q->service)) {
        struct login_result r = {.verdict = VERDICT_CANNOT_SAY,
                                 .why = question_is_too_much(p) ? "too many questions"
                                                       : "a service that is not the program's"};
        on_logged_in(q, &r);
        return;
    }
    struct config_network from;
    bool known = config_network_parse(m->client, &from) == 0;
    login_run(p->d->set, m->user, m->password, known ? from.addr : NULL, on_logged_in, q);
}
