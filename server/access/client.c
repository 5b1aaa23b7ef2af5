/* A client of the access program: from accept to the relay or the end. */
#include "access/access.h"
#include "base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_MAX 32768
#define ERRORS_MAX 10

static const struct imap_limits limits = IMAP_LIMITS_LOGIN;

static void client_free(struct client *c)
{
    struct access *a = c->access;
    if (c->state == CLIENT_RELAYED)
        a->relaying--;
    else
        a->logging_in--;
    if (c->counted && a->counters)
        counters_sub(a->counters, a->row, conn_peer(c->conn)->ip);
    login_cancel(c);
    if (c->delay)
        event_free(c->delay);
    sasl_free(&c->sasl);
    imap_reader_free(&c->reader);
    conn_free(c->session);
    access_settings_drop(c->settings);
}

void client_end(struct client *c)
{
    log_info("disconnect", LZ("session", c->id), LZ("client", conn_peer(c->conn)->text));
    client_free(c);
    conn_finish(c->conn);
    free(c);
}

void client_bye(struct client *c, const char *text)
{
    conn_printf(c->conn, "* BYE %s\r\n", text);
    client_end(c);
}

/* --- reading --- */

static void ask_continuation(struct client *c)
{
    conn_printf(c->conn, "+ OK\r\n");
}

/* False when the client has ended, or must not be read on. */
static bool handle(struct client *c, enum imap_event event, struct imap_line *line)
{
    bool alive = true;
    if (event == IMAP_LITERAL) {
        ask_continuation(c);
        return true;
    }
    if (event == IMAP_MESSAGE) { /* APPEND has no place here */
        imap_reader_refuse(&c->reader);
        c->errors++;
    } else if (event == IMAP_WRONG) {
        conn_printf(c->conn, "%.*s BAD %s\r\n", line->tag.n ? (int)line->tag.n : 1,
                    line->tag.n ? line->tag.p : "*", c->reader.wrong);
        c->errors++;
    } else if (c->state == CLIENT_SASL) {
        alive = imap_sasl_line(c, (struct str){line->args.p, (size_t)(line->args.end - line->args.p)});
    } else {
        alive = imap_command(c, line);
    }
    if (!alive)
        return false;
    imap_reader_next(&c->reader);
    if (c->errors >= ERRORS_MAX) {
        client_bye(c, "Too many errors");
        return false;
    }
    return true;
}

void client_read(struct client *c)
{
    while (c->state == CLIENT_TALKS || c->state == CLIENT_SASL) {
        struct str in = conn_in(c->conn), rest = in;
        struct imap_line line = {0};
        if (in.n == 0)
            return;
        if (c->state == CLIENT_SASL && imap_reader_idle(&c->reader))
            imap_reader_plain(&c->reader);
        enum imap_event event = imap_reader_feed(&c->reader, &rest, &line);
        conn_consume(c->conn, in.n - rest.n);
        if (event == IMAP_MORE || !handle(c, event, &line))
            return;
    }
}

void client_continue(struct client *c)
{
    c->state = CLIENT_TALKS;
    if (c->errors >= ERRORS_MAX) {
        client_bye(c, "Too many errors");
        return;
    }
    conn_resume(c->conn);
}

/* --- callbacks --- */

static void on_data(struct conn *conn, void *arg)
{
    (void)conn;
    client_read(arg);
}

static void on_tls(struct conn *conn, void *arg)
{
    struct client *c = arg;
    log_info("tls", LZ("session", c->id), LZ("protocol", conn_tls_protocol(conn)),
             LZ("cipher", conn_tls_cipher(conn)));
    if (c->service == SERVICE_IMAPS)
        imap_greet(c);
    conn_deadline(conn, c->settings->cfg->login_timeout * 1000);
}

static void on_timeout(struct conn *conn, void *arg)
{
    struct client *c = arg;
    (void)conn;
    client_bye(c, "Too slow to log in");
}

static void on_close(struct conn *conn, void *arg, enum conn_end why, const char *detail)
{
    struct client *c = arg;
    (void)conn;
    if (why == CONN_TLS_FAILED)
        log_info("tls-failed", LZ("session", c->id), LZ("client", conn_peer(c->conn)->text),
                 LZ("why", detail));
    client_end(c);
}

static const struct conn_ops client_ops = {
    .on_data = on_data,
    .on_tls = on_tls,
    .on_timeout = on_timeout,
    .on_close = on_close,
};

static const char *why_not(struct client *c)
{
    struct access *a = c->access;
    const struct config *cfg = c->settings->cfg;
    unsigned same = a->counters ? counters_add(a->counters, a->row, conn_peer(c->conn)->ip) : 1;
    c->counted = a->counters != NULL;
    if (cfg->mail_max_userip_connections && same > (uint64_t)cfg->mail_max_userip_connections)
        return "[LIMIT] Too many connections from your address";
    if (a->logging_in > (uint64_t)cfg->imap_login_limit)
        return "[LIMIT] Too many clients are logging in, try again later";
    return NULL;
}

void client_accept(struct access *a, enum service service, int fd)
{
    struct client *c = MEM_NEW(struct client);
    *c = (struct client){.access = a, .settings = a->settings, .service = service};
    c->settings->holders++;
    a->logging_in++;
    snprintf(c->id, sizeof c->id, "%08x%08x", randombytes_random(), randombytes_random());
    imap_reader_init(&c->reader, &limits);
    c->conn = conn_new(a->program->base, fd, IN_MAX, &client_ops, c);
    log_info("connect", LZ("session", c->id), LZ("service", service_name(service)),
             LZ("client", conn_peer(c->conn)->text));
    const char *refusal = why_not(c);
    conn_deadline(c->conn, c->settings->cfg->login_timeout * 1000);
    if (refusal && service == SERVICE_IMAP) {
        client_bye(c, refusal);
    } else if (refusal || (service == SERVICE_IMAPS && !tls_server_has_certificate(c->settings->tls))) {
        log_info("refused", LZ("session", c->id), LZ("why", refusal ? refusal : "no certificate"));
        client_end(c);
    } else if (service == SERVICE_IMAPS) {
        conn_deadline(c->conn, c->settings->cfg->smtpd_starttls_timeout * 1000);
        conn_start_tls(c->conn, c->settings->tls);
    } else {
        imap_greet(c);
    }
}
