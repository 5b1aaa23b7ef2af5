/* Client connections. */
#include "io/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_CHUNK 16384
#define READS_A_TURN 8
#define PASSES_A_TURN 4
#define FINISH_MS 10000

enum phase { PHASE_PLAIN, PHASE_TLS_WAITING /* output first */, PHASE_HANDSHAKE, PHASE_TLS };

struct conn {
    int fd;
    enum phase phase;
    SSL *ssl;
    struct tls_server *tls;
    struct buf in, out;
    size_t in_done;  /* bytes at the front of in that are consumed */
    size_t out_done; /* bytes at the front of out that are sent */
    size_t in_max;
    const struct conn_ops *ops;
    void *arg;
    struct event *readable, *writable, *timer;
    struct addr peer;
    struct conn *to; /* where all that is read goes, by way of room; or NULL */
    char *room;
    int64_t patience_ms; /* with who takes nothing there; 0: without end */
    unsigned busy;
    bool dead, closed, paused, finishing;
    bool ended; /* the peer sends no more; said after what it sent was given */
    enum conn_end why;
    char detail[160];
    bool wants_write_to_read; /* TLS needs to write before it can read, and the reverse */
    bool wants_read_to_write;
    bool corked; /* the kernel holds back what is written, for what is written next */
};

/* --- life --- */

/* An idle connection holds no buffer, and what was read may have been a password. */
static void forget_input(struct conn *c)
{
    if (c->in.p)
        mem_wipe(c->in.p, c->in.n); /* behind that nothing was ever written */
    buf_free(&c->in);
    c->in_done = 0;
}

static size_t in_size(const struct conn *c)
{
    return c->in.n - c->in_done;
}

/* Room behind what waits; its old place is wiped, however it moves. */
static char *input_room(struct conn *c, size_t n)
{
    if (c->in_done == 0 && c->in.n + n < c->in.cap)
        return buf_room(&c->in, n);
    struct buf moved = {0};
    buf_room(&moved, in_size(c) + n);
    buf_str(&moved, conn_in(c));
    forget_input(c);
    c->in = moved;
    return buf_room(&c->in, n);
}

static void destroy(struct conn *c)
{
    event_free(c->readable);
    event_free(c->writable);
    event_free(c->timer);
    SSL_free(c->ssl);
    tls_server_drop(c->tls);
    close(c->fd);
    forget_input(c);
    buf_free(&c->out);
    free(c);
}

static void enter(struct conn *c)
{
    c->busy++;
}

static void leave(struct conn *c)
{
    if (--c->busy == 0 && c->dead)
        destroy(c);
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    c->dead = true;
    if (c->busy == 0)
        destroy(c);
}

static void closed(struct conn *c, enum conn_end why, const char *detail)
{
    if (c->closed || c->dead)
        return;
    c->closed = true;
    event_del(c->readable);
    event_del(c->writable);
    event_del(c->timer);
    if (c->finishing)
        conn_free(c);
    else
        c->ops->on_close(c, c->arg, why, detail);
}

static bool is_gone(int number)
{
    return number == ECONNRESET || number == EPIPE;
}

static void closed_by_errno(struct conn *c)
{
    closed(c, is_gone(errno) ? CONN_EOF : CONN_ERROR, strerror(errno));
}

static void tls_error(char *text, size_t n)
{
    unsigned long code = ERR_peek_last_error();
    snprintf(text, n, "closed");
    if (code)
        ERR_error_string_n(code, text, n);
    ERR_clear_error();
}

static void input_ended(struct conn *c, enum conn_end why)
{
    c->ended = true;
    c->why = why;
    if (c->phase == PHASE_PLAIN)
        snprintf(c->detail, sizeof c->detail, "%s", why == CONN_EOF ? "closed" : strerror(errno));
    else
        tls_error(c->detail, sizeof c->detail);
}

static void closed_by_tls(struct conn *c, enum conn_end why)
{
    char text[160];
    tls_error(text, sizeof text);
    closed(c, why, text);
}

/* --- output --- */

static void want_write(struct conn *c, bool on)
{
    if (on)
        event_add(c->writable, NULL);
    else
        event_del(c->writable);
}

/* The ticket at the end of a handshake of TLS 1.3 (RFC 8446 section 4.6.1), for which nobody waits, goes with what
 * is written after it: by itself it would cost both sides a segment, and the client a wake-up. */
