/* AUTH (RFC 4954): under TLS only; the directory checks the password. */
#include "base/log.h"
#include "ipc/replies.h"
#include "smtp/smtp.h"

#include <stdlib.h>

static struct str sasl_user(const struct session *s)
{
    return (struct str){s->sasl.user.p, s->sasl.user.n};
}

static void end_relayed(struct session *s)
{
    struct msg m = relayed_end(&s->relayed);
    if (m.type != MSG_NONE)
        rpc_tell(s->smtpd->directory, &m);
}

void auth_forget(struct session *s)
{
    struct msg m = MSG_INIT(grant_drop);
    sasl_free(&s->sasl);
    end_relayed(s);
    if (s->login) {
        m.grant_drop.grant = s->grant;
        rpc_tell(s->smtpd->directory, &m);
    }
    free(s->login);
    s->login = NULL;
    s->grant = (struct grant){{0}};
}

static void over(struct session *s)
{
    sasl_free(&s->sasl);
    end_relayed(s);
    s->reading = READ_COMMAND;
    s->reader.max = SMTP_LINE_MAX;
}

static void log_login(struct session *s, struct str user, const char *result)
{
    log_info("auth", LZ("session", s->id), LZ("client", s->peer.text), LS("user", user),
             LZ("result", result));
}

static void refuse(struct session *s, enum verdict v, enum auth_state state)
{
    s->smtpd->login_failures++;
    s->reply_delay = rates_guess_delay(session_cfg(s), &s->guess) * 1000;
    reply(s, "%s", reply_login(v, state)->smtp);
}

static void reply_later(struct session *s)
{
    reply(s, "%s", reply_login(VERDICT_CANNOT_SAY, AUTH_PLAIN)->smtp);
}

static void accept_login(struct session *s, struct grant grant, struct str login)
{
    s->grant = grant;
    s->login = mem_strdup(login);
    s->smtpd->logins++;
    reply(s, REPLY_AUTH_YES);
}

static void judged(struct session *s, struct str user, enum verdict v, enum auth_state state,
                   struct grant grant, struct str login)
{
    bool no = v == VERDICT_NO || v == VERDICT_REFUSED;
    if (auth_was_right(v, state) || (!no && state != AUTH_TOO_MANY))
        rates_guess_forgive(s->smtpd->front.rates, &s->guess);
    s->guess.counted = false;
    if (v == VERDICT_YES) {
        log_login(s, user, "yes");
        accept_login(s, grant, login);
    } else if (no || state == AUTH_TOO_MANY) {
        log_login(s, user, no ? "no" : "too many failures");
        refuse(s, v, state);
    } else {
        log_login(s, user, "cannot say");
        reply_later(s);
    }
    over(s);
}

static void on_checked(struct session *s, void *arg, struct msg *m)
{
    static const struct msg_auth_reply none;
    const struct msg_auth_reply *r = m ? &m->auth_reply : &none;
    (void)arg;
    s->verb = "AUTH";
    judged(s, sasl_user(s), (enum verdict)r->verdict, (enum auth_state)r->state, r->grant, r->login);
}

/* --- relayed mechanisms --- */

static void go_on(struct session *s, enum sasl_event event);

static void on_step(struct session *s, void *arg, struct msg *m)
{
    enum relayed_next next = relayed_answer(&s->relayed, m);
    (void)arg;
    s->verb = "AUTH";
    if (next != RELAYED_OVER)
        go_on(s, sasl_relay_challenge(&s->sasl, m->auth_step_reply.data,
                                      next == RELAYED_LAST      ? SASL_EXPECTS_NOTHING
                                      : next == RELAYED_REFUSED ? SASL_EXPECTS_ANYTHING
                                                                : SASL_EXPECTS_MORE));
    else if (s->relayed.let_in)
        go_on(s, SASL_RELAYED);
    else
        judged(s, sasl_user(s),
               m ? (enum verdict)m->auth_step_reply.verdict : VERDICT_CANNOT_SAY,
               m ? (enum auth_state)m->auth_step_reply.state : AUTH_PLAIN, (struct grant){{0}},
               (struct str){0});
}

/* The first thing that the client says is counted as a guess. */
static void relay(struct session *s)
{
    struct str said = {s->sasl.message.p, s->sasl.message.n};
    if (!s->relayed.number)
        s->relayed.number = ++s->smtpd->last_exchange;
    if (s->sasl.has_message && !s->guess.counted &&
        !limits_guess(s, sasl_user(s))) {
        over(s);
        return;
    }
    struct msg m = relayed_ask(&s->relayed, str_from(s->sasl.mechanism),
                               s->sasl.has_message ? &said : NULL, s->service, s->peer.text);
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_step, NULL);
}

