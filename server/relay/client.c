/* A connection to another server: made, secured, lost. */
#include "base/log.h"
#include "relay/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_MAX 65536

void client_free(struct client *c)
{
    if (!c)
        return;
    idle_forget(c);
    if (c->connecting)
        event_free(c->connecting);
    fd_closep(&c->fd);
    conn_free(c->conn);
    settings_drop(c->settings);
    arena_free(c->arena);
    free(c);
}

void client_deadline(struct client *c, int64_t seconds)
{
    conn_deadline(c->conn, seconds * 1000);
}

void client_quit(struct client *c)
{
    struct relay *r = c->relay;
    c->job = NULL;
    if (!c->conn) {
        client_free(c);
        return;
    }
    c->step = STEP_QUIT;
    c->next = r->quitting;
    c->link = &r->quitting;
    if (c->next)
        c->next->link = &c->next;
    r->quitting = c;
    conn_printf(c->conn, "QUIT\r\n");
    client_deadline(c, c->settings->cfg->smtp_quit_timeout);
}

const char *client_status(const struct client *c)
{
    unsigned class_digit = c->reply.code / 100;
    if (c->reply.status[0])
        return c->reply.status;
    return class_digit == 2 ? "2.0.0" : class_digit == 5 ? "5.0.0" : "4.0.0";
}

void client_server(const struct client *c, char out[300])
{
    snprintf(out, 300, "%.*s[%s]", STR_FMT(str_head(c->host, 250)), c->addr.text);
}

/* --- losing it --- */

static void client_new(struct job *j, const struct place *p);

static void again(struct client *c)
{
    struct job *j = c->job;
    struct place p = {arena_str(j->arena, c->host), c->addr};
    client_free(c);
    client_new(j, &p);
}

static void server_failed(struct client *c, const char *status, const char *why)
{
    struct job *j = c->job;
    trouble_set(&j->trouble, false, status, "", "%s while %s, %.*s[%s]:%u", why,
                dialogue_step(c), STR_FMT(c->host), c->addr.text, c->addr.port);
    client_free(c);
    job_server_failed(j);
}

/* The end of the message may have been taken, or not: asking another server now could double it. */
static void transaction_failed(struct client *c, const char *status, const char *why)
{
    struct job *j = c->job;
    char text[800];
    bool unknown = c->step == STEP_DOT;
    snprintf(text, sizeof text, "%s while %s, %.*s[%s]:%u", why, dialogue_step(c),
             STR_FMT(c->host), c->addr.text, c->addr.port);
    for (size_t i = 0; i < c->order_n; i++)
        if (j->rcpt[c->order[i]].fate == FATE_OPEN)
            job_recipient(j, c->order[i], FATE_LATER, status, "", text);
    client_free(c);
    job_transaction_over(j, !unknown);
}

void client_failed(struct client *c, const char *status, const char *why)
{
    bool may_be_plain = c->level == TLS_MAY;
    if (!c->job) {
        client_free(c);
    } else if (c->reused && !c->answered) {
        again(c); /* it was closed while it waited */
    } else if (c->step == STEP_HANDSHAKE && may_be_plain && !c->plain) {
        log_info("relay-tls", LS("host", c->host), LZ("address", c->addr.text), LZ("why", why),
                 LZ("meaning", "goes on without TLS, which the TLS level allows"));
        c->job->plain = true;
        again(c);
    } else if (c->step < STEP_MAIL) {
        server_failed(c, status, why);
    } else {
        transaction_failed(c, status, why);
    }
}

/* --- the connection's callbacks --- */

static void on_data(struct conn *conn, void *arg)
{
    (void)conn;
    dialogue_read(arg);
}

static void on_drained(struct conn *conn, void *arg)
{
    (void)conn;
    transaction_write(arg);
}

static void on_tls(struct conn *conn, void *arg)
{
    struct client *c = arg;
    log_info("relay-tls", LS("host", c->host), LZ("address", c->addr.text),
             LZ("level", tls_level_name(c->level)), LZ("protocol", conn_tls_protocol(conn)),
             LZ("cipher", conn_tls_cipher(conn)));
    dialogue_after_tls(c);
}

