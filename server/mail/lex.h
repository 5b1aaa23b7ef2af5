/*
 * The lexical tokens of RFC 822 fields (RFC 5322 section 3.2, RFC 2045 section 5.1), for this room
 * only.
 *
 * A value may hold folds and any byte. CR and LF count as white space; bytes over 0x7f as atom
 * text.
 */
#ifndef FACTEUR_MAIL_LEX_H
#define FACTEUR_MAIL_LEX_H

#include "base/mem.h"

struct mail_lex {
    struct str s;
    size_t at;
    struct str comment; /* inside of the last comment that was skipped; p NULL: none */
};

/* Output space that the caller made as large as the input, which no output exceeds. */
struct mail_lex_out {
    char *p;
    size_t n;
};

/* The byte at the front, -1 at the end. */
int mail_lex_peek(const struct mail_lex *x);
/* Skips white space and comments; false when a comment does not end or is nested too deep (then all
 * is skipped). */
bool mail_lex_cfws(struct mail_lex *x);
/* Takes a run of atom text (with dots: and dots), or of MIME token text; empty: none. */
struct str mail_lex_atom(struct mail_lex *x, bool dots);
struct str mail_lex_token(struct mail_lex *x);
/* Takes a quoted string whose opening quote is at the front, appends it without quoting and line
 * ends; false when it does not end (then all is skipped). */
bool mail_lex_quoted(struct mail_lex *x, struct mail_lex_out *out);
/* Appends text without line ends, and without the backslashes of quoted pairs. */
void mail_lex_unquote(struct mail_lex_out *out, struct str text);
void mail_lex_put(struct mail_lex_out *out, struct str text);

#endif
