/* The header lines of a mailing list: List-Id (RFC 2919) and List-Post (RFC 2369). Pure. */
#ifndef FACTEUR_MAIL_LIST_H
#define FACTEUR_MAIL_LIST_H

#include "base/mem.h"

/* address: of the list; closed: nobody but its owner, or those it names, may post. Lines end with LF.
 * 0, or -1 past the buffer's bound. */
int mail_list_fields(struct str address, bool closed, struct buf *out);

#endif
