/*
 * The answer of somebody who is away (RFC 3834): which mail has none, which of the owner's addresses
 * it was written to, and the text of the answer. Pure. Lines end with LF.
 */
#ifndef FACTEUR_QUEUE_ANSWER_H
#define FACTEUR_QUEUE_ANSWER_H

#include "base/mem.h"

#define ANSWER_HEADER_MAX (64 * 1024) /* bytes of a message's header that are looked at */

/* Why nobody answers mail of this envelope sender with this header by machine (RFC 3834 section 2);
 * NULL: somebody may. */
const char *answer_forbidden(struct arena *a, struct str sender, struct str header);

/* Is the address one of these, one a line? Case counts for nothing, and what stands behind one of
 * the delimiters for nothing where the owner has the address without. *own is that line. */
bool answer_has_address(struct arena *a, struct str addresses, struct str delimiters,
                        struct str address, struct str *own);
/* The one of these addresses that To or Cc (or those of a resent message) name first; false: none. */
bool answer_addressee(struct arena *a, struct str header, struct str addresses,
                      struct str delimiters, struct str *own);

struct answer {
    struct str from, to; /* addresses */
    struct str subject;  /* in UTF-8; empty: made from that of the message */
    struct str text;     /* in UTF-8 */
    struct str header;   /* of the message that is answered */
    struct str host;     /* for the Message-ID */
    uint64_t id;
    int64_t now_ms;
};
void answer_print(struct arena *a, const struct answer *n, struct buf *out);

#endif
