/* A session: from accept to its end. */
#include "base/clock.h"
#include "base/log.h"
#include "smtp/smtp.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_MAX 65536
#define OUT_MAX 65536 /* past this much unread output no more commands are taken */

const struct config *session_cfg(const struct session *s)
{
    return s->settings->cfg;
}

bool session_is_tls(const struct session *s)
{
    return s->conn && conn_is_tls(s->conn);
}

bool session_is_submission(const struct session *s)
{
    return (s->service != SERVICE_SMTP && !session_is_lmtp(s)) || s->login;
}

bool session_may_starttls(const struct session *s)
{
    bool wanted = s->service != SERVICE_SMTP || session_cfg(s)->smtpd_tls_security_level > 0;
    return wanted && !session_is_tls(s) && tls_server_has_certificate(s->settings->tls);
}

bool session_has_auth(const struct session *s)
{
    return !session_is_lmtp(s) &&
           (s->service != SERVICE_SMTP || session_cfg(s)->smtpd_sasl_auth_enable);
}

/* --- the end --- */

static void session_free(struct session *s)
{
    struct smtpd *d = s->smtpd;
    ask_leave_all(s);
    reply_delay_free(s);
    buf_free(&s->delayed);
    mail_free(s);
    filter_end(s);
    auth_forget(s);
    smtp_reader_free(&s->reader);
    if (s->counted && d->front.counters)
        counters_sub(d->front.counters, d->front.row, s->peer.ip);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    d->session_count--;
    front_settings_drop(s->settings);
    free(s);
    smtpd_session_ended(d);
}

static void session_end(struct session *s)
{
    log_info("disconnect", LZ("session", s->id), LZ("client", s->peer.text),
             LN("messages", s->mails));
    if (s->conn && s->stopped)
        conn_printf(s->conn, "421 4.3.2 %.*s Service shutting down\r\n",
                    STR_FMT(session_cfg(s)->myhostname));
    if (s->conn)
        conn_finish(s->conn);
    session_free(s);
}

void session_cut(struct session *s)
{
    conn_free(s->conn);
    session_free(s);
}

void session_close(struct session *s)
{
    s->closing = true;
}

/* --- holding and going on --- */

static void deadline(struct session *s)
{
    conn_deadline(s->conn, session_cfg(s)->smtpd_timeout * 1000);
}

static int64_t now_us(void)
{
    return clock_mono_ms() * 1000;
}

/* Every octet gives a message the time it may take, and never more than smtpd_timeout in store: a
 * client that sends one now and then would hold its place, and our memory, for ever. */
static void data_deadline(struct session *s, size_t octets)
{
    const struct config *cfg = session_cfg(s);
    int64_t now = now_us(), most = now + cfg->smtpd_timeout * 1000000;
    if (cfg->smtpd_min_data_rate == 0) {
        deadline(s);
        return;
    }
    s->data_due_us += (int64_t)octets * 1000000 / cfg->smtpd_min_data_rate;
    if (s->data_due_us > most || s->data_begins)
        s->data_due_us = most;
    s->data_begins = false;
    conn_deadline(s->conn, s->data_due_us > now ? (s->data_due_us - now) / 1000 + 1 : 1);
}

void session_hold(struct session *s)
{
    if (s->holds++ > 0 || !s->conn)
        return;
    conn_pause(s->conn);
    conn_deadline(s->conn, 0);
}

static void check_errors(struct session *s)
{
    if (s->closing || s->errors < (uint64_t)session_cfg(s)->smtpd_hard_error_limit)
        return;
    reply(s, "421 4.7.0 %.*s Error: too many errors", STR_FMT(session_cfg(s)->myhostname));
    session_close(s);
}

/* After anything was done: ends the session when it is over. */
static void settle(struct session *s)
{
    check_errors(s);
    if (s->holds == 0 && (s->closing || !s->conn))
        session_end(s);
}

void session_release(struct session *s)
{
    check_errors(s);
    if (--s->holds > 0)
        return;
    if (s->closing || !s->conn) {
        session_end(s);
        return;
    }
    deadline(s);
    if (!s->backlog)
        conn_resume(s->conn);
}

/* --- reading --- */

static void bare(struct session *s, const char *what)
{
    reply(s, "521 5.5.2 %.*s Error: bare %s received", STR_FMT(session_cfg(s)->myhostname), what);
    session_close(s);
}

