/* What is written before a message: Received (RFC 5321 section 4.4), Date and Message-ID (RFC 6409
 * section 8). */
#include "base/clock.h"
#include "mail/header.h"
#include "mail/rfc5322.h"
#include "smtp/smtp.h"

#include <time.h>

/* RFC 3848 and RFC 6531 section 4.3. */
static void with_protocol(const struct session *s, struct buf *out)
{
    if (s->mail.from.smtputf8)
        buf_str(out, session_is_lmtp(s) ? STR("UTF8LMTP") : STR("UTF8SMTP"));
    else if (session_is_lmtp(s))
        buf_str(out, STR("LMTP"));
    else
        buf_str(out, s->esmtp ? STR("ESMTP") : STR("SMTP"));
    if (s->esmtp && session_is_tls(s))
        buf_byte(out, 'S');
    if (s->esmtp && s->login)
        buf_byte(out, 'A');
}

static void tls_comment(const struct session *s, struct buf *out)
{
    if (!session_is_tls(s) || !session_cfg(s)->smtpd_tls_received_header)
        return;
    int bits = conn_tls_bits(s->conn);
    buf_printf(out, "\t(using %s with cipher %s (%d/%d bits))\n", conn_tls_protocol(s->conn),
               conn_tls_cipher(s->conn), bits, bits);
}

static void date(struct buf *out)
{
    char text[MAIL_DATE_SIZE];
    struct tm tm;
    time_t now = (time_t)(clock_real_us() / 1000000);
    long zone = localtime_r(&now, &tm) ? tm.tm_gmtoff / 60 : 0;
    buf_str(out, mail_date_print(text, now, (int)zone));
}

static void received(const struct session *s, struct buf *out)
{
    const char *helo = s->hello[0] ? s->hello : "unknown";
    bool named = s->names.verified[0] != '\0';
    buf_printf(out, "Received: from %s (%s%s[%s%s])\n", helo, s->names.verified, named ? " " : "",
               s->peer.is_v4 ? "" : "IPv6:", s->peer.text);
    tls_comment(s, out);
    buf_printf(out, "\tby %.*s (%.*s) with ", STR_FMT(session_cfg(s)->myhostname),
               STR_FMT(session_cfg(s)->mail_name));
    with_protocol(s, out);
    buf_printf(out, " id %.*s", STR_FMT(s->mail.id));
    /* More than one would tell the blind copies (RFC 5321 section 7.2). */
    if (s->mail.rcpts == 1)
        buf_printf(out, "\n\tfor <%.*s>", STR_FMT(s->mail.only_rcpt));
    buf_str(out, STR("; "));
    date(out);
    buf_byte(out, '\n');
}

static void add_missing(const struct session *s, struct str header, struct buf *out)
{
    struct mail_field f;
    if (!mail_header_find(header, STR("Date"), 0, &f)) {
        buf_str(out, STR("Date: "));
        date(out);
        buf_byte(out, '\n');
    }
    if (!mail_header_find(header, STR("Message-ID"), 0, &f))
        buf_printf(out, "Message-ID: <%lld.%.*s@%.*s>\n", (long long)clock_real_us(),
                   STR_FMT(s->mail.id), STR_FMT(session_cfg(s)->myhostname));
}

/* A message that begins with its body gets the empty line that must stand before it. */
static bool begins_with_body(struct str header)
{
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field f;
    return mail_header_next(&w, &f) && !f.colon;
}

void trace_build(const struct session *s, struct str header, struct buf *out)
{
    received(s, out);
    buf_str(out, buf_view(&s->mail.prepended));
    if (session_is_submission(s))
        add_missing(s, header, out);
    if (begins_with_body(header))
        buf_byte(out, '\n');
}
