/* What is said to the client: one place that counts errors, logs refusals and makes them wait. */
#include "base/log.h"
#include "smtp/smtp.h"

#include <stdlib.h>

/* Octets of a reply line with its end (RFC 5321 section 4.5.3.1.5). */
#define REPLY_LINE_MAX 512

static void on_delay(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)fd;
    (void)what;
    reply_delay_free(s);
    if (s->conn)
        conn_write(s->conn, s->delayed.p, s->delayed.n);
    buf_free(&s->delayed);
    session_release(s);
}

void reply_delay_free(struct session *s)
{
    if (s->delay)
        event_free(s->delay);
    s->delay = NULL;
}

static void delay_start(struct session *s, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    s->delay = evtimer_new(s->smtpd->program->base, on_delay, s);
    event_add(s->delay, &tv);
    session_hold(s);
}

/* How long this reply waits: what the command asked for, or the price of many errors. */
static int64_t delay_of(struct session *s)
{
    const struct config *cfg = session_cfg(s);
    int64_t ms = s->reply_delay;
    s->reply_delay = 0;
    if (s->errors > (uint64_t)cfg->smtpd_soft_error_limit &&
        ms < cfg->smtpd_error_sleep_time * 1000)
        ms = cfg->smtpd_error_sleep_time * 1000;
    return ms;
}

void reply_lines(struct session *s, struct str text)
{
    if (!s->conn)
        return;
    int64_t ms = delay_of(s);
    if (ms > 0 && !s->delay)
        delay_start(s, ms);
    if (s->delay)
        buf_str(&s->delayed, text);
    else
        conn_write(s->conn, text.p, text.n);
}

static void log_refusal(struct session *s, struct str line)
{
    s->smtpd->refusals++;
    log_info("refused", LZ("session", s->id), LZ("client", s->peer.text), LZ("command", s->verb),
             LS("from", s->mail.from.path), LZ("login", s->login), LS("reply", line));
}

/* A client that did not say SMTPUTF8 gets ASCII (RFC 6531 section 3.7.4.2). */
static void make_ascii(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] >= 0x80)
            b->p[i] = '?';
}

void reply(struct session *s, const char *fmt, ...)
{
    AUTO_BUF b = BUF_MAX(4 * REPLY_LINE_MAX);
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (b.n > REPLY_LINE_MAX - 2)
        b.n = REPLY_LINE_MAX - 2;
    if (!s->mail.from.smtputf8)
        make_ascii(&b);
    /* 4xx is our trouble or the directory's, 5xx the client's. */
    if (b.n && b.p[0] == '5')
        s->errors++;
    if (b.n && b.p[0] >= '4')
        log_refusal(s, buf_view(&b));
    buf_str(&b, STR("\r\n"));
    size_t times = s->mail.final_replies;
    do
        reply_lines(s, buf_view(&b));
    while (times-- > 1);
}

void reply_err(struct session *s, const struct err *e)
{
    if (e->client[0])
        reply(s, "%s", e->client);
    else if (e->kind == ERR_TEMPORARY)
        reply(s, "451 4.3.0 Temporary failure, try again later");
    else
        reply(s, "501 5.5.4 Syntax error");
    log_debug("refusal", LZ("session", s->id), LZ("why", e->log));
}
