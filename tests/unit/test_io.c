/* io/: connections over socket pairs, with and without TLS. */
#include "io/conn.h"
#include "tests/unit/unit.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct side {
    struct event_base *base;
    struct conn *conn;
    struct buf got;
    bool eof, tls, timed_out, drained;
    bool echo, free_in_data;
    size_t in_max; /* 0: much */
};

static void on_data(struct conn *c, void *arg)
{
    struct side *s = arg;
    struct str in = conn_in(c);
    buf_str(&s->got, in);
    if (s->echo)
        conn_write(c, in.p, in.n);
    conn_consume(c, in.n);
    if (s->free_in_data) {
        conn_free(c);
        s->conn = NULL;
        event_base_loopbreak(s->base);
    }
}

static void on_drained(struct conn *c, void *arg)
{
    (void)c;
    ((struct side *)arg)->drained = true;
}

static void on_tls(struct conn *c, void *arg)
{
    (void)c;
    ((struct side *)arg)->tls = true;
}

static void on_timeout(struct conn *c, void *arg)
{
    struct side *s = arg;
    (void)c;
    s->timed_out = true;
    event_base_loopbreak(s->base);
}

static void on_close(struct conn *c, void *arg, enum conn_end why, const char *detail)
{
    struct side *s = arg;
    (void)why;
    (void)detail;
    s->eof = true;
    conn_free(c);
    s->conn = NULL;
    event_base_loopbreak(s->base);
}

static const struct conn_ops ops = {on_data, on_drained, on_tls, on_timeout, on_close};

static int start(struct side *s)
{
    int fds[2];
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    s->base = event_base_new();
    s->conn = conn_new(s->base, fds[0], s->in_max ? s->in_max : 65536, &ops, s);
    return fds[1];
}

static void end(struct side *s)
{
    conn_free(s->conn);
    buf_free(&s->got);
    event_base_free(s->base);
}

static void bytes_before_the_end_are_given(void)
{
    struct side s = {0};
    int peer = start(&s);
    CU_ASSERT(write(peer, "last words", 10) == 10);
    close(peer);
    event_base_dispatch(s.base);
    CU_ASSERT(s.eof);
    UNIT_STR(buf_view(&s.got), "last words");
    end(&s);
}

static void paused_input_waits(void)
{
    struct side s = {0};
    int peer = start(&s);
    conn_pause(s.conn);
    CU_ASSERT(write(peer, "abc", 3) == 3);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(s.got.n == 0);
    conn_resume(s.conn);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    UNIT_STR(buf_view(&s.got), "abc");
    close(peer);
    end(&s);
}

static void take_one(struct conn *c, void *arg)
{
    struct side *s = arg;
    struct str in = conn_in(c);
    buf_add(&s->got, in.p, 1);
    conn_consume(c, 1);
    CU_ASSERT(in.n == 1 || conn_in(c).p == in.p + 1);
    conn_resume(c); /* for the rest */
}

/* Many short commands at once: to take one costs no more when others wait behind it. */
static void consuming_moves_nothing(void)
{
    static const struct conn_ops one_by_one = {take_one, NULL, on_tls, on_timeout, on_close};
    struct side s = {.in_max = 8};
    int peer = start(&s);
    conn_set_ops(s.conn, &one_by_one, &s);
    CU_ASSERT(write(peer, "abcdefghijklmnopqrstuvwxyz", 26) == 26);
    for (int i = 0; i < 40; i++)
        event_base_loop(s.base, EVLOOP_NONBLOCK);
    UNIT_STR(buf_view(&s.got), "abcdefghijklmnopqrstuvwxyz");
    CU_ASSERT(conn_in(s.conn).n == 0);
    close(peer);
    end(&s);
}

/* --- passing on --- */

struct passing {
    struct event_base *base;
    struct conn *from, *to;
    size_t most; /* bytes that waited in to */
    bool ended;
};

static void resume_source(struct conn *c, void *arg)
{
    (void)c;
    conn_resume(((struct passing *)arg)->from);
}

static void end_both(struct conn *c, void *arg, enum conn_end why, const char *detail)
{
    struct passing *p = arg;
    (void)c;
    (void)why;
    (void)detail;
    p->ended = true;
    conn_free(p->from);
    conn_finish(p->to);
    p->from = p->to = NULL;
}