/* The client has heard the last word. */
static void end_known(struct session *s)
{
    AUTO_FREE char *login = s->relayed.login;
    struct relayed r = s->relayed;
    s->relayed = (struct relayed){0}; /* the grant is the session's now */
    judged(s, sasl_user(s), r.let_in ? VERDICT_YES : VERDICT_NO, r.let_in ? AUTH_PLAIN : r.state,
           r.grant, str_from(login));
}

static void check(struct session *s)
{
    if (!limits_guess(s, sasl_user(s))) {
        over(s);
        return;
    }
    struct msg m = MSG_INIT(auth_ask);
    m.auth_ask.service = (uint8_t)s->service;
    m.auth_ask.user = (struct str){s->sasl.user.p, s->sasl.user.n};
    m.auth_ask.password = (struct str){s->sasl.password.p, s->sasl.password.n};
    m.auth_ask.client = str_from(s->peer.text);
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_checked, NULL);
    secret_free(&s->sasl.password);
}

/* May be longer than other replies (RFC 4954 section 4). */
static void reply_challenge(struct session *s)
{
    AUTO_BUF b = {0};
    buf_printf(&b, "334 %s\r\n", s->sasl.challenge);
    reply_lines(s, buf_view(&b));
}

static void go_on(struct session *s, enum sasl_event event)
{
    switch (event) {
    case SASL_CONTINUE:
        s->reading = READ_SASL;
        s->reader.max = SASL_LINE_MAX;
        reply_challenge(s);
        return;
    case SASL_DONE:
        check(s);
        return;
    case SASL_RELAY:
        relay(s);
        return;
    case SASL_RELAYED:
        end_known(s);
        return;
    case SASL_CANCELLED:
        reply(s, "501 5.7.0 Authentication aborted");
        break;
    case SASL_UNKNOWN:
        reply(s, "504 5.5.4 Unrecognized authentication mechanism");
        break;
    case SASL_WRONG:
        reply(s, "501 5.5.2 Cannot decode response: %s", s->sasl.wrong);
        break;
    case SASL_REFUSED:
        log_login(s, (struct str){s->sasl.user.p, s->sasl.user.n}, s->sasl.wrong);
        refuse(s, VERDICT_NO, AUTH_PLAIN);
        break;
    case SASL_NO_MEMORY:
        reply_later(s);
        break;
    }
    over(s);
}

void auth_line(struct session *s, enum smtp_line event, struct str line)
{
    s->verb = "AUTH";
    if (event == SMTP_LINE_DONE) {
        go_on(s, sasl_step(&s->sasl, line));
        return;
    }
    reply(s, event == SMTP_LINE_TOO_LONG ? "500 5.5.6 Authentication exchange line is too long"
                                         : "501 5.5.2 Cannot decode response");
    over(s);
}

/* NULL, or why AUTH has no place now. */
static const char *out_of_place(const struct session *s)
{
    if (!session_has_auth(s))
        return "503 5.5.1 Error: authentication not enabled";
    if (!s->esmtp || s->state != STATE_READY)
        return s->esmtp ? "503 5.5.1 Error: AUTH inside a transaction"
                        : "503 5.5.1 Error: send EHLO first";
    if (s->login)
        return "503 5.5.1 Error: already authenticated";
    if (!session_is_tls(s))
        return "538 5.7.11 Encryption required for authentication: use STARTTLS";
    return NULL;
}

static void begin(struct session *s, struct str mechanism, const struct str *initial)
{
    bool relayed = relayed_is(session_cfg(s), mechanism);
    s->guess.counted = false;
    go_on(s, (relayed ? sasl_relay_start : sasl_start)(&s->sasl, s->smtpd->front.secrets, mechanism,
                                                     initial));
}

void command_auth(struct session *s, struct str args)
{
    struct smtp_auth auth;
    struct err e = {0};
    const char *why = out_of_place(s);
    if (why)
        reply(s, "%s", why);
    else if (smtp_parse_auth(args, &auth, &e) != 0)
        reply_err(s, &e);
    else if (limits_auth(s))
        begin(s, auth.mechanism, auth.initial.p ? &auth.initial : NULL);
}
