/*
 * The client's connection, the one to its session, those to servers, and timers, in memory. As in io/conn.c an
 * owner may free the connection in any callback, and hears of its end only when everything was given.
 */
#include "fake_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct conn {
    struct event_base *world;
    struct conn *next; /* an older one */
    const struct conn_ops *ops;
    void *arg;
    struct buf in, out;
    size_t in_max;
    int64_t deadline;
    bool tls, waits_for_tls, paused, dead, closed;
    struct conn *to; /* what is read goes there */
    struct addr peer;
};

struct event {
    struct event_base *world;
    struct event *next, **link;
    int fd;
    short what;
    event_callback_fn fn;
    void *arg;
    bool added;
};

void fake_broken(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

struct event_base fake_begin(const uint8_t how[3], struct str script)
{
    return (struct event_base){.script = script, .step = how[0] & 16 ? how[0] & 15u : 1u << (how[0] & 15u),
                               .luck = (uint8_t)(how[1] - '0'), .leaves_early = how[2] & 1,
                               .falls_silent = how[2] & 2};
}

/* --- dice --- */

uint32_t fake_dice(struct event_base *w, uint32_t n)
{
    if (w->luck == 0)
        return 0;
    w->luck = w->luck * 1664525u + 1013904223u;
    return (w->luck >> 8) % n;
}

struct str fake_words(struct event_base *w, size_t max)
{
    if (w->luck == 0 || w->script.n == 0)
        return STR("");
    struct str from = str_skip(w->script, fake_dice(w, (uint32_t)w->script.n));
    return str_head(from, fake_dice(w, (uint32_t)max + 1));
}

/* --- the connection --- */

static void said(struct conn *c)
{
    struct event_base *w = c->world;
    w->speaker = c;
    if (c == w->session)
        buf_str(&w->passed, buf_view(&c->out));
    else
        fake_heard(w, buf_view(&c->out));
    buf_clear(&c->out);
}

static bool flush(struct conn *c)
{
    if (c->out.n == 0 || c->dead || c->closed)
        return false;
    said(c);
    c->ops->on_drained(c, c->arg);
    return true;
}

static void sweep_list(struct conn **at)
{
    while (*at) {
        struct conn *c = *at;
        if (!c->dead) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        buf_free(&c->in);
        buf_free(&c->out);
        free(c);
    }
}

static void sweep(struct event_base *w)
{
    sweep_list(&w->conn);
    sweep_list(&w->session);
}

/* The next octets of the client; whether there were any. */
static bool take(struct conn *c)
{
    struct event_base *w = c->world;
    struct str left = str_skip(w->script, w->said);
    ptrdiff_t lf = str_find(left, '\n');
    size_t n = w->step ? w->step : lf < 0 ? left.n : (size_t)lf + 1;
    size_t room = c->in.n < c->in_max ? c->in_max - c->in.n : 0;
    struct str piece = str_head(str_head(left, n), room);
    if (c->paused || (w->step == 0 && c->in.n))
        return false;
    buf_str(c->to ? &c->to->out : &c->in, piece);
    w->said += piece.n;
    return piece.n > 0;
}

static bool give(struct conn *c)
{
    size_t before = c->in.n;
    if (c->paused || before == 0)
        return false;
    c->ops->on_data(c, c->arg);
    return c->dead || c->in.n < before;
}

static bool end(struct conn *c)
{
    struct event_base *w = c->world;
    if (w->said < w->script.n || (c->paused && (c->in.n || !w->leaves_early)))
        return false;
    if (w->falls_silent && c->deadline > 0) {
        c->deadline = 0;
        c->ops->on_timeout(c, c->arg);
    } else {
        c->closed = true;
        c->ops->on_close(c, c->arg, CONN_EOF, "closed");
    }
    return true;
}

static bool start_tls(struct conn *c)
{
    if (!c->waits_for_tls)
        return false;
    c->waits_for_tls = false;
    if (c->world->servers && fake_dice(c->world, 4) == 3) {
        c->closed = true;
        c->ops->on_close(c, c->arg, CONN_TLS_FAILED, "handshake");
        return true;
    }
    c->tls = true;
    c->ops->on_tls(c, c->arg);
    return true;
}

/* A server goes, or falls silent, in the middle. */
static bool mishap(struct conn *c)
{
    uint32_t how = c->world->servers ? fake_dice(c->world, 300) : 0;
    if (how < 298)
        return false;
    if (how == 298 && c->deadline > 0) {
        c->ops->on_timeout(c, c->arg);
    } else {
        c->closed = true;
        c->ops->on_close(c, c->arg, CONN_ERROR, "reset");
    }
    return true;
}

/* The session says something, or ends. */
static bool session_step(struct conn *s)
{
    struct event_base *w = s->world;
    struct str words;
    bool flushed = flush(s);
    if (s->dead || s->closed || s->paused)
        return flushed;
    words = fake_words(w, 200);
    conn_write(s->to, words.p, words.n);
    if (fake_dice(w, 8) != 7)
        return flushed;
    s->closed = true;
    s->ops->on_close(s, s->arg, CONN_EOF, "closed");
    return true;
}

static bool step(struct conn *c)
{
    if (c->dead || c->closed)
        return false;
    if (mishap(c))
        return true;
    bool flushed = flush(c), taken = !c->waits_for_tls && take(c);
    bool happened = start_tls(c) || give(c) || taken || flushed || end(c);
    flush(c);
    return happened;
}

bool fake_conn_step(struct event_base *w)
{
    bool happened = false;
    sweep(w);
    if (w->session && session_step(w->session)) {
        sweep(w);
        return true;
    }
    for (struct conn *c = w->conn; c && !happened; c = c->next)
        happened = step(c);
    sweep(w);
    return happened;
}

struct conn *conn_new(struct event_base *base, int fd, size_t in_max, const struct conn_ops *ops,
                      void *arg)
{
    struct conn *c = MEM_NEW(struct conn), **at = base->servers || !base->conn ? &base->conn : &base->session;
    REQUIRE(base->servers ? fd >= 0 : fd == -1 && !base->session);
    *c = (struct conn){.world = base, .ops = ops, .arg = arg, .in_max = in_max, .next = *at};
    *at = c;
    if (fd >= 0)
        close(fd);
    return c;
}

void conn_free(struct conn *c)
{
    if (c && c == c->world->session)
        said(c); /* how much of it has left is not what is tried here */
    if (c)
        c->dead = true;
}

void conn_finish(struct conn *c)
{
    if (!c->closed)
        said(c);
    c->dead = true;
}

void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *arg)
{
    c->ops = ops;
    c->arg = arg;
}