static void line_event(struct session *s, enum smtp_line event, struct str line)
{
    if (event == SMTP_LINE_BARE_CR)
        bare(s, "<CR>");
    else if (event == SMTP_LINE_BARE_LF)
        bare(s, "<LF>");
    else if (s->reading == READ_SASL)
        auth_line(s, event, line);
    else if (event == SMTP_LINE_TOO_LONG)
        reply(s, "500 5.5.2 Error: line too long");
    else if (event == SMTP_LINE_NUL)
        reply(s, "500 5.5.2 Error: NUL in a command");
    else
        command_run(s, line);
}

static void line_read(struct session *s)
{
    struct str in = conn_in(s->conn), rest = in, line = {0};
    enum smtp_line event = smtp_reader_feed(&s->reader, &rest, &line);
    conn_consume(s->conn, in.n - rest.n);
    if (event == SMTP_LINE_MORE)
        return;
    s->verb = "";
    deadline(s); /* the command may set another */
    line_event(s, event, line);
    smtp_reader_next(&s->reader);
}

static void data_step(struct session *s)
{
    size_t before = conn_in(s->conn).n;
    if (s->reading == READ_DATA)
        data_read(s);
    else
        chunk_read(s);
    if (s->holds) {
        s->data_begins = true; /* the wait is not the client's fault */
        return;
    }
    data_deadline(s, before - conn_in(s->conn).n);
    if (s->reading == READ_COMMAND)
        deadline(s);
}

static void read_step(struct session *s)
{
    if (s->reading == READ_DATA || s->reading == READ_CHUNK)
        data_step(s);
    else
        line_read(s);
}

static void on_data(struct conn *c, void *arg)
{
    struct session *s = arg;
    while (s->holds == 0 && !s->closing && conn_in(c).n && conn_out_size(c) < OUT_MAX) {
        read_step(s);
        check_errors(s);
    }
    if (conn_out_size(c) >= OUT_MAX) {
        s->backlog = true;
        conn_pause(c);
    }
    settle(s);
}

/* --- the other callbacks --- */

static void on_drained(struct conn *c, void *arg)
{
    struct session *s = arg;
    if (!s->backlog)
        return;
    s->backlog = false;
    if (s->holds == 0)
        conn_resume(c);
}

static void greet(struct session *s)
{
    conn_printf(s->conn, "220 %.*s\r\n", STR_FMT(session_cfg(s)->smtpd_banner));
    deadline(s);
}

static void on_tls(struct conn *c, void *arg)
{
    struct session *s = arg;
    log_info("tls", LZ("session", s->id), LZ("protocol", conn_tls_protocol(c)),
             LZ("cipher", conn_tls_cipher(c)), LN("bits", conn_tls_bits(c)),
             LZ("name", conn_tls_server_name(c)));
    deadline(s);
    if (s->service == SERVICE_SUBMISSIONS)
        greet(s);
}

static void on_timeout(struct conn *c, void *arg)
{
    struct session *s = arg;
    (void)c;
    log_info("timeout", LZ("session", s->id), LZ("client", s->peer.text));
    reply(s, "421 4.4.2 %.*s Error: timeout exceeded", STR_FMT(session_cfg(s)->myhostname));
    session_close(s);
    settle(s);
}

/* The client is gone. A message that is complete goes its way all the same; anything else ends. */
static void on_close(struct conn *c, void *arg, enum conn_end why, const char *detail)
{
    struct session *s = arg;
    (void)c;
    log_info(why == CONN_TLS_FAILED ? "tls-failed" : "lost", LZ("session", s->id),
             LZ("client", s->peer.text), LZ("why", detail));
    if (s->mail.handing) {
        conn_free(s->conn);
        s->conn = NULL;
        return;
    }
    session_end(s);
}

static const struct conn_ops session_ops = {
    .on_data = on_data,
    .on_drained = on_drained,
    .on_tls = on_tls,
    .on_timeout = on_timeout,
    .on_close = on_close,
};

/* --- the beginning --- */

/* Who speaks before the greeting (RFC 5321 section 4.3.1) is often a spammer's program. */
static void note_early_talker(struct session *s, int fd)
{
    char c;
    if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
        log_info("pregreet", LZ("session", s->id), LZ("client", s->peer.text));
}

static bool is_limited(const struct session *s)
{
    return !config_network_match(&session_cfg(s)->smtpd_client_event_limit_exceptions, s->peer.ip);
}

