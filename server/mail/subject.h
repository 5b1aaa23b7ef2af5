/*
 * Base subjects, by which SORT and THREAD compare messages (RFC 5256 section 2.1).
 *
 * The steps are those of the RFC, written so that each byte is looked at a bounded number of times.
 */
#ifndef FACTEUR_MAIL_SUBJECT_H
#define FACTEUR_MAIL_SUBJECT_H

#include "mail/encoding.h"

#define MAIL_SUBJECT_MAX 65536 /* bytes of a decoded subject that count */

/* Appends the base subject of a raw Subject value, in UTF-8 with its case kept. *reply (may be NULL):
 * something that marks a reply or a forward was taken off. 0, or -1 past the bound of out. */
int mail_subject_base(struct mail_conv *c, struct str value, struct buf *out, bool *reply);

#endif