void conn_pass(struct conn *from, struct conn *to, char *room, int64_t patience_ms)
{
    REQUIRE(from->in.n == 0 && room && patience_ms >= 0);
    from->to = to;
}

struct str conn_in(const struct conn *c)
{
    return buf_view(&c->in);
}

void conn_consume(struct conn *c, size_t n)
{
    REQUIRE(n <= c->in.n);
    buf_consume(&c->in, n);
}

void conn_write(struct conn *c, const void *p, size_t n)
{
    if (!c->dead && !c->closed)
        buf_add(&c->out, p, n);
}

void conn_printf(struct conn *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!c->dead && !c->closed)
        buf_vprintf(&c->out, fmt, ap);
    va_end(ap);
}

size_t conn_out_size(const struct conn *c)
{
    return c->out.n;
}

void conn_pause(struct conn *c)
{
    c->paused = true;
}

void conn_resume(struct conn *c)
{
    c->paused = false;
}

void conn_deadline(struct conn *c, int64_t ms)
{
    c->deadline = ms;
}

/* What came before the handshake is thrown away (RFC 3207 section 4.2). */
size_t conn_start_tls(struct conn *c, struct tls_server *t)
{
    size_t thrown = c->in.n;
    (void)t;
    buf_clear(&c->in);
    c->waits_for_tls = true;
    return thrown;
}

bool conn_is_tls(const struct conn *c)
{
    return c->tls;
}

const char *conn_tls_protocol(const struct conn *c)
{
    return c->tls ? "TLSv1.3" : "";
}

const char *conn_tls_cipher(const struct conn *c)
{
    return c->tls ? "TLS_AES_256_GCM_SHA384" : "";
}

int conn_tls_bits(const struct conn *c)
{
    return c->tls ? 256 : 0;
}

const char *conn_tls_server_name(const struct conn *c)
{
    (void)c;
    return "";
}

const struct addr *conn_peer(const struct conn *c)
{
    return &c->peer;
}

void conn_set_peer(struct conn *c, const struct addr *peer)
{
    c->peer = *peer;
}

bool tls_server_has_certificate(const struct tls_server *t)
{
    (void)t;
    return true;
}

/* --- timers: no time passes before one's turn comes --- */

bool fake_timer_step(struct event_base *w)
{
    struct event *e = w->timers;
    while (e && !e->added)
        e = e->next;
    if (!e)
        return false;
    e->added = false;
    e->fn(e->fd, e->what && fake_dice(w, 8) < 7 ? e->what : EV_TIMEOUT, e->arg);
    return true;
}

struct event *event_new(struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn,
                        void *arg)
{
    struct event *e = MEM_NEW(struct event);
    REQUIRE(what == 0 ? fd == -1 : what == EV_WRITE && base->servers);
    *e = (struct event){.world = base, .next = base->timers, .link = &base->timers, .fd = fd, .what = what,
                        .fn = fn, .arg = arg};
    if (e->next)
        e->next->link = &e->next;
    base->timers = e;
    return e;
}

int event_add(struct event *e, const struct timeval *tv)
{
    (void)tv;
    e->added = true;
    return 0;
}

void event_free(struct event *e)
{
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    free(e);
}
