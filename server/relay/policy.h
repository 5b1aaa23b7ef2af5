/*
 * How TLS is used towards a destination: the levels, the values of smtp_tls_policy_maps, the keys
 * such a map is asked by, and what TLSA records say (RFC 6698, RFC 7672). Pure.
 */
#ifndef FACTEUR_RELAY_POLICY_H
#define FACTEUR_RELAY_POLICY_H

#include "base/err.h"
#include "base/mem.h"

enum tls_level { /* as in options.def */
    TLS_NONE, TLS_MAY, TLS_ENCRYPT, TLS_VERIFY, TLS_SECURE, TLS_DANE, TLS_DANE_ONLY
};

struct tls_policy {
    enum tls_level level;
    struct str match; /* names a certificate may have, ':' between; empty: as the level says */
    int min_version, max_version; /* of OpenSSL; 0: no bound but our own */
    struct str ignored;           /* the last attribute that was left out of account; or empty */
};

/* "level attribute=value …" as Postfix writes it: match=, protocols=; ciphers=, exclude= and
 * connection_reuse= are passed over. Views into text. 0, or -1 with a permanent error. */
int tls_policy_parse(struct str text, struct tls_policy *out, struct err *e);
const char *tls_level_name(enum tls_level level);

#define TLS_POLICY_KEYS 12
/* The destination as written, then (for a domain) its parents with a dot before them. */
size_t tls_policy_keys(struct str destination, struct str keys[TLS_POLICY_KEYS]);

struct tlsa {
    uint8_t usage, selector, matching;
    struct str data;
};
/* One record's data (RFC 6698 section 2.1); true when SMTP can use it (RFC 7672 section 3.1). */
bool tlsa_read(struct str rdata, struct tlsa *out);

#endif
