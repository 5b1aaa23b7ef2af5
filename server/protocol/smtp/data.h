/*
 * smtp/data: decodes the message behind DATA (RFC 5321 sections 4.1.1.4 and 4.5.2) and in the
 * chunks of BDAT (RFC 3030): CR LF becomes LF, stuffed dots go, the end is found.
 *
 * Only CR LF . CR LF ends DATA. A bare CR or bare LF is never an end of anything; it is remembered
 * (bare_cr, bare_lf) and the message is still read to its true end, so that server and client stay
 * of one mind about where the next command begins. The caller then refuses the message. For clients
 * that may end lines with a bare LF (lf_is_end) a message without a single CR LF may end with
 * LF . LF too; a message that mixes both ends only at CR LF . CR LF.
 *
 * Pure, and resumable at any byte.
 */
#ifndef FACTEUR_SMTP_DATA_H
#define FACTEUR_SMTP_DATA_H

#include "base/str.h"

struct smtp_data {
    int state;
    bool lf_is_end;
    bool bare_cr, bare_lf; /* the message must be refused */
    bool crlf_seen;
    uint64_t size; /* octets of the message as RFC 1870 counts them: CR LF as two, dots un-stuffed */
};

void smtp_data_init(struct smtp_data *d, bool lf_is_end);

/* Eats from the front of *in and writes what it means to out, which must have room for in->n octets.
 * True at the end of the message, and *in stands at what follows; else all of *in is eaten. */
bool smtp_data_feed(struct smtp_data *d, struct str *in, char *out, size_t *out_n);

/* A piece of a BDAT chunk: all of it is eaten, no dot means anything. The same struct over all
 * chunks of a message: a CR LF may be cut in two. */
void smtp_data_chunk(struct smtp_data *d, struct str piece, char *out, size_t *out_n);
/* The last chunk is over: a CR that was left hanging is bare. True when the last line has its LF. */
bool smtp_data_chunks_end(struct smtp_data *d);

#endif
