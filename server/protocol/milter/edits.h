/*
 * What filters changed, on its way from filter to smtp: pieces in a sealed memfd, each a tag, a
 * 32-bit length (little-endian), and octets. The header comes whole, for each filter in a row worked
 * on what the one before had made of it.
 */
#ifndef FACTEUR_PROTOCOL_MILTER_EDITS_H
#define FACTEUR_PROTOCOL_MILTER_EDITS_H

#include "base/err.h"
#include "base/mem.h"

enum milter_edit {
    MILTER_EDIT_HEADER = 'H',     /* the header from now on, without its empty line */
    MILTER_EDIT_BODY = 'B',       /* the body from now on */
    MILTER_EDIT_SENDER = 'F',     /* the envelope sender from now on */
    MILTER_EDIT_ADD_RCPT = '+',
    MILTER_EDIT_DELETE_RCPT = '-',
    MILTER_EDIT_QUARANTINE = 'Q', /* held, for this reason */
};

#define MILTER_EDIT_TEXT_MAX 1000 /* octets of an address or a reason */

void milter_edits_add(struct buf *out, enum milter_edit tag, struct str octets);
/* Takes the next piece from *rest: 1; 0 at the end; -1 for what is no piece. */
int milter_edits_next(struct str *rest, enum milter_edit *tag, struct str *octets);

#endif
