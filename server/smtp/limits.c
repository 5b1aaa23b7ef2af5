/* How often a client, or a login, may do what. Limits are of time, so every refusal is temporary. */
#include "base/log.h"
#include "smtp/smtp.h"

static bool is_counted(const struct session *s)
{
    return !config_network_match(&session_cfg(s)->smtpd_client_event_limit_exceptions, s->peer.ip);
}

static bool is_past(struct session *s, enum rate what, struct str name, int64_t limit)
{
    return limit > 0 && rates_add(s->smtpd->front.rates, what, name) > limit;
}

static bool client_past(struct session *s, enum rate what, int64_t limit)
{
    char room[17];
    return limit > 0 && is_counted(s) && is_past(s, what, rates_client(s->peer.ip, room), limit);
}

bool limits_connection(struct session *s)
{
    return !client_past(s, RATE_CONNECTIONS, session_cfg(s)->smtpd_client_connection_rate_limit);
}

bool limits_auth(struct session *s)
{
    if (!client_past(s, RATE_AUTHS, session_cfg(s)->smtpd_client_auth_rate_limit))
        return true;
    reply(s, "450 4.7.1 Error: too many AUTH commands from %s", s->peer.text);
    return false;
}

bool limits_mail(struct session *s)
{
    const struct config *cfg = session_cfg(s);
    if (client_past(s, RATE_MESSAGES, cfg->smtpd_client_message_rate_limit)) {
        reply(s, "450 4.7.1 Error: too much mail from %s", s->peer.text);
        return false;
    }
    if (s->login && is_past(s, RATE_LOGIN_MESSAGES, str_from(s->login),
                            cfg->smtpd_login_message_rate_limit)) {
        reply(s, "450 4.7.1 Error: too much mail of %s within an hour", s->login);
        return false;
    }
    return true;
}

bool limits_rcpt(struct session *s)
{
    const struct config *cfg = session_cfg(s);
    if (client_past(s, RATE_RECIPIENTS, cfg->smtpd_client_recipient_rate_limit)) {
        reply(s, "450 4.7.1 Error: too many recipients from %s", s->peer.text);
        return false;
    }
    if (s->login && is_past(s, RATE_LOGIN_RECIPIENTS, str_from(s->login),
                            cfg->smtpd_login_recipient_rate_limit)) {
        reply(s, "450 4.7.1 Error: too many recipients of %s within an hour", s->login);
        return false;
    }
    return true;
}

bool limits_guess(struct session *s, struct str user)
{
    if (rates_guess_begin(s->smtpd->front.rates, session_cfg(s), s->peer.ip, user, &s->guess))
        return true;
    log_info("auth-limit", LZ("session", s->id), LZ("client", s->peer.text), LS("user", user));
    s->reply_delay = rates_guess_delay(session_cfg(s), &s->guess) * 1000;
    s->errors++;
    reply(s, "454 4.7.0 Temporary authentication failure: too many failures, try again later");
    return false;
}
