/*
 * A client connection in an event loop: input and output buffers, TLS, one deadline.
 *
 * The owner gets callbacks and never blocks. Output written during a callback is sent in one piece
 * when the callback returns; TCP_NODELAY is on, so no answer waits for an acknowledgement.
 * A conn may be freed inside any of its own callbacks.
 */
#ifndef FACTEUR_IO_CONN_H
#define FACTEUR_IO_CONN_H

#include "base/mem.h"
#include "io/addr.h"
#include "io/tls.h"

#include <event2/event.h>

struct conn;

enum conn_end { CONN_EOF, CONN_ERROR, CONN_TLS_FAILED };

struct conn_ops {
    /* New bytes are in conn_in(); consume what is understood. Called again when more came. */
    void (*on_data)(struct conn *c, void *arg);
    /* All output has left for the kernel. May be NULL. */
    void (*on_drained)(struct conn *c, void *arg);
    /* The handshake is done. */
    void (*on_tls)(struct conn *c, void *arg);
    /* The deadline passed; the conn still works, so that a last reply can be sent. */
    void (*on_timeout)(struct conn *c, void *arg);
    /* The peer is gone; nothing more can be read or written. Free the conn. detail: for the log. */
    void (*on_close)(struct conn *c, void *arg, enum conn_end why, const char *detail);
};

/* Takes ownership of fd. in_max: the most unconsumed input held; reading stops there. */
struct conn *conn_new(struct event_base *base, int fd, size_t in_max, const struct conn_ops *ops,
                      void *arg);
void conn_free(struct conn *c); /* closes at once; NULL is fine */

/* From now on these callbacks, with this argument. */
void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *arg);

/* The unconsumed input. */
struct str conn_in(const struct conn *c);
void conn_consume(struct conn *c, size_t n);

/* Output is queued without bound; watch conn_out_size and pause the source. */
void conn_write(struct conn *c, const void *p, size_t n);
void conn_printf(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t conn_out_size(const struct conn *c);

/* From now on what `from` reads goes straight to `to`, and on_data of `from` is not called; it is paused where
 * more than CONN_BACKLOG bytes wait there (resume it in on_drained of `to`). Nothing may wait in `from` yet. When
 * one is freed the other is freed or finished. patience_ms: where that much has not been taken from `to` for so
 * long, on_timeout of `from` is called, which has no other deadline then; 0: never. room: CONN_ROOM bytes, borrowed; nothing stays in it, so that all of
 * a loop can share it. */
#define CONN_ROOM ((size_t)65536)
#define CONN_BACKLOG ((size_t)65536)
void conn_pass(struct conn *from, struct conn *to, char *room, int64_t patience_ms);

/* No on_data until resumed; resuming calls on_data from the loop when input waits. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c);

/* on_timeout after ms milliseconds; replaces the former deadline; 0 takes it away. */
void conn_deadline(struct conn *c, int64_t ms);

/* Sends what is queued, then starts a TLS handshake as the server. Input that had arrived before is
 * thrown away (RFC 3207 section 4.2, RFC 9051 section 6.2.1): returns how many bytes that were. */
size_t conn_start_tls(struct conn *c, struct tls_server *t);
/* The same as the client: ssl is ours to connect with, and becomes the connection's. */
size_t conn_start_tls_client(struct conn *c, SSL *ssl);
bool conn_is_tls(const struct conn *c);
const char *conn_tls_protocol(const struct conn *c); /* "TLSv1.3"; "" without TLS */
const char *conn_tls_cipher(const struct conn *c);   /* "TLS_AES_256_GCM_SHA384" */
int conn_tls_bits(const struct conn *c);
/* What is wrong with the peer's certificate, where that did not end the handshake; "" when nothing. */
const char *conn_tls_doubt(const struct conn *c);
const char *conn_tls_server_name(const struct conn *c); /* SNI, "" when none */

/* Sends what is queued (at most for 10 s), says goodbye in TLS, closes, frees. No callbacks follow. */
void conn_finish(struct conn *c);

const struct addr *conn_peer(const struct conn *c);
/* The client is another one than the socket's peer: that is a load balancer. */
void conn_set_peer(struct conn *c, const struct addr *peer);

#endif
