/*
 * The table of commands: what each needs, and in which states it has a place. The table is the
 * state machine of RFC 5321 section 4.1.4 with STARTTLS (RFC 3207) and AUTH (RFC 4954).
 */
#include "smtp/smtp.h"

#define MORE_THAN_HELLO (STATE_READY | STATE_MAIL | STATE_RCPT | STATE_BDAT)

enum {
    JUNK = 1,      /* counted by smtpd_junk_command_limit */
    ANY_TLS = 2,   /* allowed without TLS where TLS is demanded */
    NEEDS_AUTH = 4 /* on submission */
};

struct command {
    const char *verb;
    void (*run)(struct session *s, struct str args);
    unsigned states;
    unsigned flags;
    const char *out_of_place; /* the reply in any other state */
};

static const struct command commands[] = {
    {"EHLO", command_ehlo, STATE_ANY, JUNK | ANY_TLS, NULL},
    {"LHLO", command_lhlo, STATE_ANY, JUNK | ANY_TLS, NULL},
    {"HELO", command_helo, STATE_ANY, JUNK | ANY_TLS, NULL},
    {"MAIL", command_mail, STATE_NEW | STATE_READY, NEEDS_AUTH,
     "503 5.5.1 Error: nested MAIL command"},
    {"RCPT", command_rcpt, STATE_MAIL | STATE_RCPT, 0, "503 5.5.1 Error: need MAIL command"},
    {"DATA", command_data, STATE_MAIL | STATE_RCPT, 0, "503 5.5.1 Error: need RCPT command"},
    {"BDAT", command_bdat, STATE_ANY, ANY_TLS, NULL}, /* has a chunk to read whatever comes */
    {"RSET", command_rset, STATE_ANY, JUNK | ANY_TLS, NULL},
    {"NOOP", command_noop, STATE_ANY, JUNK | ANY_TLS, NULL},
    {"VRFY", command_vrfy, STATE_ANY, JUNK, NULL},
    {"EXPN", command_expn, STATE_ANY, JUNK, NULL},
    {"ETRN", command_etrn, STATE_ANY, JUNK, NULL},
    {"HELP", command_help, STATE_ANY, JUNK | ANY_TLS, NULL},
    {"QUIT", command_quit, STATE_ANY, ANY_TLS, NULL},
    {"STARTTLS", command_starttls, STATE_NEW | STATE_READY, ANY_TLS,
     "503 5.5.1 Error: STARTTLS inside a transaction"},
    {"AUTH", command_auth, MORE_THAN_HELLO, 0, "503 5.5.1 Error: send EHLO first"},
    /* Not SMTP: a browser or a tunnel that was led here. */
    {"GET", command_alien, STATE_ANY, ANY_TLS, NULL},
    {"POST", command_alien, STATE_ANY, ANY_TLS, NULL},
    {"PUT", command_alien, STATE_ANY, ANY_TLS, NULL},
    {"CONNECT", command_alien, STATE_ANY, ANY_TLS, NULL},
};

static const struct command *find(struct str verb)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (str_caseeq(verb, str_from(commands[i].verb)))
            return &commands[i];
    return NULL;
}

static bool demands_tls(const struct session *s)
{
    return s->service == SERVICE_SMTP && session_cfg(s)->smtpd_tls_security_level == 2;
}

/* 0, or the reply that says what is missing. */
static const char *missing(const struct session *s, const struct command *c)
{
    bool tls = session_is_tls(s);
    if (!tls && demands_tls(s) && !(c->flags & ANY_TLS))
        return "530 5.7.0 Must issue a STARTTLS command first";
    if ((c->flags & NEEDS_AUTH) && session_is_submission(s) && !s->login)
        return tls ? "530 5.7.0 Authentication required"
                   : "530 5.7.0 Must issue a STARTTLS command first";
    if (c->run == command_mail && s->state == STATE_NEW && session_cfg(s)->smtpd_helo_required)
        return "503 5.5.1 Error: send HELO/EHLO first";
    if (!(c->states & s->state))
        return c->out_of_place;
    return NULL;
}

static void count_junk(struct session *s, const struct command *c)
{
    if ((c->flags & JUNK) && ++s->junk > (uint64_t)session_cfg(s)->smtpd_junk_command_limit)
        s->errors++;
}

/* LHLO takes the place of both others (RFC 2033 section 4.1). */
static bool is_spoken(const struct session *s, const struct command *c)
{
    if (c->run == command_ehlo || c->run == command_helo)
        return !session_is_lmtp(s);
    return c->run != command_lhlo || session_is_lmtp(s);
}

void command_run(struct session *s, struct str line)
{
    struct str verb, args;
    smtp_command_split(line, &verb, &args);
    const struct command *c = find(verb);
    if (!c || !is_spoken(s, c)) {
        reply(s, "500 5.5.2 Error: %s", verb.n ? "command not recognized" : "bad syntax");
        return;
    }
    s->verb = c->verb;
    count_junk(s, c);
    const char *why = missing(s, c);
    if (why)
        reply(s, "%s", why);
    else
        c->run(s, args);
}
