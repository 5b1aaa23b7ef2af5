/*
 * imap/write: strings as the grammar wants them in an answer, and mailbox names in modified UTF-7
 * (RFC 3501 5.1.3). All return 0, or -1 when the buffer is full.
 */
#ifndef FACTEUR_IMAP_WRITE_H
#define FACTEUR_IMAP_WRITE_H

#include "base/mem.h"

/* Quoted where it can be, else a literal; NUL, which no string may hold, becomes 0x80. */
int imap_write_string(struct buf *b, struct str s);
/* An atom where it can be, else as above. */
int imap_write_astring(struct buf *b, struct str s);
/* The same with UTF-8 between the quotes (RFC 6855 3, RFC 9051 9); never an atom. */
int imap_write_utf8(struct buf *b, struct str s);
/* Text for people in a response line: one line, no controls, a question mark for each. */
int imap_write_text(struct buf *b, struct str s);

/* Modified UTF-7 to UTF-8: 0, -1 when it is not well formed (wrong base64, what could have been
 * written plainly, a lone surrogate, NUL). */
int imap_utf7_decode(struct buf *out, struct str in);
/* UTF-8 to modified UTF-7: 0, -1 when it is not well-formed UTF-8. */
int imap_utf7_encode(struct buf *out, struct str in);

#endif
