/*
 * The client's side of TLS 1.3 (RFC 8446), as little of it as a load needs: each handshake is a full one with
 * X25519, TLS_AES_128_GCM_SHA256 and the server's certificate. Its signature is checked now and then; whose
 * certificate that is, nobody asks. libcrypto does the ciphers; its TLS costs a client several times what a server pays.
 */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_shared; /* what connections have in common: ciphers, and the last certificate */
struct tls;        /* of one connection */

/* How octets come and go; both may wait. Less than 1 octet read, or -1 for what is written: it is gone. */
struct tls_carrier {
    ssize_t (*read)(void *arg, void *to, size_t room);
    int (*write)(void *arg, const void *from, size_t n);
    void *arg;
};

struct tls_shared *tls_shared_new(void);
void tls_shared_free(struct tls_shared *shared);

struct tls *tls_new(struct tls_shared *shared, const struct tls_carrier *carrier);
void tls_free(struct tls *tls); /* NULL is fine; says nothing to the server */

/* All return -1, once and for ever, when the connection is of no more use; tls_why then tells more, otherwise "". */
int tls_handshake(struct tls *tls);
int tls_write(struct tls *tls, const char *data, size_t n);
/* At least one octet, at most room. */
ssize_t tls_read(struct tls *tls, char *to, size_t room);
const char *tls_why(const struct tls *tls);

#endif
