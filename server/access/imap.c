/*
 * The IMAP dialogue before login. One row a command: the table says which need TLS and which must
 * not have it. RFC 3501 sections 6.1 and 6.2; a password is never taken in the clear.
 */
#include "access/access.h"
#include "base/log.h"
#include "protocol/imap/args.h"

#include <stdio.h>

static bool can_start_tls(const struct client *c)
{
    return !conn_is_tls(c->conn) && tls_server_has_certificate(c->settings->tls);
}

static const char *capabilities(const struct client *c)
{
    if (conn_is_tls(c->conn))
        return "IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN";
    return can_start_tls(c) ? "IMAP4rev1 LITERAL+ SASL-IR ID STARTTLS LOGINDISABLED"
                            : "IMAP4rev1 LITERAL+ SASL-IR ID LOGINDISABLED";
}

void imap_greet(struct client *c)
{
    conn_printf(c->conn, "* OK [CAPABILITY %s] %.*s Facteur ready\r\n", capabilities(c),
                STR_FMT(c->settings->cfg->myhostname));
}

static void say(struct client *c, const char *tag, const char *text)
{
    conn_printf(c->conn, "%s %s\r\n", tag, text);
}

static bool bad(struct client *c, const char *tag, const struct imap_cursor *args)
{
    c->errors++;
    conn_printf(c->conn, "%s BAD %s\r\n", tag, args->wrong ? args->wrong : "Wrong arguments");
    return true;
}

/* --- commands: true while the client lives --- */

static bool do_capability(struct client *c, const char *tag, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0)
        return bad(c, tag, args);
    conn_printf(c->conn, "* CAPABILITY %s\r\n", capabilities(c));
    say(c, tag, "OK Capability completed.");
    return true;
}

static bool do_noop(struct client *c, const char *tag, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0)
        return bad(c, tag, args);
    say(c, tag, "OK NOOP completed.");
    return true;
}

static bool do_logout(struct client *c, const char *tag, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0)
        return bad(c, tag, args);
    conn_printf(c->conn, "* BYE Logging out\r\n%s OK Logout completed.\r\n", tag);
    client_end(c);
    return false;
}

static bool do_id(struct client *c, const char *tag, struct imap_cursor *args)
{
    AUTO_ARENA arena = arena_new(1024);
    struct imap_id id;
    if (imap_get_space(args) != 0 || imap_get_id(args, arena, &id) != 0 || imap_get_end(args) != 0)
        return bad(c, tag, args);
    for (size_t i = 0; i < id.n; i++)
        if (str_caseeq(id.fields[2 * i], STR("name")))
            log_info("client-id", LZ("session", c->id), LS("name", id.fields[2 * i + 1]));
    conn_printf(c->conn, "* ID (\"name\" \"Facteur\")\r\n%s OK ID completed.\r\n", tag);
    return true;
}

static bool do_starttls(struct client *c, const char *tag, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0)
        return bad(c, tag, args);
    if (!can_start_tls(c)) {
        c->errors++;
        say(c, tag, conn_is_tls(c->conn) ? "BAD TLS is already active." : "NO TLS is not available.");
        return true;
    }
    if (conn_in(c->conn).n > 0) { /* RFC 9051 section 6.2.1 */
        log_warning("starttls-injection", LZ("session", c->id),
                    LZ("client", conn_peer(c->conn)->text));
        client_bye(c, "Nothing may follow STARTTLS");
        return false;
    }
    say(c, tag, "OK Begin TLS negotiation now.");
    conn_deadline(c->conn, c->settings->cfg->smtpd_starttls_timeout * 1000);
    conn_start_tls(c->conn, c->settings->tls);
    return true;
}

static bool no_tls(struct client *c, const char *tag)
{
    c->errors++;
    say(c, tag, "NO [PRIVACYREQUIRED] Passwords are taken under TLS only.");
    return true;
}

static void remember_tag(struct client *c, const char *tag)
{
    snprintf(c->tag, sizeof c->tag, "%s", tag);
}

static bool do_login(struct client *c, const char *tag, struct imap_cursor *args)
{
    struct str user, password;
    if (!conn_is_tls(c->conn))
        return no_tls(c, tag);
    if (imap_get_space(args) != 0 || imap_get_astring(args, &user) != 0 ||
        imap_get_space(args) != 0 || imap_get_astring(args, &password) != 0 ||
        imap_get_end(args) != 0)
        return bad(c, tag, args);
    remember_tag(c, tag);
    login_start(c, user, password);
    return true;
}

/* What SASL said: on with the dialogue. */
static bool sasl_went(struct client *c, enum sasl_event event)
{
    if (event == SASL_CONTINUE) {
        c->state = CLIENT_SASL;
        conn_printf(c->conn, "+ %s\r\n", c->sasl.challenge);
        return true;
    }
    c->state = CLIENT_TALKS;
    if (event == SASL_DONE) {
        login_start(c, (struct str){c->sasl.user.p, c->sasl.user.n},
                    (struct str){c->sasl.password.p, c->sasl.password.n});
    } else {
        c->errors++;
        if (event == SASL_CANCELLED)
            say(c, c->tag, "BAD Authentication cancelled.");
        else if (event == SASL_UNKNOWN)
            say(c, c->tag, "NO Unknown authentication mechanism.");
        else if (event == SASL_NO_MEMORY)
            say(c, c->tag, "NO [UNAVAILABLE] No memory for a password now.");
        else
            conn_printf(c->conn, "%s %s %s\r\n", c->tag,
                        event == SASL_REFUSED ? "NO [AUTHENTICATIONFAILED]" : "BAD", c->sasl.wrong);
    }
    sasl_free(&c->sasl);
    return true;
}

static bool do_authenticate(struct client *c, const char *tag, struct imap_cursor *args)
{
    struct str mechanism, initial = {NULL, 0};
    if (!conn_is_tls(c->conn))
        return no_tls(c, tag);
    if (imap_get_space(args) != 0 || imap_get_atom(args, &mechanism) != 0)
        return bad(c, tag, args);
    if (imap_try(args, ' ')) /* RFC 4959 */
        initial = (struct str){args->p, (size_t)(args->end - args->p)};
    else if (imap_get_end(args) != 0)
        return bad(c, tag, args);
    remember_tag(c, tag);
    return sasl_went(c, sasl_start(&c->sasl, mechanism, initial.p ? &initial : NULL));
}

bool imap_sasl_line(struct client *c, struct str line)
{
    return sasl_went(c, sasl_step(&c->sasl, line));
}

static const struct {
    const char *name;
    bool (*run)(struct client *c, const char *tag, struct imap_cursor *args);
} commands[] = {
    {"CAPABILITY", do_capability}, {"NOOP", do_noop},   {"LOGOUT", do_logout},
    {"ID", do_id},                 {"LOGIN", do_login}, {"AUTHENTICATE", do_authenticate},
    {"STARTTLS", do_starttls},
};

bool imap_command(struct client *c, struct imap_line *line)
{
    char tag[sizeof c->tag];
    if (line->tag.n >= sizeof tag) {
        c->errors++;
        say(c, "*", "BAD Tag too long.");
        return true;
    }
    snprintf(tag, sizeof tag, "%.*s", STR_FMT(line->tag));
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (str_caseeq(line->name, str_from(commands[i].name)))
            return commands[i].run(c, tag, &line->args);
    c->errors++;
    say(c, tag, "BAD Unknown command, or not before login.");
    return true;
}
