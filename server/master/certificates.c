/* Certificates and keys: read, tried, and put into the bundle of those who speak TLS. */
#include "io/tls.h"
#include "ipc/bundle.h"
#include "mail/hostname.h"
#include "master/material.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct certificates {
    const struct material *m;
    struct tls_server *trial;
    struct buf *out;
    struct findings *f;
};

/* The first certificate of the chain is the server's own. name: the one it is chosen by, or empty. */
static void check_certificate(struct certificates *c, const char *what, struct str name,
                              struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (cert && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        finding_warning(c->f, "%s: the certificate has expired", what);
    if (cert && X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        finding_warning(c->f, "%s: the certificate is not valid yet", what);
    if (cert && name.n && X509_check_host(cert, name.p, name.n, 0, NULL) != 1)
        finding_warning(c->f, "%s: the certificate is not for %.*s", what, STR_FMT(name));
    X509_free(cert);
    BIO_free(bio);
}

static void take_piece(struct certificates *c, const char *what, struct str name, struct str pem)
{
    struct err e = {0};
    char piece[300];
    if (tls_server_add(c->trial, name, pem, &e) != 0) {
        finding_error(c->f, "%s: %s", what, e.log);
        return;
    }
    check_certificate(c, what, name, pem);
    snprintf(piece, sizeof piece, "tls:%.*s", STR_FMT(str_head(name, 255)));
    bundle_add(c->out, str_from(piece), pem);
}

static char *absolute(const struct material *m, struct str path)
{
    AUTO_BUF b = {0};
    if (path.n && path.p[0] != '/')
        buf_printf(&b, "%s/", m->dir);
    buf_str(&b, path);
    return mem_strdup(buf_view(&b));
}

static void take_file(struct certificates *c, const char *option, struct str name, struct str path)
{
    AUTO_FREE char *file = absolute(c->m, path);
    AUTO_BUF pem = {0};
    AUTO_BUF what = {0};
    buf_printf(&what, "%s: %s", option, file);
    if (file_read(c->m, option, file, true, &pem, c->f) == 0)
        take_piece(c, buf_z(&what), name, buf_view(&pem));
    mem_wipe(pem.p, pem.n);
}

/* As in Postfix, a certificate without a key file of its own holds the key too. */
static void take_pair(struct certificates *c, const char *option, const char *key_option,
                      struct str cert, struct str key)
{
    AUTO_BUF pem = {0};
    if (cert.n == 0 && key.n)
        finding_error(c->f, "%s: is given without %s", key_option, option);
    if (cert.n == 0)
        return;
    if (key.n == 0) {
        take_file(c, option, STR(""), cert);
        return;
    }
    AUTO_FREE char *cert_file = absolute(c->m, cert), *key_file = absolute(c->m, key);
    int r = file_read(c->m, option, cert_file, false, &pem, c->f);
    r |= buf_byte(&pem, '\n');
    r |= file_read(c->m, key_option, key_file, true, &pem, c->f);
    if (r == 0)
        take_piece(c, key_option, STR(""), buf_view(&pem));
    mem_wipe(pem.p, pem.n);
}

/* "mail.example.org", or ".example.org" for the names below it: what a client says is a host's name in
 * ASCII (RFC 6066 section 3), so nothing else would ever be chosen. */
static bool is_name(struct str name)
{
    return hostname_is_valid(name.p[0] == '.' ? str_skip(name, 1) : name);
}

static void take_sni_pair(struct certificates *c, const char *option, struct str pair)
{
    ptrdiff_t eq = str_find(pair, '=');
    struct str name = str_head(pair, eq < 0 ? 0 : (size_t)eq);
    if (eq <= 0 || (size_t)eq + 1 == pair.n)
        finding_error(c->f, "%s: \"%.*s\" is not DOMAIN=FILE", option, STR_FMT(pair));
    else if (!is_name(name))
        finding_error(c->f, "%s: \"%.*s\" is no name that a client could ask for, as "
                      "mail.example.org, or .example.org for all names below it",
                      option, STR_FMT(str_head(name, 300)));
    else
        take_file(c, option, name, str_skip(pair, (size_t)eq + 1));
}

static void check_needed(struct certificates *c)
{
    const struct config *cfg = c->m->cfg;
    const struct {
        const char *name;
        int64_t port;
        bool from_start;
    } ports[] = {
        {"submissions_port", cfg->submissions_port, true},
        {"imaps_port", cfg->imaps_port, true},
        {"pop3s_port", cfg->pop3s_port, true},
        {"submission_port", cfg->submission_port, false},
        {"imap_port", cfg->imap_port, false},
        {"pop3_port", cfg->pop3_port, false},
    };
    if (c->f->errors || tls_server_has_certificate(c->trial))
        return;
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        if (ports[i].port && ports[i].from_start)
            finding_error(c->f, "%s: needs a certificate (smtpd_tls_chain_files), or 0 for none",
                          ports[i].name);
        else if (ports[i].port)
            finding_warning(c->f, "%s: nobody can log in there without a certificate "
                                  "(smtpd_tls_chain_files)",
                            ports[i].name);
    }
}

void certificates_add(const struct material *m, struct buf *out, struct findings *f)
{
    const struct config *cfg = m->cfg;
    struct certificates c = {m, tls_server_new(false), out, f};
    for (size_t i = 0; i < cfg->smtpd_tls_chain_files.n; i++)
        take_file(&c, "smtpd_tls_chain_files", STR(""), cfg->smtpd_tls_chain_files.v[i]);
    take_pair(&c, "smtpd_tls_cert_file", "smtpd_tls_key_file", cfg->smtpd_tls_cert_file,
              cfg->smtpd_tls_key_file);
    take_pair(&c, "smtpd_tls_eccert_file", "smtpd_tls_eckey_file", cfg->smtpd_tls_eccert_file,
              cfg->smtpd_tls_eckey_file);
    for (size_t i = 0; i < cfg->tls_server_sni_maps.n; i++)
        take_sni_pair(&c, "tls_server_sni_maps", cfg->tls_server_sni_maps.v[i]);
    check_needed(&c);
    tls_server_drop(c.trial);
}
