/*
 * The IMAP dialogue before login. One row a command: the table says which need TLS and which must
 * not have it. RFC 3501 sections 6.1 and 6.2; a password is never taken in the clear.
 */
#include "access/access.h"
#include "base/log.h"
#include "ipc/replies.h"
#include "protocol/imap/args.h"

#include <stdio.h>

static const struct imap_limits limits = IMAP_LIMITS_LOGIN;

static void put_capabilities(const struct client *c, struct buf *b)
{
    buf_str(b, STR("IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ENABLE ID"));
    if (conn_is_tls(c->conn)) {
        buf_str(b, STR(" AUTH=PLAIN AUTH=LOGIN"));
        relayed_list(b, c->settings->cfg, " AUTH=");
    } else {
        buf_str(b, client_can_start_tls(c) ? STR(" STARTTLS LOGINDISABLED") : STR(" LOGINDISABLED"));
    }
}

static void greet(struct client *c)
{
    AUTO_BUF list = {0};
    put_capabilities(c, &list);
    conn_printf(c->conn, "* OK [CAPABILITY %s] %.*s Facteur ready\r\n", buf_z(&list),
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
    AUTO_BUF list = {0};
    put_capabilities(c, &list);
    conn_printf(c->conn, "* CAPABILITY %s\r\n", buf_z(&list));
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
    if (!client_can_start_tls(c)) {
        c->errors++;
        say(c, tag, conn_is_tls(c->conn) ? "BAD TLS is already active." : "NO TLS is not available.");
        return true;
    }
    char go[sizeof c->imap.tag + 40];
    snprintf(go, sizeof go, "%s OK Begin TLS negotiation now.", tag);
    return client_start_tls(c, go);
}

static bool no_tls(struct client *c, const char *tag)
{
    c->errors++;
    say(c, tag, "NO [PRIVACYREQUIRED] Passwords are taken under TLS only.");
    return true;
}

static void remember_tag(struct client *c, const char *tag)
{
    snprintf(c->imap.tag, sizeof c->imap.tag, "%s", tag);
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

static void sasl_failed(struct client *c, enum sasl_event event)
{
    if (event == SASL_CANCELLED)
        say(c, c->imap.tag, "BAD Authentication cancelled.");
    else if (event == SASL_UNKNOWN)
        say(c, c->imap.tag, "NO Unknown authentication mechanism.");
    else if (event == SASL_NO_MEMORY)
        say(c, c->imap.tag, "NO [UNAVAILABLE] No memory for a password now.");
    else
        conn_printf(c->conn, "%s %s %s\r\n", c->imap.tag,
                    event == SASL_REFUSED ? "NO [AUTHENTICATIONFAILED]" : "BAD", c->sasl.wrong);
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
    login_sasl(c, login_begin(c, mechanism, initial.p ? &initial : NULL));
    return true;
}

static const struct {
    const char *name;
    bool (*run)(struct client *c, const char *tag, struct imap_cursor *args);
} commands[] = {
    {"CAPABILITY", do_capability}, {"NOOP", do_noop},   {"LOGOUT", do_logout},
    {"ID", do_id},                 {"LOGIN", do_login}, {"AUTHENTICATE", do_authenticate},
    {"STARTTLS", do_starttls},
};

static bool command(struct client *c, struct imap_line *line)
{
    char tag[sizeof c->imap.tag];
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

/* --- the protocol --- */

static void start(struct client *c)
{
    imap_reader_init(&c->imap.reader, &limits);
}

static void reader_free(struct client *c)
{
    imap_reader_free(&c->imap.reader);
}

static bool feed(struct client *c, struct str *in)
{
    struct imap_client *i = &c->imap;
    if (c->state == CLIENT_SASL && imap_reader_idle(&i->reader))
        imap_reader_plain(&i->reader);
    i->event = imap_reader_feed(&i->reader, in, &i->line);
    return i->event != IMAP_MORE;
}

static void wrong(struct client *c)
{
    struct str tag = c->imap.line.tag.n ? c->imap.line.tag : STR("*");
    conn_printf(c->conn, "%.*s BAD %s\r\n", STR_FMT(tag), c->imap.reader.wrong);
    c->errors++;
}

static bool handle(struct client *c)
{
    struct imap_client *i = &c->imap;
    struct imap_cursor *args = &i->line.args;
    bool alive = true;
    if (i->event == IMAP_LITERAL) {
        conn_printf(c->conn, "+ OK\r\n");
        return true;
    }
    if (i->event == IMAP_MESSAGE) { /* APPEND has no place here */
        imap_reader_refuse(&i->reader);
        c->errors++;
    } else if (i->event == IMAP_WRONG) {
        wrong(c);
        if (i->reader.lost) { /* what follows may be the literal's bytes, or commands */
            client_bye(c, "[TOOBIG] The literal is too large");
            return false;
        }
    } else if (c->state == CLIENT_SASL) {
        struct str text = {args->p, (size_t)(args->end - args->p)};
        login_sasl(c, sasl_step(&c->sasl, text));
    } else {
        alive = command(c, &i->line);
    }
    if (alive)
        imap_reader_next(&i->reader);
    return alive;
}

static void refuse(struct client *c, enum login_end why)
{
    const char *const replies[] = {
        [LOGIN_WRONG] = reply_login(VERDICT_NO, c->why)->imap,
        [LOGIN_FORBIDDEN] = reply_login(VERDICT_REFUSED, c->why)->imap,
        [LOGIN_CANNOT_SAY] = reply_login(VERDICT_CANNOT_SAY, c->why)->imap,
        [LOGIN_NO_SESSION] =
            "NO [UNAVAILABLE] The mailbox cannot be opened now, try again later.",
        [LOGIN_TOO_MANY] = "NO [LIMIT] Too many sessions.",
    };
    say(c, c->imap.tag, replies[why]);
}

static const char *preamble(const struct client *c)
{
    return c->imap.tag;
}

const struct access_protocol imap_protocol = {
    .bye = "* BYE ",
    .limit = "[LIMIT] ",
    .start = start,
    .greet = greet,
    .feed = feed,
    .handle = handle,
    .refuse = refuse,
    .sasl_failed = sasl_failed,
    .preamble = preamble,
    .free = reader_free,
};
