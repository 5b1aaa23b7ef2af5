/*
 * TLS contexts for servers: several certificates (ECDSA and RSA side by side), SNI, TLS 1.2 and 1.3
 * only, no compression, no renegotiation, tickets with keys that live as long as the context.
 */
#ifndef FACTEUR_IO_TLS_H
#define FACTEUR_IO_TLS_H

#include "base/err.h"
#include "base/str.h"

#include <openssl/ssl.h>

struct tls_server; /* shared by sessions, counted */

/* min_tls13: refuse TLS 1.2. */
struct tls_server *tls_server_new(bool min_tls13);

/* Adds a key and its chain. pem holds a private key and certificates, leaf first, in any order of
 * key and chain. name: "" for the default, "host.example" or ".example" (any name below it) for
 * SNI. 0, or -1 with a permanent error. */
int tls_server_add(struct tls_server *t, struct str name, struct str pem, struct err *e);

bool tls_server_has_certificate(const struct tls_server *t);
struct tls_server *tls_server_hold(struct tls_server *t);
void tls_server_drop(struct tls_server *t); /* NULL is fine */

/* A server-side SSL for one connection; free it with SSL_free before dropping t. */
SSL *tls_server_accept(struct tls_server *t);

#endif