struct turned_away {
    const char *code, *text;
};

/* False: the client may stay. */
static bool must_go(struct session *s, struct turned_away *why)
{
    struct smtpd *d = s->smtpd;
    const struct config *cfg = session_cfg(s);
    uint64_t same = 1, all = d->session_count;
    if (d->front.counters) {
        same = counters_add(d->front.counters, d->front.row, s->peer.ip);
        all = counters_total(d->front.counters);
        s->counted = true;
    }
    if (all > (uint64_t)cfg->smtpd_process_limit) {
        *why = (struct turned_away){"421 4.3.2", "too many connections"};
        return true;
    }
    if (cfg->smtpd_client_connection_count_limit && is_limited(s) &&
        same > (uint64_t)cfg->smtpd_client_connection_count_limit) {
        *why = (struct turned_away){"421 4.7.0", "too many connections from your address"};
        return true;
    }
    if (!lmtp_may_enter(s)) {
        *why = (struct turned_away){"421 4.7.1", "LMTP is not for you"};
        return true;
    }
    if (!limits_connection(s)) {
        *why = (struct turned_away){"421 4.7.0", "too many connections from your address in a short time"};
        return true;
    }
    return false;
}

/* On 465 nothing can be said before the handshake, which is not worth its price here. */
static void turn_away(struct session *s, const struct turned_away *why)
{
    log_info("refused", LZ("session", s->id), LZ("client", s->peer.text), LZ("why", why->text));
    s->smtpd->refusals++;
    if (s->service != SERVICE_SUBMISSIONS)
        conn_printf(s->conn, "%s %.*s Error: %s\r\n", why->code,
                    STR_FMT(session_cfg(s)->myhostname), why->text);
    session_end(s);
}

/* Loopback, or the very address that it connected to. */
static bool is_own_address(const struct addr *own, const struct addr *peer)
{
    static const unsigned char loopback[16] = {[15] = 1};
    return (peer->is_v4 && peer->ip[12] == 127) || memcmp(peer->ip, loopback, 16) == 0 ||
           memcmp(own->ip, peer->ip, 16) == 0;
}

static struct session *session_new(struct smtpd *d, enum service service, int fd,
                                   const struct addr *from)
{
    struct session *s = MEM_NEW(struct session);
    *s = (struct session){.smtpd = d, .settings = front_settings_hold(d->front.settings), .service = service,
                          .state = STATE_NEW, .next = d->sessions, .link = &d->sessions,
                          .verb = ""};
    if (s->next)
        s->next->link = &s->next;
    d->sessions = s;
    d->session_count++;
    d->connections++;
    s->mail.message.fd = -1;
    snprintf(s->id, sizeof s->id, "%08x%08x", randombytes_random(), randombytes_random());
    s->conn = conn_new(d->program->base, fd, IN_MAX, &session_ops, s);
    if (from)
        conn_set_peer(s->conn, from);
    s->peer = *conn_peer(s->conn);
    addr_own(fd, &s->own); /* all zero, nobody's address, where the system does not know */
    s->from_here = is_own_address(&s->own, &s->peer);
    bool old_device =
        config_network_match(&session_cfg(s)->smtpd_forbid_bare_newline_exclusions, s->peer.ip);
    smtp_reader_init(&s->reader, SMTP_LINE_MAX, SASL_LINE_MAX, old_device);
    return s;
}

void session_accept(struct smtpd *d, enum service service, int fd, const struct addr *from)
{
    struct session *s = session_new(d, service, fd, from);
    log_info("connect", LZ("session", s->id), LZ("client", s->peer.text),
             LZ("service", service_name(service)));
    struct turned_away why;
    if (must_go(s, &why)) {
        turn_away(s, &why);
    } else if (service != SERVICE_SUBMISSIONS) {
        note_early_talker(s, fd);
        greet(s);
    } else if (!tls_server_has_certificate(s->settings->tls)) {
        log_error("no-certificate", LZ("session", s->id), LZ("service", service_name(service)));
        session_end(s);
    } else {
        conn_deadline(s->conn, session_cfg(s)->smtpd_starttls_timeout * 1000);
        conn_start_tls(s->conn, s->settings->tls);
    }
}

void session_stop(struct session *s)
{
    s->stopped = true;
    session_close(s);
    settle(s);
}
