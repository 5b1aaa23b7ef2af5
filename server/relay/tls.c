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
    SSL_CTX_dane_enable(ctx);
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

/* One name of match=. "hostname" is the server's, "nexthop" the destination, "dot-nexthop" what lies
 * below it; a leading dot stands for all names below. */
static int allow_name(SSL *ssl, const struct client *c, struct str word)
{
    AUTO_BUF name = {0};
    if (str_caseeq(word, STR("hostname")))
        buf_str(&name, c->host);
    else if (str_caseeq(word, STR("nexthop")) || str_caseeq(word, STR("dot-nexthop")))
        buf_printf(&name, "%s%.*s", word.n > 7 ? "." : "", STR_FMT(c->job->nexthop.host));
    else
        buf_str(&name, word);
    if (is_address(buf_z(&name)))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), buf_z(&name));
    return SSL_add1_host(ssl, buf_z(&name));
}

/* Whose certificate it must be: the server's name, or (secure) the destination and the names below
 * it, which no forged MX answer changes; or what the policy says. */
static int expect_names(SSL *ssl, const struct client *c)
{
    struct str rest = c->job->policy.match, word;
    int ok = 1;
    if (rest.n == 0)
        rest = c->level == TLS_SECURE ? STR("nexthop:dot-nexthop") : STR("hostname");
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    while (ok && str_token(&rest, ":", &word))
        ok = allow_name(ssl, c, word);
    return ok;
}

/* RFC 7672 section 3.2: usage 2 wants the TLSA base domain, or the destination, as a name in the
 * certificate; usage 3 wants the key and nothing else, no name and no date (3.1.1). */
static int expect_records(SSL *ssl, const struct client *c)
{
    const struct job *j = c->job;
    AUTO_FREE char *base = mem_strdup(j->tlsa_base);
    AUTO_FREE char *destination = mem_strdup(j->nexthop.host);
    AUTO_FREE char *host = mem_strdup(c->host);
    int usable = 0;
    if (SSL_dane_enable(ssl, base) <= 0)
        return 0;
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    for (size_t i = 0; i < j->tlsa_n; i++) {
        const struct tlsa *t = &j->tlsa[i];
        int r = SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->matching,
                                  (const unsigned char *)t->data.p, t->data.n);
        usable += r > 0;
    }
    return usable && SSL_add1_host(ssl, destination) && SSL_add1_host(ssl, host);
}

static int set_versions(SSL *ssl, const struct tls_policy *p)
{
    int ok = 1;
    if (p->min_version > TLS1_2_VERSION)
        ok = (int)SSL_set_min_proto_version(ssl, p->min_version);
    if (ok && p->max_version)
        ok = (int)SSL_set_max_proto_version(ssl, p->max_version);
    return ok;
}

SSL *tls_connect(const struct client *c, struct err *e)
{
    AUTO_FREE char *host = mem_strdup(c->host);
    SSL *ssl = SSL_new(c->settings->tls);
    int ok = ssl != NULL && set_versions(ssl, &c->job->policy);
    if (ok && (c->level >= TLS_VERIFY || c->watched)) {
        SSL_set_verify(ssl, c->watched ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
        ok = c->level == TLS_DANE ? expect_records(ssl, c) : expect_names(ssl, c);
    }
    if (ok && c->level != TLS_DANE && !is_address(host))
        ok = SSL_set_tlsext_host_name(ssl, host) == 1;
    if (ok)
        return ssl;
    ERR_clear_error();
    SSL_free(ssl);
    err_perm(e, "TLS to %s could not be set up", host);
    return NULL;
}