static const struct conn_ops target_ops = {on_data, resume_source, on_tls, on_timeout, end_both};
static const struct conn_ops source_ops = {on_data, NULL, on_tls, on_timeout, end_both};

/* The peers of from and to. */
static void pass_start(struct passing *p, char *room, int peers[2])
{
    int a[2], b[2];
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, a) == 0);
    CU_ASSERT_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b) == 0);
    *p = (struct passing){.base = event_base_new()};
    p->from = conn_new(p->base, a[0], 4096, &source_ops, p);
    p->to = conn_new(p->base, b[0], 4096, &target_ops, p);
    conn_pass(p->from, p->to, room, 0);
    peers[0] = a[1];
    peers[1] = b[1];
}

static char pattern(size_t at)
{
    return (char)(at * 31 + at / 4096);
}

/* The writer is quick and the reader slow: all arrives in its order, and little waits meanwhile. */
static void passed_on_in_order(void)
{
    enum { ALL = 3 << 20 };
    static char piece[50000];
    struct passing p;
    char *room = mem_alloc(CONN_ROOM);
    int peers[2];
    size_t sent = 0, got = 0;
    bool same = true;
    pass_start(&p, room, peers);
    while (got < ALL && same) {
        for (ssize_t r = 1; r > 0 && sent < ALL; sent += r > 0 ? (size_t)r : 0) {
            size_t n = ALL - sent < sizeof piece ? ALL - sent : sizeof piece;
            for (size_t i = 0; i < n; i++)
                piece[i] = pattern(sent + i);
            r = write(peers[0], piece, n);
        }
        if (sent == ALL && peers[0] >= 0) {
            close(peers[0]);
            peers[0] = -1;
        }
        event_base_loop(p.base, EVLOOP_NONBLOCK);
        size_t waits = p.to ? conn_out_size(p.to) : 0;
        p.most = waits > p.most ? waits : p.most;
        ssize_t r = read(peers[1], piece, 20000);
        for (ssize_t i = 0; i < r; i++)
            same &= piece[i] == pattern(got++);
    }
    CU_ASSERT(same && got == ALL);
    event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(p.ended && read(peers[1], piece, 1) == 0);
    CU_ASSERT(p.most > 0 && p.most <= CONN_BACKLOG + CONN_ROOM);
    for (size_t i = 0; i < CONN_ROOM; i++)
        same &= room[i] == 0;
    CU_ASSERT(same);
    close(peers[1]);
    event_base_free(p.base);
    free(room);
}

static void passed_on_to_nobody(void)
{
    struct passing p;
    char *room = mem_alloc(CONN_ROOM);
    int peers[2];
    pass_start(&p, room, peers);
    close(peers[1]);
    CU_ASSERT(write(peers[0], "lost", 4) == 4);
    event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(p.ended && !p.from && !p.to);
    close(peers[0]);
    event_base_free(p.base);
    free(room);
}

static void not_taken(struct conn *c, void *arg)
{
    struct passing *p = arg;
    (void)c;
    p->ended = true;
    event_base_loopbreak(p->base);
}

/* The end of who sends is not seen while nobody takes what he sent; a time for that ends it. */
static void passed_on_to_who_takes_nothing(void)
{
    static const struct conn_ops impatient = {on_data, NULL, on_tls, not_taken, end_both};
    static char piece[50000];
    struct passing p;
    char *room = mem_alloc(CONN_ROOM);
    int peers[2];
    pass_start(&p, room, peers);
    conn_set_ops(p.from, &impatient, &p);
    conn_pass(p.from, p.to, room, 1);
    while (write(peers[0], piece, sizeof piece) > 0)
        event_base_loop(p.base, EVLOOP_NONBLOCK);
    for (int i = 0; i < 10000 && !p.ended; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        event_base_loop(p.base, EVLOOP_NONBLOCK);
    }
    CU_ASSERT(p.ended);
    /* Whoever takes it all is waited for without end. */
    for (int idle = 0; idle < 5; event_base_loop(p.base, EVLOOP_NONBLOCK))
        idle = read(peers[1], piece, sizeof piece) > 0 || conn_out_size(p.to) ? 0 : idle + 1;
    p.ended = false;
    for (int i = 0; i < 3; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        event_base_loop(p.base, EVLOOP_NONBLOCK);
    }
    CU_ASSERT(!p.ended);
    conn_free(p.from);
    conn_free(p.to);
    close(peers[0]);
    close(peers[1]);
    event_base_free(p.base);
    free(room);
}

