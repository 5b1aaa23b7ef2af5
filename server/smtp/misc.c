/* RSET, NOOP, VRFY, EXPN, ETRN, HELP, QUIT, and what is no SMTP at all. */
#include "smtp/smtp.h"

void command_rset(struct session *s, struct str args)
{
    if (args.n) {
        reply(s, "501 5.5.4 Syntax: RSET");
        return;
    }
    mail_reset(s);
    reply(s, "250 2.0.0 Ok");
}

void command_noop(struct session *s, struct str args)
{
    (void)args;
    reply(s, "250 2.0.0 Ok");
}

/* It says nothing about who exists (RFC 5321 sections 3.5.3 and 7.3). */
void command_vrfy(struct session *s, struct str args)
{
    if (session_cfg(s)->disable_vrfy_command)
        reply(s, "502 5.5.1 VRFY command is disabled");
    else if (args.n == 0)
        reply(s, "501 5.5.4 Syntax: VRFY address");
    else
        reply(s, "252 2.1.5 Cannot VRFY user, but will accept message and attempt delivery");
}

void command_expn(struct session *s, struct str args)
{
    (void)args;
    reply(s, "502 5.5.1 EXPN is not offered here");
}

void command_etrn(struct session *s, struct str args)
{
    (void)args;
    reply(s, "502 5.5.1 ETRN is not offered here: mail is kept for nobody's call");
}

void command_help(struct session *s, struct str args)
{
    (void)args;
    reply_lines(s, STR("214-2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\r\n"
                       "214 2.0.0 STARTTLS AUTH; see RFC 5321\r\n"));
}

void command_quit(struct session *s, struct str args)
{
    if (args.n) {
        reply(s, "501 5.5.4 Syntax: QUIT");
        return;
    }
    mail_reset(s);
    reply(s, "221 2.0.0 Bye");
    session_close(s);
}

void command_alien(struct session *s, struct str args)
{
    (void)args;
    reply(s, "421 4.7.0 %.*s Error: this is SMTP", STR_FMT(session_cfg(s)->myhostname));
    session_close(s);
}
