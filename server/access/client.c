/* A client of the access program: from accept to the relay or the end. */
#include "access/access.h"
#include "base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_MAX 32768
#define OUT_MAX 65536 /* past this much unread output no more commands are taken */
#define ERRORS_MAX 10

static void list_add(struct access *a, struct client *c)
{
    c->next = a->clients;
    if (c->next)
        c->next->prev = c;
    a->clients = c;
}

static void list_remove(struct access *a, struct client *c)
{
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        a->clients = c->next;
}

void client_uncount(struct client *c)
{
    struct front *f = &c->access->front;
    if (c->counted && f->counters)
        counters_sub(f->counters, f->row, conn_peer(c->conn)->ip);
    c->counted = false;
}

static void client_free(struct client *c)
{
    struct access *a = c->access;
    list_remove(a, c);
    if (c->state == CLIENT_RELAYED)
        a->relaying--;
    else
        a->logging_in--;
    client_uncount(c);
    login_cancel(c);
    if (c->delay)
        event_free(c->delay);
    login_relay_end(c);
    sasl_free(&c->sasl);
    c->protocol->free(c);
    conn_free(c->session);
    front_settings_drop(c->settings);
}

void client_end(struct client *c)
{
    log_info("disconnect", LZ("session", c->id), LZ("client", conn_peer(c->conn)->text));
    struct access *a = c->access;
    client_free(c);
    conn_finish(c->conn);
    free(c);
    access_client_ended(a);
}

void client_bye(struct client *c, const char *text)
{
    conn_printf(c->conn, "%s%s\r\n", c->protocol->bye, text);
    client_end(c);
}

void client_stop_all(struct access *a)
{
    for (struct client *c = a->clients, *next; c; c = next) {
        next = c->next;
        if (c->state != CLIENT_RELAYED)
            client_bye(c, "The server is going down, try again later");
    }
}

/* --- reading --- */

static void read_on(struct client *c)
{
    while (c->state == CLIENT_TALKS || c->state == CLIENT_SASL) {
        struct str in = conn_in(c->conn), rest = in;
        if (in.n == 0)
            return;
        if (conn_out_size(c->conn) >= OUT_MAX) {
            c->backlog = true;
            conn_pause(c->conn);
            return;
        }
        bool there = c->protocol->feed(c, &rest);
        conn_consume(c->conn, in.n - rest.n);
        if (!there || !c->protocol->handle(c))
            return;
        if (c->errors >= ERRORS_MAX) {
            client_bye(c, "Too many errors");
            return;
        }
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

/* --- TLS --- */

static bool is_tls_service(enum service service)
{
    return service == SERVICE_IMAPS || service == SERVICE_POP3S;
}

bool client_can_start_tls(const struct client *c)
{
    return !conn_is_tls(c->conn) && tls_server_has_certificate(c->settings->tls);
}

static void start_tls(struct client *c)
{
    conn_deadline(c->conn, c->settings->cfg->smtpd_starttls_timeout * 1000);
    conn_start_tls(c->conn, c->settings->tls);
}

bool client_start_tls(struct client *c, const char *go)
{
    if (conn_in(c->conn).n > 0) {
        log_warning("starttls-injection", LZ("session", c->id),
                    LZ("client", conn_peer(c->conn)->text));
        client_bye(c, "Nothing may follow before TLS is there");
        return false;
    }
    conn_printf(c->conn, "%s\r\n", go);
    start_tls(c);
    return true;
}

/* --- callbacks --- */

static void on_data(struct conn *conn, void *arg)
{
    (void)conn;
    read_on(arg);
}

static void on_drained(struct conn *conn, void *arg)
{
    struct client *c = arg;
    if (c->backlog && (c->state == CLIENT_TALKS || c->state == CLIENT_SASL))
        conn_resume(conn);
    c->backlog = false;
}

static void on_tls(struct conn *conn, void *arg)
{
    struct client *c = arg;
    log_info("tls", LZ("session", c->id), LZ("protocol", conn_tls_protocol(conn)),
             LZ("cipher", conn_tls_cipher(conn)));
    if (is_tls_service(c->service))
        c->protocol->greet(c);
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
    .on_drained = on_drained,
    .on_tls = on_tls,
    .on_timeout = on_timeout,
    .on_close = on_close,
};

static const char *why_not(struct client *c)
{
    struct access *a = c->access;
    const struct config *cfg = c->settings->cfg;
    unsigned same = a->front.counters ? counters_add(a->front.counters, a->front.row, conn_peer(c->conn)->ip) : 1;
    c->counted = a->front.counters != NULL;
    if (cfg->login_client_connection_limit && same > (uint64_t)cfg->login_client_connection_limit)
        return "Too many connections from your address";
    if (a->logging_in > (uint64_t)cfg->imap_login_limit)
        return "Too many clients are logging in, try again later";
    return NULL;
}

static void turn_away(struct client *c, const char *why)
{
    log_info("refused", LZ("session", c->id), LZ("why", why));
    if (!is_tls_service(c->service))
        conn_printf(c->conn, "%s%s%s\r\n", c->protocol->bye, c->protocol->limit, why);
    client_end(c);
}

static struct client *client_new(struct access *a, enum service service, int fd,
                                 const struct addr *from)
{
    struct client *c = MEM_NEW(struct client);
    bool pop3 = service == SERVICE_POP3 || service == SERVICE_POP3S;
    *c = (struct client){.access = a, .settings = front_settings_hold(a->front.settings), .service = service,
                         .protocol = pop3 ? &pop3_protocol : &imap_protocol};
    list_add(a, c);
    a->logging_in++;
    snprintf(c->id, sizeof c->id, "%08x%08x", randombytes_random(), randombytes_random());
    c->protocol->start(c);
    c->conn = conn_new(a->program->base, fd, IN_MAX, &client_ops, c);
    if (from)
        conn_set_peer(c->conn, from);
    return c;
}

void client_accept(struct access *a, enum service service, int fd, const struct addr *from)
{
    struct client *c = client_new(a, service, fd, from);
    log_info("connect", LZ("session", c->id), LZ("service", service_name(service)),
             LZ("client", conn_peer(c->conn)->text));
    const char *refusal = why_not(c);
    conn_deadline(c->conn, c->settings->cfg->login_timeout * 1000);
    if (refusal)
        turn_away(c, refusal);
    else if (!is_tls_service(service))
        c->protocol->greet(c);
    else if (tls_server_has_certificate(c->settings->tls))
        start_tls(c);
    else
        turn_away(c, "no certificate");
}
