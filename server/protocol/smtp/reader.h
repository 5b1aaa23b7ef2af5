/*
 * smtp/reader: cuts the bytes of an SMTP client into lines (RFC 5321 sections 2.3.8, 4.5.3.1.4).
 *
 * Only CR LF ends a line. A bare CR and a bare LF are told at once, for a client that sends them
 * alone would wait for ever; what other end a peer may see in them is nothing to guess about, so the
 * caller closes. Resumable at any byte; bounded; lines are wiped when done with, and never moved
 * without being wiped, since AUTH carries passwords.
 */
#ifndef FACTEUR_SMTP_READER_H
#define FACTEUR_SMTP_READER_H

#include "base/mem.h"

/* Octets of a command line with its CR LF: 512 in RFC 5321, more for the parameters of extensions
 * (SIZE, AUTH, SMTPUTF8, and whatever clients send that we then refuse by name). */
#define SMTP_LINE_MAX 2048

enum smtp_line {
    SMTP_LINE_MORE,     /* everything was eaten and more is needed */
    SMTP_LINE_DONE,     /* *line is one line without its end; smtp_reader_next() when done with it */
    SMTP_LINE_TOO_LONG, /* it was skipped up to its end */
    SMTP_LINE_NUL,      /* it held a NUL; skipped up to its end */
    SMTP_LINE_BARE_CR,  /* CR without LF: nothing behind it was eaten */
    SMTP_LINE_BARE_LF   /* LF without CR: the same */
};

struct smtp_reader {
    struct buf line;
    size_t max;      /* may be changed between lines; octets, CR LF included */
    size_t auth_max; /* the same for a line that begins with AUTH (RFC 4954 section 4) */
    bool lf_is_end;  /* this client may end lines with a bare LF */
    bool cr;         /* the last octet was CR */
    bool nul, too_long;
};

void smtp_reader_init(struct smtp_reader *r, size_t max, size_t auth_max, bool lf_is_end);
void smtp_reader_free(struct smtp_reader *r);

/* Eats from the front of *in until something is to be said. */
enum smtp_line smtp_reader_feed(struct smtp_reader *r, struct str *in, struct str *line);

/* Wipes the line; the next one is awaited. */
void smtp_reader_next(struct smtp_reader *r);

#endif
