/*
 * sasl: the server side of SASL PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), as SMTP
 * AUTH (RFC 4954) and IMAP AUTHENTICATE (RFC 3501 6.2.2, RFC 4959) carry it: base64, line by line.
 *
 * Pure: lines in, challenges and credentials out. It checks no password. User and password lie in
 * guarded memory and are wiped by sasl_free; the lines given are the caller's to wipe.
 */
#ifndef FACTEUR_SASL_H
#define FACTEUR_SASL_H

#include "base/mem.h"

/* Octets of one line, line end included (RFC 4954 section 4). */
#define SASL_LINE_MAX 12288
/* Octets of a user name and of a password, decoded. */
#define SASL_USER_MAX 1000
#define SASL_PASSWORD_MAX 4000

/* What EHLO's AUTH line and CAPABILITY offer. */
#define SASL_MECHANISMS "PLAIN LOGIN"

enum sasl_event {
    SASL_CONTINUE,  /* send challenge (base64, may be empty), give the answer to sasl_step */
    SASL_DONE,      /* user and password are there */
    SASL_RELAY,     /* message is for who knows the mechanism; sasl_relay_challenge goes on */
    SASL_RELAYED,   /* the client has heard the last word of a relayed exchange */
    SASL_CANCELLED, /* the client sent "*" */
    SASL_UNKNOWN,   /* no such mechanism */
    SASL_WRONG,     /* not base64, or not what the mechanism wants; wrong says why */
    SASL_REFUSED,   /* well formed and not allowed: another authzid, an empty password; wrong: why */
    SASL_NO_MEMORY  /* guarded memory cannot be had now */
};

struct sasl {
    struct secret_pool *pool;
    struct secret user, password; /* neither is empty nor with a NUL inside after SASL_DONE */
    const char *challenge;        /* for SASL_CONTINUE; valid until the next step */
    struct secret message;        /* SASL_RELAY: the client's, decoded; user is who it says it is */
    bool has_message;             /* SASL_RELAY: it has said something, be it empty */
    char mechanism[24];           /* relayed: its name in capitals */
    struct buf encoded;           /* where challenge lies then */
    const char *wrong;            /* a literal, for the log and the client */
    int state;
};

/* Begins. initial: the initial response as it stands in the command (base64; "=" is an empty one),
 * or NULL when the command has none. pool: where guarded memory comes from, or NULL. *s need not be
 * initialised; sasl_free it whatever comes. */
enum sasl_event sasl_start(struct sasl *s, struct secret_pool *pool, struct str mechanism,
                           const struct str *initial);

/* The same for a mechanism that is not known here and relayed: SASL_RELAY, or an error. */
enum sasl_event sasl_relay_start(struct sasl *s, struct secret_pool *pool, struct str mechanism,
                                 const struct str *initial);
/* What the other side answered: the challenge for the client. Where that is the last word, SASL_RELAYED
 * follows the client's answer. */
enum sasl_expects {
    SASL_EXPECTS_MORE,
    SASL_EXPECTS_NOTHING, /* the last word; an empty answer */
    SASL_EXPECTS_ANYTHING /* the last word of a refusal (RFC 7628 section 3.2.3); whatever comes */
};
enum sasl_event sasl_relay_challenge(struct sasl *s, struct str data, enum sasl_expects next);

/* The client's next line, without its line end. */
enum sasl_event sasl_step(struct sasl *s, struct str line);

/* Wipes and frees; safe to call again. */
void sasl_free(struct sasl *s);

#endif
