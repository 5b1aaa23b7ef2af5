/*
 * The POP3 dialogue before login: RFC 1939 section 4, CAPA (RFC 2449), STLS (RFC 2595), AUTH
 * (RFC 5034), UTF8 (RFC 6856). A password is never taken in the clear. APOP is not offered: it needs
 * the password itself on the server, and the directory holds hashes that it compares for us.
 */
#include "access/access.h"
#include "base/log.h"
#include "ipc/replies.h"
#include "protocol/pop3/command.h"

#include <stdio.h>

static void say(struct client *c, const char *text)
{
    conn_printf(c->conn, "%s\r\n", text);
}

static bool wrong(struct client *c, const char *text)
{
    c->errors++;
    conn_printf(c->conn, "-ERR %s\r\n", text);
    return true;
}

static void greet(struct client *c)
{
    conn_printf(c->conn, "+OK %.*s Facteur ready\r\n", STR_FMT(c->settings->cfg->myhostname));
}

/* --- commands: true while the client lives --- */

static bool do_capa(struct client *c, const struct pop3_command *cmd)
{
    AUTO_BUF list = {0}, more = {0};
    (void)cmd;
    if (conn_is_tls(c->conn))
        relayed_list(&more, c->settings->cfg, " ");
    pop3_write_capabilities(&list, conn_is_tls(c->conn)      ? POP3_CAPA_LOGIN
                                   : client_can_start_tls(c) ? POP3_CAPA_STLS
                                                             : POP3_CAPA_CLEAR,
                            buf_z(&more));
    say(c, "+OK Capabilities follow");
    conn_write(c->conn, list.p, list.n);
    return true;
}

static bool do_quit(struct client *c, const struct pop3_command *cmd)
{
    (void)cmd;
    say(c, "+OK Bye");
    client_end(c);
    return false;
}

/* What was said before TLS could be anybody's: all of it is forgotten (RFC 2595 section 4). */
static bool do_stls(struct client *c, const struct pop3_command *cmd)
{
    (void)cmd;
    if (!client_can_start_tls(c))
        return wrong(c, conn_is_tls(c->conn) ? "TLS is already active" : "TLS is not available");
    c->pop3.user[0] = '\0';
    c->pop3.utf8 = false;
    return client_start_tls(c, "+OK Begin TLS negotiation now");
}

static bool do_utf8(struct client *c, const struct pop3_command *cmd)
{
    (void)cmd;
    c->pop3.utf8 = true;
    say(c, "+OK");
    return true;
}

static const char no_tls[] = "Passwords are taken under TLS only";

/* Whether there is such a user is told nobody. */
static bool do_user(struct client *c, const struct pop3_command *cmd)
{
    if (!conn_is_tls(c->conn))
        return wrong(c, no_tls);
    snprintf(c->pop3.user, sizeof c->pop3.user, "%.*s", STR_FMT(cmd->text));
    say(c, "+OK");
    return true;
}

static bool do_pass(struct client *c, const struct pop3_command *cmd)
{
    if (!conn_is_tls(c->conn))
        return wrong(c, no_tls);
    if (!c->pop3.user[0])
        return wrong(c, "USER comes first");
    login_start(c, str_from(c->pop3.user), cmd->text);
    return true;
}

static void sasl_failed(struct client *c, enum sasl_event event)
{
    if (event == SASL_CANCELLED)
        say(c, "-ERR Authentication cancelled");
    else if (event == SASL_UNKNOWN)
        say(c, "-ERR Unknown authentication mechanism");
    else if (event == SASL_NO_MEMORY)
        say(c, "-ERR [SYS/TEMP] No memory for a password now");
    else
        conn_printf(c->conn, "-ERR %s%s\r\n", event == SASL_REFUSED ? "[AUTH] " : "", c->sasl.wrong);
}

static bool do_auth(struct client *c, const struct pop3_command *cmd)
{
    if (!conn_is_tls(c->conn))
        return wrong(c, no_tls);
    login_sasl(c, login_begin(c, cmd->text, cmd->initial.p ? &cmd->initial : NULL));
    return true;
}

static bool do_apop(struct client *c, const struct pop3_command *cmd)
{
    (void)cmd;
    return wrong(c, "APOP is not offered, it needs passwords stored in the clear");
}

static const struct {
    enum pop3_verb verb;
    bool (*run)(struct client *c, const struct pop3_command *cmd);
} commands[] = {
    {POP3_CAPA, do_capa}, {POP3_QUIT, do_quit}, {POP3_STLS, do_stls}, {POP3_UTF8, do_utf8},
    {POP3_USER, do_user}, {POP3_PASS, do_pass}, {POP3_AUTH, do_auth}, {POP3_APOP, do_apop},
};

static bool command(struct client *c, struct str line)
{
    struct pop3_command cmd;
    const char *why = pop3_command_parse(line, &cmd);
    if (why)
        return wrong(c, why);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (commands[i].verb == cmd.verb)
            return commands[i].run(c, &cmd);
    return wrong(c, "Not before login");
}

/* --- the protocol --- */

static void start(struct client *c)
{
    pop3_reader_init(&c->pop3.reader, POP3_LINE_MAX);
}

static void reader_free(struct client *c)
{
    pop3_reader_free(&c->pop3.reader);
    mem_wipe(c->pop3.user, sizeof c->pop3.user);
}

static bool feed(struct client *c, struct str *in)
{
    struct pop3_client *p = &c->pop3;
    p->reader.max = c->state == CLIENT_SASL ? SASL_LINE_MAX : POP3_LINE_MAX;
    p->event = pop3_reader_feed(&p->reader, in, &p->line);
    return p->event != POP3_MORE;
}

static bool handle(struct client *c)
{
    struct pop3_client *p = &c->pop3;
    bool alive = true;
    if (p->event == POP3_WRONG) { /* AUTH ends with it */
        c->state = CLIENT_TALKS;
        login_relay_end(c);
        sasl_free(&c->sasl);
        wrong(c, p->reader.wrong);
    } else if (c->state == CLIENT_SASL) {
        login_sasl(c, sasl_step(&c->sasl, p->line));
    } else {
        alive = command(c, p->line);
    }
    if (alive)
        pop3_reader_next(&p->reader);
    return alive;
}

/* The codes of RFC 3206. After a failure USER is wanted again (RFC 1939 section 7). */
static void refuse(struct client *c, enum login_end why)
{
    const char *const replies[] = {
        [LOGIN_WRONG] = reply_login(VERDICT_NO, c->why)->pop3,
        [LOGIN_FORBIDDEN] = reply_login(VERDICT_REFUSED, c->why)->pop3,
        [LOGIN_CANNOT_SAY] = reply_login(VERDICT_CANNOT_SAY, c->why)->pop3,
        [LOGIN_NO_SESSION] =
            "-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later",
        [LOGIN_TOO_MANY] = "-ERR [SYS/TEMP] Too many sessions",
    };
    c->pop3.user[0] = '\0';
    say(c, replies[why]);
}

static const char *preamble(const struct client *c)
{
    return c->pop3.utf8 ? "UTF8" : "";
}

const struct access_protocol pop3_protocol = {
    .bye = "-ERR ",
    .limit = "[SYS/TEMP] ",
    .start = start,
    .greet = greet,
    .feed = feed,
    .handle = handle,
    .refuse = refuse,
    .sasl_failed = sasl_failed,
    .preamble = preamble,
    .free = reader_free,
};
