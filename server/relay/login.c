/*
 * Logging in to the next server (RFC 4954): PLAIN (RFC 4616) or LOGIN. The password is a guarded
 * secret of the job, and is said under TLS only, unless smtp_sasl_security_options lacks
 * noplaintext.
 */
#include "mail/encoding.h"
#include "relay/relay.h"

static bool may_say_it(const struct client *c)
{
    const struct config_list *l = &c->settings->cfg->smtp_sasl_security_options;
    for (size_t i = 0; i < l->n; i++)
        if (str_caseeq(l->v[i], STR("noplaintext")))
            return conn_is_tls(c->conn);
    return true;
}

static void send_base64(struct client *c, const char *before, struct str what)
{
    AUTO_BUF line = {0};
    buf_str(&line, str_from(before));
    mail_base64_encode(&line, what, false);
    buf_add(&line, "\r\n", 2);
    conn_write(c->conn, line.p, line.n);
    mem_wipe(line.p, line.n);
}

static struct str user_of(const struct job *j)
{
    struct str all = {j->login.p, j->login.n};
    ptrdiff_t colon = str_find(all, ':');
    return str_head(all, colon < 0 ? all.n : (size_t)colon);
}

static struct str password_of(const struct job *j)
{
    return str_skip((struct str){j->login.p, j->login.n}, user_of(j).n + 1);
}

static void send_plain(struct client *c)
{
    AUTO_BUF all = {0};
    buf_byte(&all, '\0');
    buf_str(&all, user_of(c->job));
    buf_byte(&all, '\0');
    buf_str(&all, password_of(c->job));
    send_base64(c, "AUTH PLAIN ", buf_view(&all));
    mem_wipe(all.p, all.n);
}

enum login_start login_start(struct client *c)
{
    bool plain = c->offers & SMTP_OFFERS_AUTH_PLAIN, login = c->offers & SMTP_OFFERS_AUTH_LOGIN;
    if (!c->job->login.n || c->logged_in)
        return LOGIN_NONE;
    if (!may_say_it(c))
        return LOGIN_IN_CLEAR;
    if (!plain && !login)
        return LOGIN_NOT_OFFERED;
    c->logins = 0;
    if (plain)
        send_plain(c);
    else
        conn_printf(c->conn, "AUTH LOGIN\r\n");
    c->step = STEP_AUTH;
    client_deadline(c, c->settings->cfg->smtp_helo_timeout);
    return LOGIN_STARTED;
}

bool login_continue(struct client *c)
{
    if (c->reply.code != 334 || (c->offers & SMTP_OFFERS_AUTH_PLAIN) || c->logins >= 2)
        return false;
    send_base64(c, "", c->logins++ == 0 ? user_of(c->job) : password_of(c->job));
    return true;
}
