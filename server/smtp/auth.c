/* AUTH (RFC 4954): under TLS only; the directory checks the password. */
#include "base/log.h"
#include "ipc/replies.h"
#include "smtp/smtp.h"

#include <stdlib.h>

void auth_forget(struct session *s)
{
    struct msg m = MSG_INIT(grant_drop);
    sasl_free(&s->sasl);
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

static void accept_login(struct session *s, const struct msg_auth_reply *r)
{
    s->grant = r->grant;
    s->login = mem_strdup(r->login);
    s->smtpd->logins++;
    reply(s, REPLY_AUTH_YES);
}

static void on_checked(struct session *s, void *arg, struct msg *m)
{
    const struct msg_auth_reply *r = m ? &m->auth_reply : NULL;
    struct str user = {s->sasl.user.p, s->sasl.user.n};
    (void)arg;
    s->verb = "AUTH";
    enum auth_state state = r ? (enum auth_state)r->state : AUTH_PLAIN;
    enum verdict v = r ? (enum verdict)r->verdict : VERDICT_CANNOT_SAY;
    bool no = v == VERDICT_NO || v == VERDICT_REFUSED;
    if (auth_was_right(v, state) || (!no && state != AUTH_TOO_MANY))
        rates_guess_forgive(s->smtpd->rates, &s->guess);
    s->guess.counted = false;
    if (v == VERDICT_YES) {
        log_login(s, user, "yes");
        accept_login(s, r);
    } else if (no || state == AUTH_TOO_MANY) {
        log_login(s, user, no ? "no" : "too many failures");
        refuse(s, v, state);
    } else {
        log_login(s, user, "cannot say");
        reply_later(s);
    }
    over(s);
}

static void check(struct session *s)
{
    if (!limits_guess(s, (struct str){s->sasl.user.p, s->sasl.user.n})) {
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

static void go_on(struct session *s, enum sasl_event event)
{
    switch (event) {
    case SASL_CONTINUE:
        s->reading = READ_SASL;
        s->reader.max = SASL_LINE_MAX;
        reply(s, "334 %s", s->sasl.challenge);
        return;
    case SASL_DONE:
        check(s);
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
        go_on(s, sasl_start(&s->sasl, auth.mechanism, auth.initial.p ? &auth.initial : NULL));
}
