/*
 * session/append_binary: a message with binary parts made one that all of IMAP can show (RFC 3516 4.4, 6).
 */
#ifndef FACTEUR_SESSION_APPEND_BINARY_H
#define FACTEUR_SESSION_APPEND_BINARY_H

#include "base/mem.h"

/*
 * Appends the message to out with every part whose Content-Transfer-Encoding is "binary" and that is
 * not lines of text (a NUL, a bare CR or LF) in base64 and labelled so; all else stays byte by byte.
 * False, and nothing in out, when there is no such part.
 */
bool append_binary_encode(struct str message, struct buf *out);

/* Looks for bytes beyond ASCII in the header of a message that comes in pieces. */
struct append_header {
    bool in_line; /* the line at hand is not empty */
    bool ended;
    bool eight_bit;
};
void append_header_look(struct append_header *h, struct str piece);

#endif
