/* TLS as the client (RFC 3207, RFC 7817 for the names). */
#include "relay/relay.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static int add_authorities(SSL_CTX *ctx, struct str pem, struct err *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *cert;
    size_t n = 0;
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        X509_STORE_add_cert(store, cert);
        X509_free(cert);
        n++;
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the file counts as an error there */
    return n ? 0 : err_perm(e, "smtp_tls_CAfile: no certificate in it");
}

SSL_CTX *tls_context(struct str authorities, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        err_perm(e, "no TLS context");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (authorities.n && add_authorities(ctx, authorities, e) != 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static bool is_address(const char *host)
{
    unsigned char room[16];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

/* Whose certificate it must be: the server's name, or (secure) the destination and the names below
 * it, which no forged MX answer changes. */
static int expect_name(SSL *ssl, const struct client *c, enum tls_level level)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    AUTO_FREE char *host = mem_strdup(level == TLS_SECURE ? c->job->nexthop.host : c->host);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(param, host);
    if (!SSL_set1_host(ssl, host))
        return 0;
    if (level == TLS_VERIFY)
        return 1;
    AUTO_BUF below = {0};
    buf_printf(&below, ".%s", host);
    return SSL_add1_host(ssl, buf_z(&below));
}

SSL *tls_connect(const struct client *c, struct err *e)
{
    enum tls_level level = (enum tls_level)c->settings->cfg->smtp_tls_security_level;
    AUTO_FREE char *host = mem_strdup(c->host);
    SSL *ssl = SSL_new(c->settings->tls);
    int ok = ssl != NULL;
    if (ok && !is_address(host))
        ok = SSL_set_tlsext_host_name(ssl, host) == 1;
    if (ok && level >= TLS_VERIFY) {
        SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
        ok = expect_name(ssl, c, level);
    }
    if (ok)
        return ssl;
    ERR_clear_error();
    SSL_free(ssl);
    err_perm(e, "TLS to %s could not be set up", host);
    return NULL;
}