/* Where each passes to the other, the one whose last words are still to be sent outlives its target. */
static void finish_the_source(struct conn *c, void *arg, enum conn_end why, const char *detail)
{
    struct passing *p = arg;
    (void)c;
    (void)why;
    (void)detail;
    p->ended = true;
    conn_free(p->to);
    conn_finish(p->from);
    p->from = p->to = NULL;
}

static void passed_on_both_ways(void)
{
    static const struct conn_ops both = {on_data, NULL, on_tls, on_timeout, finish_the_source};
    struct passing p;
    char *room = mem_alloc(CONN_ROOM), text[8] = {0};
    int peers[2];
    pass_start(&p, room, peers);
    conn_pass(p.to, p.from, room, 0);
    conn_set_ops(p.from, &both, &p);
    conn_set_ops(p.to, &both, &p);
    CU_ASSERT(write(peers[0], "one", 3) == 3 && write(peers[1], "two", 3) == 3);
    event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(read(peers[1], text, sizeof text) == 3 && memcmp(text, "one", 3) == 0);
    CU_ASSERT(read(peers[0], text, sizeof text) == 3 && memcmp(text, "two", 3) == 0);
    CU_ASSERT(write(peers[0], "more", 4) == 4 && write(peers[1], "bye", 3) == 3); /* "more" is too late */
    close(peers[1]);
    for (int i = 0; i < 3; i++)
        event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(p.ended && read(peers[0], text, sizeof text) == 3 && memcmp(text, "bye", 3) == 0);
    close(peers[0]);
    event_base_free(p.base);
    free(room);
}

static void freed_inside_its_callback(void)
{
    struct side s = {.free_in_data = true};
    int peer = start(&s);
    CU_ASSERT(write(peer, "x", 1) == 1);
    event_base_dispatch(s.base);
    CU_ASSERT(s.conn == NULL);
    close(peer);
    end(&s);
}

static void deadline(void)
{
    struct side s = {0};
    int peer = start(&s);
    conn_deadline(s.conn, 20);
    event_base_dispatch(s.base);
    CU_ASSERT(s.timed_out);
    close(peer);
    end(&s);
}

static void finish_sends_what_is_queued(void)
{
    struct side s = {0};
    int peer = start(&s);
    char text[8] = {0};
    conn_printf(s.conn, "bye%d", 1);
    conn_finish(s.conn);
    s.conn = NULL;
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(read(peer, text, sizeof text) == 4);
    UNIT_STR(str_from(text), "bye1");
    CU_ASSERT(read(peer, text, sizeof text) == 0);
    close(peer);
    end(&s);
}

/* --- TLS --- */

/* A certificate for subject, and a key: the same one where they shall fit. */
static struct buf make_pem_of(EVP_PKEY *subject, EVP_PKEY *key)
{
    struct buf pem = {0};
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, subject);
    X509_sign(cert, subject, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, cert);
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    buf_add(&pem, p, (size_t)n);
    BIO_free(bio);
    X509_free(cert);
    return pem;
}

static struct buf make_pem(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct buf pem = make_pem_of(key, key);
    EVP_PKEY_free(key);
    return pem;
}

