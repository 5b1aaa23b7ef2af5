/*
 * Who a client says it is, in the messages of mechanisms that are relayed and not otherwise understood:
 * for the log and for counting wrong passwords, never for letting anybody in. Known are SCRAM-* (RFC
 * 5802), CRAM-MD5 (RFC 2195), OAUTHBEARER (RFC 7628) and XOAUTH2.
 */
#ifndef FACTEUR_PROTOCOL_SASL_CLAIM_H
#define FACTEUR_PROTOCOL_SASL_CLAIM_H

#include "base/str.h"

#define SASL_CLAIM_MAX 320 /* a longer one is cut */

/* A view of room; empty where this message does not show it, or the mechanism is another. */
struct str sasl_claim(struct str mechanism, struct str said, char room[SASL_CLAIM_MAX]);

#endif
