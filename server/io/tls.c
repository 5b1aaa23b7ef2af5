/*
 * TLS contexts. One SSL_CTX a name: the default one holds the settings, the others are chosen by
 * the SNI callback (RFC 6066 section 3).
 */
#include "io/tls.h"
#include "base/map.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

struct tls_server {
    unsigned holders;
    bool min_tls13;
    bool has_certificate;
    SSL_CTX *fallback;
    struct map *by_name; /* lower-cased name → SSL_CTX */
};

/* Forward secrecy and authenticated encryption only (RFC 9325 section 4.2). */
static const char tls12_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
/* Its mandatory one first (RFC 8446 section 9.1), which is enough: of the others' hash, handshakes are slower. */
static const char tls13_ciphers[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static struct str lowered(struct str name, char out[256])
{
    size_t n = name.n < 256 ? name.n : 255;
    memcpy(out, name.p, n);
    str_lower(out, n);
    return (struct str){out, n};
}

static SSL_CTX *find_name(const struct tls_server *t, struct str name)
{
    char low[256];
    name = lowered(name, low);
    SSL_CTX *ctx = map_get(t->by_name, name);
    for (size_t i = 1; !ctx && i < name.n; i++)
        if (name.p[i] == '.')
            ctx = map_get(t->by_name, str_skip(name, i));
    return ctx;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_server *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *ctx = find_name(t, str_from(name));
    if (!ctx)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context_new(struct tls_server *t)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx)
        abort();
    SSL_CTX_set_min_proto_version(ctx, t->min_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                 SSL_OP_CLEANSE_PLAINTEXT); /* passwords are in it */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cipher_list(ctx, tls12_ciphers);
    SSL_CTX_set_ciphersuites(ctx, tls13_ciphers);
    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384");
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"facteur", 7);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets only */
    SSL_CTX_set_num_tickets(ctx, 1); /* it may be used again: no state tells */
    SSL_CTX_set_read_ahead(ctx, 1);  /* a record in one read, not two */
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    return ctx;
}

struct tls_server *tls_server_new(bool min_tls13)
{
    struct tls_server *t = MEM_NEW(struct tls_server);
    t->holders = 1;
    t->min_tls13 = min_tls13;
    t->by_name = map_new();
    t->fallback = context_new(t);
    return t;
}

static int openssl_error(struct err *e, const char *what)
{
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    return err_perm(e, "%s: %s", what, text);
}

/* A key for whose type the context already has a pair would be taken for that one, so each is held
 * against the certificate it came with. */
static int use_key(SSL_CTX *ctx, X509 *cert, struct str pem, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    BIO_free(bio);
    if (!key)
        return openssl_error(e, "no private key without a passphrase");
    bool ok = X509_check_private_key(cert, key) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    return ok ? 0 : openssl_error(e, "the private key does not fit the certificate");
}

/* The rest of the chain, for the certificate that was used last. */
static int use_issuers(SSL_CTX *ctx, BIO *bio)
{
    X509 *cert;
    SSL_CTX_clear_chain_certs(ctx); /* of this key type */
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
            X509_free(cert);
            return -1;
        }
    }
    ERR_clear_error(); /* the end of the file counts as an error there */
    return 0;
}

static int use_pair(SSL_CTX *ctx, struct str pem, struct err *e)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int r = -1;
    if (!cert || SSL_CTX_use_certificate(ctx, cert) != 1 || use_issuers(ctx, bio) != 0)
        openssl_error(e, "no usable certificate");
    else
        r = use_key(ctx, cert, pem, e);
    X509_free(cert);
    BIO_free(bio);
    return r;
}

int tls_server_add(struct tls_server *t, struct str name, struct str pem, struct err *e)
{
    SSL_CTX *ctx = t->fallback;
    char low[256];
    if (pem.n > 1024 * 1024)
        return err_perm(e, "certificate file larger than 1 MiB");
    if (name.n) {
        name = lowered(name, low);
        ctx = map_get(t->by_name, name);
        if (!ctx) {
            ctx = context_new(t);
            map_put(t->by_name, name, ctx);
        }
    }
    if (use_pair(ctx, pem, e) != 0)
        return -1;
    t->has_certificate = t->has_certificate || name.n == 0;
    return 0;
}

bool tls_server_has_certificate(const struct tls_server *t)
{
    return t->has_certificate;
}

struct tls_server *tls_server_hold(struct tls_server *t)
{
    t->holders++;
    return t;
}

static void free_context(void *ctx)
{
    SSL_CTX_free(ctx);
}

void tls_server_drop(struct tls_server *t)
{
    if (!t || --t->holders > 0)
        return;
    map_free(t->by_name, free_context);
    SSL_CTX_free(t->fallback);
    free(t);
}

SSL *tls_server_accept(struct tls_server *t)
{
    SSL *ssl = SSL_new(t->fallback);
    if (!ssl)
        abort();
    SSL_set_accept_state(ssl);
    return ssl;
}
