/*
 * A login: the directory checks the password, a failure is answered late, a grant is turned into a
 * session by the master.
 */
#include "access/access.h"
#include "base/log.h"

#include <unistd.h>

#define DIRECTORY_MS 30000

static struct str ask_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

static void refuse(struct client *c, enum login_end why)
{
    c->protocol->refuse(c, why);
    client_continue(c);
}

static void on_delay(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    (void)fd;
    (void)what;
    event_free(c->delay);
    c->delay = NULL;
    refuse(c, c->late);
}

/* The answer to a wrong password comes late, whatever was wrong. */
static void refuse_late(struct client *c, enum login_end why)
{
    struct timeval tv = {rates_guess_delay(c->settings->cfg, &c->guess), 0};
    c->errors += 2;
    c->access->failures++;
    c->state = CLIENT_WAITS;
    c->late = why;
    c->delay = evtimer_new(c->access->program->base, on_delay, c);
    event_add(c->delay, &tv);
}

/* --- the master's part --- */

static void ask_session(struct client *c, struct grant grant)
{
    struct access *a = c->access;
    struct msg m = MSG_INIT(session_ask);
    c->state = CLIENT_STARTING;
    c->grant = grant;
    c->ask = ++a->last_ask;
    m.session_ask.id = c->ask;
    m.session_ask.grant = c->grant;
    m.session_ask.service = (uint8_t)c->service;
    m.session_ask.session = str_from(c->id);
    m.session_ask.client = str_from(conn_peer(c->conn)->text);
    map_put(a->waiting, ask_key(&c->ask), c);
    channel_send(a->program->master, &m);
}

void login_session_reply(struct access *a, struct msg *m)
{
    uint64_t id = m->session_reply.id;
    struct client *c = map_take(a->waiting, ask_key(&id));
    if (!c)
        return; /* the client left; the descriptor is closed and the session ends */
    c->ask = 0;
    if (m->session_reply.verdict == VERDICT_YES) {
        int fd = m->fd;
        m->fd = -1;
        a->logins++;
        relay_start(c, fd);
    } else if (m->session_reply.verdict == VERDICT_REFUSED) {
        refuse(c, LOGIN_TOO_MANY);
    } else {
        refuse(c, LOGIN_NO_SESSION);
    }
}

/* --- the directory's part --- */

static void judged(struct client *c, enum verdict verdict, enum auth_state state,
                   struct grant grant, struct str login)
{
    c->why = state;
    bool too_many = verdict == VERDICT_CANNOT_SAY && c->why == AUTH_TOO_MANY;
    if (auth_was_right(verdict, c->why) || (verdict == VERDICT_CANNOT_SAY && !too_many))
        rates_guess_forgive(c->access->front.rates, &c->guess);
    log_info("login", LZ("session", c->id), LZ("client", conn_peer(c->conn)->text),
             LS("login", login),
             LZ("verdict", verdict == VERDICT_YES          ? "yes"
                           : verdict == VERDICT_CANNOT_SAY ? "cannot-say"
                                                           : "no"));
    if (verdict == VERDICT_YES)
        ask_session(c, grant);
    else if (too_many)
        refuse_late(c, LOGIN_CANNOT_SAY);
    else if (verdict == VERDICT_CANNOT_SAY)
        refuse(c, LOGIN_CANNOT_SAY);
    else if (verdict == VERDICT_REFUSED)
        refuse_late(c, LOGIN_FORBIDDEN);
    else
        refuse_late(c, LOGIN_WRONG);
}

static void on_auth(void *arg, struct msg *m)
{
    static const struct msg_auth_reply none;
    const struct msg_auth_reply *r = m ? &m->auth_reply : &none;
    struct client *c = arg;
    c->ask = 0;
    judged(c, (enum verdict)r->verdict, (enum auth_state)r->state, r->grant, r->login);
}

/* False: there were too many, and that is said. */
static bool may_guess(struct client *c, struct str user)
{
    if (rates_guess_begin(c->access->front.rates, c->settings->cfg, conn_peer(c->conn)->ip, user,
                          &c->guess))
        return true;
    log_info("login-limit", LZ("session", c->id), LZ("client", conn_peer(c->conn)->text),
             LS("user", user));
    c->why = AUTH_TOO_MANY;
    refuse_late(c, LOGIN_CANNOT_SAY);
    return false;
}

