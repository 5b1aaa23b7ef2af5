/* EHLO and HELO (RFC 5321 section 4.1.1.1). */
#include "base/log.h"
#include "smtp/smtp.h"

unsigned hello_extensions(const struct session *s)
{
    if (!s->esmtp)
        return 0;
    unsigned e = SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_DSN;
    if (session_cfg(s)->smtputf8_enable)
        e |= SMTP_EXT_SMTPUTF8;
    if (session_has_auth(s) && session_is_tls(s))
        e |= SMTP_EXT_AUTH;
    return e;
}

/* Both end a transaction, as RSET does. */
static bool take_hello(struct session *s, struct str args)
{
    struct str name;
    struct err e = {0};
    if (smtp_parse_hello(args, &name, &e) != 0) {
        reply_err(s, &e);
        return false;
    }
    mail_reset(s);
    memcpy(s->hello, name.p, name.n);
    s->hello[name.n] = '\0';
    s->state = STATE_READY;
    return true;
}

void command_helo(struct session *s, struct str args)
{
    if (!take_hello(s, args))
        return;
    s->esmtp = false;
    reply(s, "250 %.*s", STR_FMT(session_cfg(s)->myhostname));
}

static void list_mechanisms(const struct config *cfg, struct buf *b)
{
    buf_str(b, STR("250-AUTH " SASL_MECHANISMS));
    relayed_list(b, cfg, " ");
    buf_str(b, STR("\r\n"));
}

static void list_extensions(struct session *s, struct buf *b)
{
    const struct config *cfg = session_cfg(s);
    unsigned e = hello_extensions(s);
    buf_printf(b, "250-%.*s\r\n", STR_FMT(cfg->myhostname));
    buf_str(b, STR("250-PIPELINING\r\n"));
    buf_printf(b, "250-SIZE %llu\r\n", (unsigned long long)cfg->message_size_limit);
    if (!cfg->disable_vrfy_command)
        buf_str(b, STR("250-VRFY\r\n"));
    if (session_may_starttls(s))
        buf_str(b, STR("250-STARTTLS\r\n"));
    if (e & SMTP_EXT_AUTH)
        list_mechanisms(cfg, b);
    if (e & SMTP_EXT_SMTPUTF8)
        buf_str(b, STR("250-SMTPUTF8\r\n"));
    buf_str(b, STR("250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-CHUNKING\r\n250 HELP\r\n"));
}

void command_ehlo(struct session *s, struct str args)
{
    AUTO_BUF b = {0};
    if (!take_hello(s, args))
        return;
    s->esmtp = true;
    list_extensions(s, &b);
    reply_lines(s, buf_view(&b));
}

/* RFC 2033 section 4.1 */
void command_lhlo(struct session *s, struct str args)
{
    command_ehlo(s, args);
}
