/*
 * SASL mechanisms that carry an OAuth 2.0 bearer token: OAUTHBEARER (RFC 7628), and XOAUTH2, which some
 * providers and older clients have instead. The client says all in one message; who is refused is told
 * why in JSON, answers something, and is refused for good.
 *
 * Pure: octets in, views and text out. Tokens are not judged here.
 */
#ifndef FACTEUR_PROTOCOL_SASL_BEARER_H
#define FACTEUR_PROTOCOL_SASL_BEARER_H

#include "base/err.h"
#include "base/mem.h"

#define SASL_BEARER_USER_MAX 320
#define SASL_TOKEN_MAX 8000

struct sasl_bearer {
    char user[SASL_BEARER_USER_MAX + 1]; /* who the client says it is; may be empty */
    struct str token;                    /* of the alphabet of RFC 6750 section 2.1; a view */
};

/* OAUTHBEARER or XOAUTH2, in any case. */
bool sasl_is_bearer(struct str mechanism);

/* Reads the client's message: 0, or -1 with a permanent error. */
int sasl_bearer_parse(struct str mechanism, struct str said, struct sasl_bearer *out, struct err *e);

enum sasl_bearer_fault { SASL_BEARER_REQUEST, SASL_BEARER_TOKEN, SASL_BEARER_SCOPE };
/* Appends what a client that is refused is told (RFC 7628 section 3.2.2). scope: what tokens must be
 * for, may be empty. */
void sasl_bearer_refuse(struct buf *out, struct str mechanism, enum sasl_bearer_fault fault,
                        struct str scope);

#endif
