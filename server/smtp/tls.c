/* STARTTLS (RFC 3207). */
#include "base/log.h"
#include "smtp/smtp.h"

/* As if the connection were new (RFC 3207 section 4.2): what was said in the clear is forgotten. */
static void forget(struct session *s)
{
    mail_reset(s);
    auth_forget(s);
    smtp_reader_next(&s->reader);
    s->state = STATE_NEW;
    s->esmtp = false;
    s->hello[0] = '\0';
}

void command_starttls(struct session *s, struct str args)
{
    if (args.n) {
        reply(s, "501 5.5.4 Syntax: STARTTLS");
        return;
    }
    if (session_is_tls(s)) {
        reply(s, "503 5.5.1 Error: TLS already active");
        return;
    }
    if (!session_may_starttls(s)) {
        bool never = s->service == SERVICE_SMTP && session_cfg(s)->smtpd_tls_security_level == 0;
        reply(s, never ? "502 5.5.1 STARTTLS is not offered here"
                       : "454 4.7.0 TLS not available now");
        return;
    }
    forget(s);
    /* Not delayed whatever the errors: the handshake follows at once. */
    conn_printf(s->conn, "220 2.0.0 Ready to start TLS\r\n");
    size_t thrown = conn_start_tls(s->conn, s->settings->tls);
    if (thrown)
        log_warning("starttls-injection", LZ("session", s->id), LZ("client", s->peer.text),
                    LN("thrown_away", thrown));
    conn_deadline(s->conn, session_cfg(s)->smtpd_starttls_timeout * 1000);
}
