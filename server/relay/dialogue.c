/*
 * The SMTP dialogue as the client: one function a step, from the greeting to the login, and who takes
 * each reply. LMTP (RFC 2033) differs in its greeting.
 */
#include "base/log.h"
#include "relay/relay.h"

#include <stdio.h>

static const char *const doing[] = {
    [STEP_CONNECT] = "waiting for the connection",
    [STEP_GREETING] = "waiting for the greeting",
    [STEP_EHLO] = "waiting for the answer to EHLO",
    [STEP_HELO] = "waiting for the answer to HELO",
    [STEP_STARTTLS] = "waiting for the answer to STARTTLS",
    [STEP_HANDSHAKE] = "setting up TLS",
    [STEP_AUTH] = "logging in",
    [STEP_MAIL] = "waiting for the answer to MAIL",
    [STEP_RCPT] = "waiting for the answer to RCPT",
    [STEP_DATA] = "waiting for the answer to DATA",
    [STEP_BODY] = "sending the message",
    [STEP_DOT] = "waiting for the answer to the message (it may have been taken, and be sent twice)",
    [STEP_IDLE] = "waiting",
    [STEP_QUIT] = "waiting for the answer to QUIT",
};

const char *dialogue_step(const struct client *c)
{
    return doing[c->step];
}

/* --- a server that takes nothing --- */

/* This server takes nothing from us. */
static bool give_up(struct client *c, bool permanent, const char *status, const char *text)
{
    struct job *j = c->job;
    char server[300];
    client_server(c, server);
    trouble_set(&j->trouble, permanent, status, server, "%s", text);
    j->client = NULL;
    client_quit(c);
    job_server_failed(j);
    return false;
}

static bool give_up_by_reply(struct client *c, bool permanent)
{
    char status[16];
    snprintf(status, sizeof status, "%s", client_status(c));
    status[0] = permanent ? '5' : '4';
    const char *kept = arena_strz(c->job->arena, str_from(status));
    return give_up(c, permanent, kept, c->reply.text);
}

/* --- the beginning --- */

static void send_hello(struct client *c, enum step step)
{
    struct str name = c->settings->cfg->smtp_helo_name;
    const char *verb = step == STEP_HELO ? "HELO" : c->lmtp ? "LHLO" : "EHLO";
    conn_printf(c->conn, "%s %.*s\r\n", verb, STR_FMT(name));
    c->step = step;
    client_deadline(c, c->settings->cfg->smtp_helo_timeout);
}

void dialogue_begin(struct client *c)
{
    c->step = STEP_GREETING;
    client_deadline(c, c->settings->cfg->smtp_helo_timeout);
}

void dialogue_after_tls(struct client *c)
{
    c->offers = 0; /* what was offered in the clear may be forged (RFC 3207 section 4.2) */
    c->size_limit = 0;
    send_hello(c, STEP_EHLO);
}

static bool take_greeting(struct client *c)
{
    if (c->reply.code / 100 != 2)
        return give_up_by_reply(c, false); /* as smtp_skip_5xx_greeting: another may be better */
    send_hello(c, STEP_EHLO);
    return true;
}

static bool log_in(struct client *c)
{
    enforce_watch(c);
    switch (login_start(c)) {
    case LOGIN_STARTED:
        return true;
    case LOGIN_IN_CLEAR:
        return give_up(c, false, "4.7.11", "The password for this server is not sent without TLS");
    case LOGIN_NOT_OFFERED:
        return give_up(c, false, "4.7.0", "The server offers neither AUTH PLAIN nor AUTH LOGIN");
    default:
        transaction_begin(c);
        return false;
    }
}

/* A password that is wrong now may be mended in the directory: the mail waits. */
static bool take_auth(struct client *c)
{
    if (c->reply.code == 235) {
        c->logged_in = true;
        transaction_begin(c);
        return false;
    }
    return login_continue(c) ? true : give_up_by_reply(c, false);
}

