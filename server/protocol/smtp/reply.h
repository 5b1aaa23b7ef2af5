/*
 * smtp/reply: what a server answers (RFC 5321 section 4.2), and what its EHLO offers (4.1.1.1).
 *
 * Fed line by line; a reply of several lines is put together, bounded. Texts come from outside and
 * are made printable ASCII here, because they will stand in logs and reports.
 */
#ifndef FACTEUR_SMTP_REPLY_H
#define FACTEUR_SMTP_REPLY_H

#include "base/err.h"
#include "base/mem.h"

#define SMTP_REPLY_LINE_MAX 4096 /* RFC 5321 says 512, servers say more */
#define SMTP_REPLY_LINES_MAX 200
#define SMTP_REPLY_TEXT_MAX 700

enum smtp_reply_event { SMTP_REPLY_MORE, SMTP_REPLY_DONE, SMTP_REPLY_BAD };

enum {
    SMTP_OFFERS_PIPELINING = 1,
    SMTP_OFFERS_SIZE = 2,
    SMTP_OFFERS_8BITMIME = 4,
    SMTP_OFFERS_SMTPUTF8 = 8,
    SMTP_OFFERS_STARTTLS = 16,
    SMTP_OFFERS_STATUSES = 32, /* ENHANCEDSTATUSCODES */
    SMTP_OFFERS_DSN = 64,
    SMTP_OFFERS_CHUNKING = 128,
    SMTP_OFFERS_AUTH_PLAIN = 256,
    SMTP_OFFERS_AUTH_LOGIN = 512,
};

struct smtp_reply {
    unsigned code;  /* 200 to 599 */
    char status[16]; /* "5.1.1" when it stands in the first line and is of the code's class, else "" */
    char text[SMTP_REPLY_TEXT_MAX]; /* "550 5.1.1 no such user", lines joined by a blank */
    char first[256]; /* first word of the first line: the name in a greeting or EHLO */
    unsigned lines;
    unsigned offers;  /* SMTP_OFFERS_*: meaningful for EHLO */
    uint64_t size;    /* of SIZE, 0: no fixed limit */
};

/* Takes the next line from *in (and past its end). MORE: feed again, with more input when *in holds
 * no whole line. DONE: *r holds a reply; zero it before the next. BAD: this is no SMTP. */
enum smtp_reply_event smtp_reply_take(struct smtp_reply *r, struct str *in);

/* The SMTP_OFFERS_* of an EHLO keyword in any case, 0 when it is none of them. */
unsigned smtp_offers_of(struct str keyword);

#endif