static void on_timeout(struct conn *conn, void *arg)
{
    struct client *c = arg;
    (void)conn;
    if (c->step == STEP_IDLE) {
        idle_forget(c);
        client_quit(c);
    } else {
        client_failed(c, "4.4.2", "time was up");
    }
}

static void on_close(struct conn *conn, void *arg, enum conn_end why, const char *detail)
{
    char text[240];
    (void)conn;
    snprintf(text, sizeof text, "%s (%s)",
             why == CONN_TLS_FAILED ? "the TLS handshake failed" : "the connection was lost", detail);
    client_failed(arg, why == CONN_TLS_FAILED ? "4.7.5" : "4.4.2", text);
}

int client_start_tls(struct client *c, struct err *e)
{
    SSL *ssl = tls_connect(c, e);
    if (!ssl)
        return -1;
    c->step = STEP_HANDSHAKE;
    conn_start_tls_client(c->conn, ssl);
    return 0;
}

/* --- making it --- */

static void connect_failed(struct client *c, int code)
{
    client_failed(c, "4.4.1", strerror(code));
}

static void connected(struct client *c)
{
    static const struct conn_ops ops = {on_data, on_drained, on_tls, on_timeout, on_close};
    int fd = c->fd;
    c->fd = -1;
    c->relay->connections++;
    c->conn = conn_new(c->relay->program->base, fd, IN_MAX, &ops, c);
    dialogue_begin(c);
}

static void on_connecting(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    int code = 0;
    socklen_t n = sizeof code;
    if (what & EV_TIMEOUT)
        code = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &n) != 0)
        code = errno;
    event_free(c->connecting);
    c->connecting = NULL;
    if (code)
        connect_failed(c, code);
    else
        connected(c);
}

static int start_connect(struct client *c)
{
    const struct addr *a = &c->addr;
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    memcpy(&in4.sin_addr, a->ip + 12, 4);
    memcpy(&in6.sin6_addr, a->ip, 16);
    c->fd = socket(a->is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return errno;
    int r = a->is_v4 ? connect(c->fd, (void *)&in4, sizeof in4)
                     : connect(c->fd, (void *)&in6, sizeof in6);
    return r == 0 || errno == EINPROGRESS ? 0 : errno;
}

/* A failure is told from the event loop, like every other. */
static void on_no_connection(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    int code = (int)c->size_limit;
    (void)fd;
    (void)what;
    event_free(c->connecting);
    c->connecting = NULL;
    connect_failed(c, code);
}

static void client_new(struct job *j, const struct place *p)
{
    struct client *c = MEM_NEW(struct client);
    *c = (struct client){.relay = j->relay, .settings = j->settings, .job = j, .addr = p->addr,
                         .fd = -1, .step = STEP_CONNECT, .plain = j->plain,
                         .level = j->level, .watched = j->sts_watched, .lmtp = j->lmtp};
    c->settings->holders++;
    c->arena = arena_new(512);
    c->host = arena_str(c->arena, p->host);
    c->key = idle_key(j, p, c->arena);
    j->client = c;
    int code = start_connect(c);
    struct timeval tv = {code ? 0 : j->settings->cfg->smtp_connect_timeout, 0};
    if (code) {
        c->size_limit = (uint64_t)code;
        c->connecting = evtimer_new(j->relay->program->base, on_no_connection, c);
    } else {
        c->connecting = event_new(j->relay->program->base, c->fd, EV_WRITE, on_connecting, c);
    }
    event_add(c->connecting, &tv);
}

void client_start(struct job *j, const struct place *p)
{
    AUTO_ARENA a = arena_new(512);
    struct client *c = idle_take(j->relay, idle_key(j, p, a));
    if (!c) {
        client_new(j, p);
        return;
    }
    j->relay->reused++;
    j->client = c;
    c->job = j;
    c->reused = true;
    c->answered = false;
    transaction_begin(c);
}