static bool begin_mail(struct client *c)
{
    bool secured = conn_is_tls(c->conn);
    if (secured || c->level == TLS_NONE || c->plain)
        return log_in(c);
    if (c->offers & SMTP_OFFERS_STARTTLS) {
        conn_printf(c->conn, "STARTTLS\r\n");
        c->step = STEP_STARTTLS;
        client_deadline(c, c->settings->cfg->smtp_starttls_timeout);
        return true;
    }
    if (c->level != TLS_MAY)
        return give_up(c, false, "4.7.4", "TLS is demanded here, and the server does not offer it");
    return log_in(c);
}

static bool take_ehlo(struct client *c)
{
    bool good = c->reply.code / 100 == 2;
    if (!good && c->step == STEP_EHLO && c->reply.code / 100 == 5 && !c->lmtp &&
        !conn_is_tls(c->conn)) {
        send_hello(c, STEP_HELO);
        return true;
    }
    if (!good)
        return give_up_by_reply(c, c->reply.code / 100 == 5 && !c->lmtp); /* LMTP is set by hand */
    /* LMTP leads to the next program, perhaps of this machine, and no further. */
    if (!c->lmtp && str_caseeq(str_from(c->reply.first), c->settings->cfg->myhostname))
        return give_up(c, true, "5.4.6", "The mail loops back to this server: the other one has our name");
    c->offers = c->step == STEP_EHLO ? c->reply.offers & ~c->settings->ignored_offers : 0;
    c->size_limit = c->reply.size;
    return begin_mail(c);
}

static bool take_starttls(struct client *c)
{
    struct err e = {0};
    if (c->reply.code != 220) {
        if (c->level != TLS_MAY)
            return give_up_by_reply(c, false);
        return log_in(c);
    }
    /* Somebody in between put it there, to be taken for what the server says under TLS. */
    if (conn_in(c->conn).n) {
        log_warning("relay-tls", LS("host", c->host), LZ("address", c->addr.text),
                    LZ("why", "plain text behind the answer to STARTTLS"));
        struct job *j = c->job;
        char server[300];
        client_server(c, server);
        trouble_set(&j->trouble, false, "4.7.0", server,
                    "There was plain text behind the answer to STARTTLS");
        client_free(c);
        job_server_failed(j);
        return false;
    }
    if (client_start_tls(c, &e) != 0)
        return give_up(c, false, "4.7.5", e.log);
    return true;
}

/* --- replies --- */

/* False when the client is gone, or busy with something else than reading on. */
static bool take_reply(struct client *c)
{
    if (c->job && c->reused && !c->answered && c->reply.code == 421) {
        client_failed(c, "4.4.2", "closed");
        return false;
    }
    c->answered = true;
    switch (c->step) {
    case STEP_GREETING:
        return take_greeting(c);
    case STEP_EHLO:
    case STEP_HELO:
        return take_ehlo(c);
    case STEP_STARTTLS:
        return take_starttls(c);
    case STEP_AUTH:
        return take_auth(c);
    case STEP_MAIL:
    case STEP_RCPT:
    case STEP_DATA:
    case STEP_BODY:
    case STEP_DOT:
        return transaction_reply(c);
    default:
        client_free(c); /* the answer to QUIT, or words out of turn on an idle connection */
        return false;
    }
}

void dialogue_read(struct client *c)
{
    for (bool alive = true; alive;) {
        struct str all = conn_in(c->conn), rest = all;
        if (c->replied)
            c->reply = (struct smtp_reply){0};
        c->replied = false;
        enum smtp_reply_event got = smtp_reply_take(&c->reply, &rest);
        if (got == SMTP_REPLY_BAD) {
            client_failed(c, "4.5.0", "the server said what is no SMTP reply");
            return;
        }
        if (rest.n == all.n)
            return;
        conn_consume(c->conn, all.n - rest.n);
        if (got == SMTP_REPLY_MORE)
            continue;
        c->replied = true;
        alive = take_reply(c);
    }
}