static SSL *client(int fd, SSL_CTX **ctx, int max_version)
{
    *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(*ctx, max_version);
    SSL *ssl = SSL_new(*ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    evutil_make_socket_nonblocking(fd);
    return ssl;
}

static void turn(struct side *s, SSL *ssl)
{
    for (int i = 0; i < 20 && s->conn; i++) {
        SSL_do_handshake(ssl);
        event_base_loop(s->base, EVLOOP_NONBLOCK);
    }
}

static struct tls_server *server(void)
{
    struct tls_server *t = tls_server_new(false);
    struct err e = {0};
    AUTO_BUF pem = make_pem();
    CU_ASSERT(tls_server_add(t, STR(""), buf_view(&pem), &e) == 0);
    CU_ASSERT(tls_server_has_certificate(t));
    return t;
}

static void nothing_pipelined_before_tls_survives(void)
{
    struct side s = {.echo = true};
    int peer = start(&s);
    struct tls_server *t = server();
    SSL_CTX *ctx;
    conn_pause(s.conn);
    CU_ASSERT(write(peer, "injected", 8) == 8);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    conn_resume(s.conn);
    conn_pause(s.conn);
    CU_ASSERT(conn_start_tls(s.conn, t) == 0); /* still in the kernel: it breaks the handshake */
    conn_resume(s.conn);
    SSL *ssl = client(peer, &ctx, 0);
    turn(&s, ssl);
    CU_ASSERT(s.got.n == 0);
    CU_ASSERT(s.eof && !s.tls);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(peer);
    end(&s);
    tls_server_drop(t);
}

static void tls_carries_bytes(void)
{
    struct side s = {.echo = true};
    int peer = start(&s);
    struct tls_server *t = server();
    SSL_CTX *ctx;
    char text[8];
    conn_start_tls(s.conn, t);
    SSL *ssl = client(peer, &ctx, 0);
    turn(&s, ssl);
    CU_ASSERT_FATAL(s.tls);
    UNIT_STR(str_from(conn_tls_protocol(s.conn)), "TLSv1.3");
    CU_ASSERT(conn_tls_bits(s.conn) >= 128);
    CU_ASSERT(SSL_write(ssl, "hello", 5) == 5);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(SSL_read(ssl, text, sizeof text) == 5);
    SSL_shutdown(ssl);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(s.eof);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(peer);
    end(&s);
    tls_server_drop(t);
}

static void take_nothing(struct conn *c, void *arg)
{
    (void)c;
    (void)arg;
}

/* Of ten bytes each, in memory that is ssl's. */
static long hundred_records(SSL *ssl, char **bytes)
{
    BIO *sent = BIO_new(BIO_s_mem());
    SSL_set0_wbio(ssl, sent);
    for (int i = 0; i < 100; i++)
        CU_ASSERT(SSL_write(ssl, "0123456789", 10) == 10);
    return BIO_get_mem_data(sent, bytes);
}

/* What OpenSSL has read ahead is given although the descriptor says nothing more of it; a record that
 * is not whole keeps nobody busy. */
static void tls_records_read_ahead(void)
{
    static const struct conn_ops from_outside = {take_nothing, NULL, on_tls, on_timeout, on_close};
    struct side s = {.in_max = 25};
    int peer = start(&s);
    struct tls_server *t = server();
    SSL_CTX *ctx;
    conn_start_tls(s.conn, t);
    SSL *ssl = client(peer, &ctx, 0);
    turn(&s, ssl);
    CU_ASSERT_FATAL(s.tls);
    char *bytes;
    long n = hundred_records(ssl, &bytes);
    CU_ASSERT(write(peer, bytes, (size_t)n) == n);
    for (int i = 0; i < 100; i++)
        event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(s.got.n == 1000);
    buf_clear(&s.got);
    n = hundred_records(ssl, &bytes);
    conn_set_ops(s.conn, &from_outside, &s);
    CU_ASSERT(write(peer, bytes, (size_t)n - 7) == n - 7);
    for (int i = 0; i < 100 && s.conn; i++) {
        event_base_loop(s.base, EVLOOP_NONBLOCK);
        struct str in = conn_in(s.conn);
        buf_str(&s.got, in);
        conn_consume(s.conn, in.n);
    }
    CU_ASSERT(s.got.n == 990);
    conn_set_ops(s.conn, &ops, &s);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(event_base_get_num_events(s.base, EVENT_BASE_COUNT_ACTIVE) == 0);
    CU_ASSERT(write(peer, bytes + n - 7, 7) == 7);
    event_base_loop(s.base, EVLOOP_NONBLOCK);
    CU_ASSERT(s.got.n == 1000);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(peer);
    end(&s);
    tls_server_drop(t);
}

/* So it is with what is passed on; what is left over is waited for without reading again and again. */
static void tls_records_are_passed_on(void)
{
    static const struct conn_ops source = {take_nothing, NULL, take_nothing, on_timeout, end_both};
    struct passing p;
    char *room = mem_alloc(CONN_ROOM), *bytes, got[1001];
    struct tls_server *t = server();
    int peers[2];
    SSL_CTX *ctx;
    pass_start(&p, room, peers);
    conn_set_ops(p.from, &source, &p);
    conn_start_tls(p.from, t);
    SSL *ssl = client(peers[0], &ctx, 0);
    for (int i = 0; i < 20; i++) {
        SSL_do_handshake(ssl);
        event_base_loop(p.base, EVLOOP_NONBLOCK);
    }
    CU_ASSERT_FATAL(conn_is_tls(p.from));
    long n = hundred_records(ssl, &bytes);
    CU_ASSERT(write(peers[0], bytes, (size_t)n - 7) == n - 7);
    for (int i = 0; i < 100; i++)
        event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(read(peers[1], got, sizeof got) == 990);
    CU_ASSERT(event_base_get_num_events(p.base, EVENT_BASE_COUNT_ACTIVE) == 0);
    CU_ASSERT(write(peers[0], bytes + n - 7, 7) == 7);
    event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(read(peers[1], got, sizeof got) == 10);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(peers[0]);
    event_base_loop(p.base, EVLOOP_NONBLOCK);
    CU_ASSERT(p.ended);
    close(peers[1]);
    event_base_free(p.base);
    free(room);
    tls_server_drop(t);
}

static void old_tls_is_refused(void)
{
    struct side s = {0};
    int peer = start(&s);
    struct tls_server *t = server();
    SSL_CTX *ctx;
    conn_start_tls(s.conn, t);
    SSL *ssl = client(peer, &ctx, TLS1_1_VERSION);
    turn(&s, ssl);
    CU_ASSERT(!s.tls && s.eof);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(peer);
    end(&s);
    tls_server_drop(t);
}

static void wrong_pem_is_named(void)
{
    struct tls_server *t = tls_server_new(false);
    struct err e = {0};
    CU_ASSERT(tls_server_add(t, STR(""), STR("nonsense"), &e) == -1);
    CU_ASSERT(e.kind == ERR_PERMANENT && e.log[0]);
    tls_server_drop(t);
}

/* Beside pairs that fit: of the same type, and of another one whose key is already known. */
static void every_key_must_fit(void)
{
    EVP_PKEY *one = EVP_EC_gen("P-256"), *two = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048);
    AUTO_BUF good = make_pem_of(one, one);
    AUTO_BUF same_type = make_pem_of(one, two);
    AUTO_BUF other_type = make_pem_of(rsa, one);
    AUTO_BUF good_rsa = make_pem_of(rsa, rsa);
    const struct buf *bad[] = {&same_type, &other_type};
    for (size_t i = 0; i < 2; i++) {
        struct err e = {0};
        struct tls_server *t = tls_server_new(false);
        CU_ASSERT(tls_server_add(t, STR(""), buf_view(bad[i]), &e) == -1);
        CU_ASSERT(!tls_server_has_certificate(t));
        CU_ASSERT(tls_server_add(t, STR(""), buf_view(&good), &e) == 0);
        CU_ASSERT(tls_server_add(t, STR(""), buf_view(bad[i]), &e) == -1);
        CU_ASSERT(strstr(e.log, "does not fit") != NULL);
        CU_ASSERT(tls_server_add(t, STR(""), buf_view(&good_rsa), &e) == 0);
        tls_server_drop(t);
    }
    EVP_PKEY_free(one);
    EVP_PKEY_free(two);
    EVP_PKEY_free(rsa);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"bytes before the end are given", bytes_before_the_end_are_given},
        {"paused input waits", paused_input_waits},
        {"consuming moves nothing", consuming_moves_nothing},
        {"passed on in order", passed_on_in_order},
        {"passed on to nobody", passed_on_to_nobody},
        {"passed on to who takes nothing", passed_on_to_who_takes_nothing},
        {"passed on both ways", passed_on_both_ways},
        {"a conn freed inside its callback", freed_inside_its_callback},
        {"deadline", deadline},
        {"finish sends what is queued", finish_sends_what_is_queued},
        {"nothing pipelined before TLS survives", nothing_pipelined_before_tls_survives},
        {"TLS carries bytes", tls_carries_bytes},
        {"TLS records read ahead", tls_records_read_ahead},
        {"TLS records are passed on", tls_records_are_passed_on},
        {"TLS 1.1 is refused", old_tls_is_refused},
        {"a wrong PEM file is named", wrong_pem_is_named},
        {"every key must fit its certificate", every_key_must_fit},
        {NULL, NULL},
    };
    return unit_main("io", tests);
}
