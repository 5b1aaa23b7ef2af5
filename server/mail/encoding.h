/*
 * Transfer encodings, charsets, encoded words, and folding for search (RFC 2045, 2047, 2231, 5051).
 *
 * Decoders take their input in pieces of any size, and never refuse: what is damaged is passed over
 * or kept, and remembered in the state. A struct mail_conv owns the open charset converters of one
 * process; there is no other state.
 */
#ifndef FACTEUR_MAIL_ENCODING_H
#define FACTEUR_MAIL_ENCODING_H

#include "base/mem.h"

/* --- base64 (RFC 2045 section 6.8, RFC 4648) --- */
struct mail_base64 {
    uint32_t acc;
    unsigned bits;
};
/* Decodes a piece; out has room for in.n + 1 bytes. Returns the bytes written. What is not of the
 * alphabet is passed over (RFC 2045 section 6.8), missing bits at the end too. */
size_t mail_base64_decode(struct mail_base64 *s, struct str in, char *out);
/* Appends the encoding, a CR LF after every 76 characters when lines is true. 0, or -1 past the
 * bound. */
int mail_base64_encode(struct buf *out, struct str in, bool lines);

/* --- quoted-printable (RFC 2045 section 6.7) --- */
#define MAIL_QP_SLACK 80
struct mail_qp {
    char held[MAIL_QP_SLACK]; /* blanks that may end the line, or the start of "=XX" */
    unsigned held_n;
};
/* Decodes a piece; out has room for in.n + MAIL_QP_SLACK bytes. Trailing blanks of a line are
 * dropped. */
size_t mail_qp_decode(struct mail_qp *s, struct str in, char *out);
/* What was held back at the end of the input; out has room for MAIL_QP_SLACK bytes. */
size_t mail_qp_end(struct mail_qp *s, char *out);

/* --- charsets --- */
struct mail_conv;
struct mail_conv *mail_conv_new(void);
void mail_conv_free(struct mail_conv *c);
/* Opens the usual charsets now, for a process that is about to enter an empty root. */
void mail_conv_preload(struct mail_conv *c);
/* True when the charset can be converted. */
bool mail_conv_known(struct mail_conv *c, struct str charset);
/* Appends in as UTF-8. What does not convert becomes U+FFFD. An unknown or empty charset: taken as
 * UTF-8 when it is, else each 8-bit byte becomes U+FFFD. 0, or -1 past the bound (what fits is
 * there). */
int mail_conv_utf8(struct mail_conv *c, struct str charset, struct str in, struct buf *out);

/* Appends a header value with its encoded words decoded to UTF-8 and its folds taken out (RFC 2047
 * section 6). What is no valid word stays. 0, or -1 past the bound. */
int mail_words_decode(struct mail_conv *c, struct str value, struct buf *out);
/* Appends UTF-8 text as a header value: as it is where it is ASCII, else in encoded words (RFC 2047
 * section 2) on lines of their own, which end in LF. 0, or -1 past the bound. */
int mail_words_encode(struct str utf8, struct buf *out);
struct str mail_words_text(struct arena *a, struct mail_conv *c, struct str value);

/* --- folding for SEARCH and SORT --- */
/* Appends i;unicode-casemap (RFC 5051) of UTF-8 text; damaged bytes are kept. 0, or -1. */
int mail_casemap(struct str utf8, struct buf *out);
/* True when needle (already casemapped) stands in text (not yet). scratch is overwritten. */
bool mail_casemap_contains(struct str text, struct str needle, struct buf *scratch);

#endif