static void cork(struct conn *c, bool on)
{
    int value = on;
    if (c->corked == on)
        return;
    c->corked = on;
    setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

static void finish_now(struct conn *c)
{
    if (c->phase == PHASE_TLS) {
        cork(c, true); /* it goes together with the end of the stream */
        ERR_clear_error();
        SSL_shutdown(c->ssl);
        ERR_clear_error();
    }
    conn_free(c);
}

static ssize_t write_some(struct conn *c, const char *p, size_t n)
{
    if (c->phase != PHASE_TLS) {
        ssize_t r;
        do
            r = send(c->fd, p, n, MSG_NOSIGNAL);
        while (r < 0 && errno == EINTR);
        if (r < 0 && is_gone(errno) && c->to && !c->paused)
            return (ssize_t)n; /* its last words may still be unread; the end is found behind them */
        if (r < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            closed_by_errno(c);
        return r;
    }
    ERR_clear_error();
    int r = SSL_write(c->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
    if (r > 0)
        return r;
    int why = SSL_get_error(c->ssl, r);
    c->wants_read_to_write = why == SSL_ERROR_WANT_READ;
    if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ)
        closed_by_tls(c, CONN_ERROR);
    return -1;
}

static void start_handshake(struct conn *c);

static void drained(struct conn *c)
{
    buf_free(&c->out); /* nor here does an idle connection hold a buffer */
    c->out_done = 0;
    want_write(c, false);
    cork(c, false);
    if (c->phase == PHASE_TLS_WAITING)
        start_handshake(c);
    else if (c->finishing)
        finish_now(c);
    else if (c->ops->on_drained) {
        c->ops->on_drained(c, c->arg);
        if (c->out.n && !c->dead && !c->closed && c->phase != PHASE_HANDSHAKE)
            want_write(c, true); /* the owner had more */
    }
}

static void flush(struct conn *c)
{
    if (c->closed || c->dead || c->phase == PHASE_HANDSHAKE)
        return;
    if (c->out.n == 0 && c->phase != PHASE_TLS_WAITING && !c->finishing)
        return;
    while (c->out_done < c->out.n) {
        ssize_t r = write_some(c, c->out.p + c->out_done, c->out.n - c->out_done);
        if (c->closed || c->dead)
            return;
        if (r < 0) {
            want_write(c, !c->wants_read_to_write);
            return;
        }
        c->out_done += (size_t)r;
    }
    drained(c);
}

/* At once, without a copy of what the kernel takes. */
static void write_now(struct conn *c, const char *p, size_t n)
{
    bool open = c->phase == PHASE_PLAIN || c->phase == PHASE_TLS;
    while (n && open && c->out.n == 0 && !c->closed && !c->dead) {
        ssize_t r = write_some(c, p, n);
        if (r < 0)
            break;
        p += r;
        n -= (size_t)r;
    }
    cork(c, false);
    if (n && !c->closed && !c->dead) {
        conn_write(c, p, n);
        want_write(c, !c->wants_read_to_write);
    }
}

void conn_write(struct conn *c, const void *p, size_t n)
{
    if (c->closed || c->dead)
        return;
    if (c->out_done > READ_CHUNK) {
        buf_consume(&c->out, c->out_done);
        c->out_done = 0;
    }
    buf_add(&c->out, p, n);
    if (c->busy == 0)
        event_active(c->writable, EV_WRITE, 0);
}

void conn_printf(struct conn *c, const char *fmt, ...)
{
    AUTO_BUF b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    conn_write(c, b.p, b.n);
}

size_t conn_out_size(const struct conn *c)
{
    return c->out.n - c->out_done;
}

/* --- input --- */

static ssize_t read_some(struct conn *c, char *to, size_t n)
{
    if (c->phase == PHASE_PLAIN) {
        ssize_t r;
        do
            r = recv(c->fd, to, n, 0);
        while (r < 0 && errno == EINTR);
        if (r == 0)
            input_ended(c, CONN_EOF);
        else if (r < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            input_ended(c, is_gone(errno) ? CONN_EOF : CONN_ERROR);
        return r;
    }
    ERR_clear_error();
    int r = SSL_read(c->ssl, to, (int)n);
    if (r > 0)
        return r;
    int why = SSL_get_error(c->ssl, r);
    if (why == SSL_ERROR_WANT_WRITE) {
        c->wants_write_to_read = true;
        want_write(c, true);
    } else if (why != SSL_ERROR_WANT_READ) {
        input_ended(c, CONN_EOF);
    }
    return -1;
}

static bool in_full(const struct conn *c)
{
    return in_size(c) >= c->in_max;
}

static void watch_input(struct conn *c)
{
    if (c->closed || c->dead)
        return;
    if (c->phase == PHASE_TLS_WAITING || c->ended ||
        (c->phase != PHASE_HANDSHAKE && (c->paused || in_full(c))))
        event_del(c->readable);
    else
        event_add(c->readable, NULL);
}

/* Less than was asked for, and nothing held by OpenSSL: the descriptor tells when there is more. */
static bool was_all(const struct conn *c, size_t got, size_t room)
{
    return got < room && (c->phase == PHASE_PLAIN || !SSL_has_pending(c->ssl));
}

/* Reads for one turn. False: there is no more now; true: more may wait inside OpenSSL or the kernel. */
static bool fill(struct conn *c)
{
    for (int i = 0; i < READS_A_TURN && !in_full(c) && !c->ended; i++) {
        size_t left = c->in_max - in_size(c), room = left < READ_CHUNK ? left : READ_CHUNK;
        ssize_t r = read_some(c, input_room(c, room), room);
        if (r <= 0)
            return false;
        c->in.n += (size_t)r;
        if (was_all(c, (size_t)r, room))
            return false;
    }
    return true;
}

/* OpenSSL reads ahead, and what it holds does not make the descriptor readable. */
static void read_held(struct conn *c)
{
    if (c->phase == PHASE_TLS && !c->paused && !in_full(c) && !c->ended && SSL_has_pending(c->ssl))
        event_active(c->readable, EV_READ, 0);
}

static void give(struct conn *c)
{
    if (in_size(c) && !c->paused && !c->dead && !c->finishing)
        c->ops->on_data(c, c->arg);
    if (in_size(c) == 0 && !c->dead)
        forget_input(c);
}

static void handshake_step(struct conn *c)
{
    ERR_clear_error();
    if (c->tls && SSL_get_state(c->ssl) == TLS_ST_EARLY_DATA) /* only the client's Finished is missing */
        cork(c, true);
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) {
        c->phase = PHASE_TLS;
        want_write(c, false);
        c->ops->on_tls(c, c->arg);
        if (!c->dead && !c->closed && SSL_has_pending(c->ssl))
            event_active(c->readable, EV_READ, 0); /* data came with the last flight */
        return;
    }
    cork(c, false); /* a flight that was asked for anew, or less than all of Finished */
    int why = SSL_get_error(c->ssl, r);
    if (why == SSL_ERROR_WANT_WRITE)
        want_write(c, true);
    else if (why == SSL_ERROR_WANT_READ)
        want_write(c, false);
    else
        closed_by_tls(c, CONN_TLS_FAILED);
}

static void start_handshake(struct conn *c)
{
    c->phase = PHASE_HANDSHAKE;
    if (!c->ssl)
        c->ssl = tls_server_accept(c->tls);
    SSL_set_fd(c->ssl, c->fd);
    event_add(c->readable, NULL);
    handshake_step(c);
    if (c->phase == PHASE_TLS && !c->dead && !c->closed)
        event_active(c->writable, EV_WRITE, 0); /* flush(), which we are inside of, sends no more in this turn */
}

/* Reads and passes on for one turn. True as fill() says it. */
static bool pass(struct conn *c)
{
    struct conn *to = c->to;
    ssize_t r = 0;
    enter(to);
    for (int i = 0; i < PASSES_A_TURN && !c->paused && !c->ended && !c->dead; i++) {
        r = read_some(c, c->room, CONN_ROOM);
        if (r <= 0)
            break;
        write_now(to, c->room, (size_t)r);
        mem_wipe(c->room, (size_t)r);
        if (conn_out_size(to) > CONN_BACKLOG) {
            c->paused = true;
            conn_deadline(c, c->patience_ms);
        }
        if (was_all(c, (size_t)r, CONN_ROOM))
            break;
    }
    leave(to);
    return r > 0;
}

/* Reads, gives, and says the end once everything was given. */
static void read_turn(struct conn *c)
{
    bool more = false;
    if (c->to) {
        more = pass(c);
    } else {
        more = !c->paused && !c->ended && fill(c);
        give(c);
    }
    if (c->dead || c->closed)
        return;
    if (c->ended && (!c->paused || in_size(c) == 0))
        closed(c, c->why, c->detail);
    else if (more)
        read_held(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    (void)what;
    enter(c);
    if (c->phase == PHASE_HANDSHAKE)
        handshake_step(c);
    else if (c->phase != PHASE_TLS_WAITING)
        read_turn(c);
    c->wants_read_to_write = false;
    if (!c->dead)
        flush(c);
    if (!c->dead)
        watch_input(c);
    leave(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    (void)what;
    enter(c);
    if (c->phase == PHASE_HANDSHAKE)
        handshake_step(c);
    if (c->wants_write_to_read && !c->dead) {
        c->wants_write_to_read = false;
        event_active(c->readable, EV_READ, 0);
    }
    if (!c->dead)
        flush(c);
    leave(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    (void)what;
    enter(c);
    if (c->finishing)
        conn_free(c);
    else
        c->ops->on_timeout(c, c->arg);
    if (!c->dead)
        flush(c);
    leave(c);
}

/* --- the rest --- */

struct conn *conn_new(struct event_base *base, int fd, size_t in_max, const struct conn_ops *ops,
                      void *arg)
{
    struct conn *c = MEM_NEW(struct conn);
    int one = 1;
    *c = (struct conn){.fd = fd, .in_max = in_max, .ops = ops, .arg = arg};
    evutil_make_socket_nonblocking(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    addr_peer(fd, &c->peer);
    c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->timer = evtimer_new(base, on_timer, c);
    event_add(c->readable, NULL);
    return c;
}

void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *arg)
{
    c->ops = ops;
    c->arg = arg;
}

struct str conn_in(const struct conn *c)
{
    return str_skip(buf_view(&c->in), c->in_done);
}

/* Nothing is moved: a client may send very many very short commands at once. */
void conn_consume(struct conn *c, size_t n)
{
    assert(n <= in_size(c));
    c->in_done += n;
    if (c->busy == 0) {
        watch_input(c);
        if (!c->closed && !c->dead)
            read_held(c);
    }
}

void conn_pause(struct conn *c)
{
    c->paused = true;
    if (c->busy == 0)
        watch_input(c);
}

void conn_resume(struct conn *c)
{
    c->paused = false;
    if (c->closed || c->dead)
        return;
    if (c->patience_ms)
        conn_deadline(c, 0);
    event_active(c->readable, EV_READ, 0);
}

void conn_deadline(struct conn *c, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    if (ms > 0 && !c->closed)
        event_add(c->timer, &tv);
    else
        event_del(c->timer);
}

static size_t expect_tls(struct conn *c)
{
    size_t thrown = in_size(c);
    forget_input(c);
    c->phase = PHASE_TLS_WAITING;
    if (c->busy == 0) {
        watch_input(c);
        event_active(c->writable, EV_WRITE, 0);
    }
    return thrown;
}

size_t conn_start_tls(struct conn *c, struct tls_server *t)
{
    c->tls = tls_server_hold(t);
    return expect_tls(c);
}

size_t conn_start_tls_client(struct conn *c, SSL *ssl)
{
    SSL_set_connect_state(ssl);
    c->ssl = ssl;
    return expect_tls(c);
}

bool conn_is_tls(const struct conn *c)
{
    return c->phase == PHASE_TLS;
}

const char *conn_tls_protocol(const struct conn *c)
{
    return conn_is_tls(c) ? SSL_get_version(c->ssl) : "";
}

const char *conn_tls_cipher(const struct conn *c)
{
    return conn_is_tls(c) ? SSL_get_cipher_name(c->ssl) : "";
}

int conn_tls_bits(const struct conn *c)
{
    return conn_is_tls(c) ? SSL_get_cipher_bits(c->ssl, NULL) : 0;
}

const char *conn_tls_doubt(const struct conn *c)
{
    long code = conn_is_tls(c) ? SSL_get_verify_result(c->ssl) : X509_V_OK;
    return code == X509_V_OK ? "" : X509_verify_cert_error_string(code);
}

const char *conn_tls_server_name(const struct conn *c)
{
    const char *name = c->ssl ? SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    return name ? name : "";
}

void conn_pass(struct conn *from, struct conn *to, char *room, int64_t patience_ms)
{
    assert(in_size(from) == 0);
    forget_input(from);
    from->to = to;
    from->room = room;
    from->patience_ms = patience_ms;
}

void conn_finish(struct conn *c)
{
    if (c->dead)
        return;
    if (c->closed || c->phase == PHASE_HANDSHAKE || c->phase == PHASE_TLS_WAITING) {
        conn_free(c); /* nothing said now could be read */
        return;
    }
    c->finishing = true;
    c->to = NULL; /* it may be freed before this one is */
    conn_deadline(c, FINISH_MS);
    conn_pause(c);
    if (c->busy == 0)
        event_active(c->writable, EV_WRITE, 0);
}

const struct addr *conn_peer(const struct conn *c)
{
    return &c->peer;
}

void conn_set_peer(struct conn *c, const struct addr *peer)
{
    c->peer = *peer;
}