void login_start(struct client *c, struct str user, struct str password)
{
    struct msg m = MSG_INIT(auth_ask);
    m.auth_ask.service = (uint8_t)c->service;
    m.auth_ask.user = user;
    m.auth_ask.password = password;
    m.auth_ask.client = str_from(conn_peer(c->conn)->text);
    c->why = AUTH_PLAIN;
    conn_pause(c->conn);
    if (user.n == 0 || user.n > 1000 || password.n == 0 || password.n > 4000) {
        refuse_late(c, LOGIN_WRONG);
        return;
    }
    if (!may_guess(c, user))
        return;
    c->state = CLIENT_CHECKING;
    c->ask = rpc_call(c->access->directory, &m, DIRECTORY_MS, on_auth, c);
}

/* --- relayed mechanisms --- */

enum sasl_event login_begin(struct client *c, struct str mechanism, const struct str *initial)
{
    bool relayed = relayed_is(c->settings->cfg, mechanism);
    c->guess.counted = false;
    return (relayed ? sasl_relay_start : sasl_start)(&c->sasl, c->access->front.secrets, mechanism,
                                                     initial);
}

void login_relay_end(struct client *c)
{
    struct msg m = relayed_end(&c->relayed);
    if (m.type != MSG_NONE)
        rpc_tell(c->access->directory, &m);
}

/* The client has heard the last word. */
static void relayed_end_known(struct client *c)
{
    AUTO_FREE char *login = c->relayed.login;
    struct relayed r = c->relayed;
    c->relayed = (struct relayed){0}; /* the grant is the session's now */
    conn_pause(c->conn);
    judged(c, r.let_in ? VERDICT_YES : VERDICT_NO, r.let_in ? AUTH_PLAIN : r.state, r.grant,
           str_from(login));
}

static void on_step(void *arg, struct msg *m)
{
    struct client *c = arg;
    enum relayed_next next = relayed_answer(&c->relayed, m);
    c->ask = 0;
    if (next != RELAYED_OVER) {
        login_sasl(c, sasl_relay_challenge(&c->sasl, m->auth_step_reply.data,
                                           next == RELAYED_LAST      ? SASL_EXPECTS_NOTHING
                                           : next == RELAYED_REFUSED ? SASL_EXPECTS_ANYTHING
                                                                     : SASL_EXPECTS_MORE));
        conn_resume(c->conn);
    } else if (c->relayed.let_in) {
        login_sasl(c, SASL_RELAYED);
    } else {
        login_relay_end(c);
        sasl_free(&c->sasl);
        judged(c, m ? (enum verdict)m->auth_step_reply.verdict : VERDICT_CANNOT_SAY,
               m ? (enum auth_state)m->auth_step_reply.state : AUTH_PLAIN, (struct grant){{0}},
               (struct str){0});
    }
}

/* A step. The first thing that the client says is counted as a guess. */
static void relay_step(struct client *c)
{
    struct str said = {c->sasl.message.p, c->sasl.message.n};
    struct str user = {c->sasl.user.p, c->sasl.user.n};
    c->why = AUTH_PLAIN;
    conn_pause(c->conn);
    if (c->sasl.has_message && !c->guess.counted && !may_guess(c, user)) {
        login_relay_end(c);
        sasl_free(&c->sasl);
        return;
    }
    if (!c->relayed.number)
        c->relayed.number = ++c->access->last_exchange;
    struct msg m = relayed_ask(&c->relayed, str_from(c->sasl.mechanism),
                               c->sasl.has_message ? &said : NULL, c->service,
                               conn_peer(c->conn)->text);
    c->state = CLIENT_CHECKING;
    c->ask = rpc_call(c->access->directory, &m, DIRECTORY_MS, on_step, c);
}

static void fail(struct client *c, enum sasl_event event)
{
    c->errors++;
    c->protocol->sasl_failed(c, event);
    login_relay_end(c);
}

void login_sasl(struct client *c, enum sasl_event event)
{
    if (event == SASL_CONTINUE) {
        c->state = CLIENT_SASL;
        conn_printf(c->conn, "+ %s\r\n", c->sasl.challenge);
        return;
    }
    if (event == SASL_RELAY) {
        relay_step(c);
        return;
    }
    c->state = CLIENT_TALKS;
    if (event == SASL_RELAYED)
        relayed_end_known(c);
    else if (event == SASL_DONE)
        login_start(c, (struct str){c->sasl.user.p, c->sasl.user.n},
                    (struct str){c->sasl.password.p, c->sasl.password.n});
    else
        fail(c, event);
    sasl_free(&c->sasl);
}

void login_cancel(struct client *c)
{
    if (c->state == CLIENT_CHECKING && c->ask)
        rpc_cancel(c->access->directory, c->ask);
    if (c->state == CLIENT_STARTING && c->ask)
        map_take(c->access->waiting, ask_key(&c->ask));
    c->ask = 0;
}
