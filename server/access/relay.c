/* After login: bytes between the client's TLS connection and its session, bounded both ways. */
#include "access/access.h"
#include "base/log.h"

#define SESSION_IN_MAX 65536
/* As long as a session waits for a client that takes nothing. It may have ended since: its end is not seen while
 * its last words cannot be passed on. */
#define PATIENCE_MS (5 * 60000)

static void client_drained(struct conn *conn, void *arg)
{
    struct client *c = arg;
    (void)conn;
    conn_resume(c->session);
}

static void session_drained(struct conn *conn, void *arg)
{
    struct client *c = arg;
    (void)conn;
    conn_resume(c->conn);
}

static void never(struct conn *conn, void *arg)
{
    (void)conn;
    (void)arg;
}

static void not_taken(struct conn *conn, void *arg)
{
    (void)conn;
    client_end(arg);
}

static void on_close(struct conn *conn, void *arg, enum conn_end why, const char *detail)
{
    (void)conn;
    (void)why;
    (void)detail;
    client_end(arg);
}

static const struct conn_ops client_side = {
    .on_data = never,
    .on_drained = client_drained,
    .on_tls = never,
    .on_timeout = never,
    .on_close = on_close,
};

static const struct conn_ops session_side = {
    .on_data = never,
    .on_drained = session_drained,
    .on_tls = never,
    .on_timeout = not_taken,
    .on_close = on_close,
};

void relay_start(struct client *c, int fd)
{
    struct access *a = c->access;
    c->session = conn_new(a->program->base, fd, SESSION_IN_MAX, &session_side, c);
    conn_pass(c->session, c->conn, a->room, PATIENCE_MS);
    conn_set_ops(c->conn, &client_side, c);
    conn_deadline(c->conn, 0); /* the session knows how long silence may last */
    conn_printf(c->session, "%s\r\n", c->protocol->preamble(c));
    c->protocol->free(c);
    client_uncount(c);
    a->logging_in--;
    a->relaying++;
    c->state = CLIENT_RELAYED;
    struct str ahead = conn_in(c->conn);
    conn_write(c->session, ahead.p, ahead.n);
    conn_consume(c->conn, ahead.n);
    conn_pass(c->conn, c->session, a->room, 0);
    conn_resume(c->conn);
}
