/*
 * pop3/reader: cuts the bytes of a POP3 client into lines (RFC 1939 section 3, RFC 2449 section 4).
 *
 * Pure and resumable at any byte. CR LF ends a line, and so does a bare LF; a CR elsewhere belongs
 * to the line. Bounded; lines are wiped when done with and never moved without being wiped, since they
 * carry passwords.
 */
#ifndef FACTEUR_POP3_READER_H
#define FACTEUR_POP3_READER_H

#include "base/mem.h"

/* Octets of a command line, its end included (RFC 2449 section 4). */
#define POP3_LINE_MAX 255

enum pop3_event {
    POP3_MORE, /* everything was eaten and more is needed */
    POP3_LINE, /* *line is one line without its end; pop3_reader_next() when done with it */
    POP3_WRONG /* the line was too long or held a NUL and was skipped to its end; wrong says so */
};

struct pop3_reader {
    struct buf line;
    size_t max;        /* octets, the end included; may be changed between lines */
    const char *wrong; /* a literal, for the client */
};

void pop3_reader_init(struct pop3_reader *r, size_t max);
void pop3_reader_free(struct pop3_reader *r); /* fine on a zeroed one */

/* Eats from the front of *in until something is to be said. */
enum pop3_event pop3_reader_feed(struct pop3_reader *r, struct str *in, struct str *line);

/* Wipes the line; the next one is awaited. */
void pop3_reader_next(struct pop3_reader *r);

#endif
