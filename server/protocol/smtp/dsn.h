/*
 * smtp/dsn: the values of RFC 3461's parameters (NOTIFY, RET, ORCPT, ENVID) and their xtext. Pure.
 *
 * ENVID and ORCPT are kept as they were said, for they are passed on unchanged (section 5.2); what a
 * report shows is decoded (RFC 3464 sections 2.2.1 and 2.3.1).
 */
#ifndef FACTEUR_SMTP_DSN_H
#define FACTEUR_SMTP_DSN_H

#include "base/mem.h"
#include "base/str.h"

#define SMTP_ENVID_MAX 100 /* RFC 3461 section 4.4 */
#define SMTP_ORCPT_MAX 500 /* section 4.2 */

enum { /* when the sender of a recipient wants to hear; none of them: nothing was said */
    SMTP_NOTIFY_SUCCESS = 1,
    SMTP_NOTIFY_FAILURE = 2,
    SMTP_NOTIFY_DELAY = 4,
    SMTP_NOTIFY_NEVER = 8,
};

enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };

/* 0: no value of NOTIFY. */
unsigned smtp_notify_parse(struct str value);
void smtp_notify_print(unsigned notify, struct buf *out);
enum smtp_ret smtp_ret_parse(struct str value);

/* xtext that stands for printable ASCII and blanks, of at most SMTP_ENVID_MAX octets. */
bool smtp_envid_is_sound(struct str value);
/* "rfc822;xtext", "utf-8;…" (RFC 6533 section 3) or another type, fit to stand in a header. */
bool smtp_orcpt_is_sound(struct str value);
/* Decodes sound xtext. */
void smtp_xtext_decode(struct str xtext, struct buf *out);
void smtp_xtext_encode(struct str text, struct buf *out);

#endif
