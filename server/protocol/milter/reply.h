/* What a filter says: packets into structs. Views point into the packet. */
#ifndef FACTEUR_PROTOCOL_MILTER_REPLY_H
#define FACTEUR_PROTOCOL_MILTER_REPLY_H

#include "base/err.h"
#include "protocol/milter/packet.h"

enum milter_says {
    MILTER_ADD_RCPT = '+', MILTER_DELETE_RCPT = '-', MILTER_ADD_RCPT_ARGS = '2',
    MILTER_SHUTDOWN = '4', MILTER_ACCEPT = 'a', MILTER_REPLACE_BODY = 'b', MILTER_CONTINUE = 'c',
    MILTER_DISCARD = 'd', MILTER_CHANGE_SENDER = 'e', MILTER_CONNECTION_FAILS = 'f',
    MILTER_ADD_HEADER = 'h', MILTER_INSERT_HEADER = 'i', MILTER_CHANGE_HEADER = 'm',
    MILTER_PROGRESS = 'p', MILTER_QUARANTINE = 'q', MILTER_REJECT = 'r', MILTER_SKIP = 's',
    MILTER_TEMPFAIL = 't', MILTER_REPLY_CODE = 'y',
};

struct milter_reply {
    enum milter_says says;
    struct str text;  /* an address, a reason, a reply line, a header's name; the body's octets */
    struct str value; /* of a header */
    uint32_t index;   /* of a header */
};

/* 0, or -1 with a permanent error. actions: what was negotiated; a change beyond that is an error. */
int milter_reply_parse(const struct milter_packet *p, uint32_t actions, struct milter_reply *r,
                       struct err *e);

struct milter_terms {
    uint32_t version, actions, protocol;
};
/* The answer to what we offered, of which it must be a part. */
int milter_terms_parse(const struct milter_packet *p, struct milter_terms *t, struct err *e);

/* A reply line of a filter made fit for a client: "550 5.7.1 text", one line of at most n - 1
 * octets, ASCII, "%%" as "%", a status where it lacks one. 0, or -1 with a permanent error when it
 * begins with no 4xx or 5xx. */
int milter_reply_line(struct str text, char *out, size_t n, struct err *e);

/* An address as filters write it: with or without angle brackets. */
struct str milter_address(struct str text);

#endif
