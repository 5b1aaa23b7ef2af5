/* The reply to a refused recipient: a status and the words of whoever refused. */
#ifndef FACTEUR_PROTOCOL_SMTP_REFUSAL_H
#define FACTEUR_PROTOCOL_SMTP_REFUSAL_H

#include "base/mem.h"

/* "550 5.1.1 <path>: WHATtext". text: of whoever refused, taken when it is fit for a reply line (RFC
 * 5321 section 4.2: ASCII), else why. An enhanced status (RFC 3463) of the same class at the start of
 * the text is more exact than that of status and stands in its place. */
void smtp_refusal_print(struct buf *out, const char *status, struct str path, const char *what,
                        const char *why, struct str text);

#endif
