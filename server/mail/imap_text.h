/*
 * ENVELOPE, BODY and BODYSTRUCTURE as text (RFC 3501 section 7.4.2, RFC 9051 section 7.5.2).
 *
 * Appends to a buffer; 0, or -1 when its bound would be passed (then part of the text may be
 * there).
 */
#ifndef FACTEUR_MAIL_IMAP_TEXT_H
#define FACTEUR_MAIL_IMAP_TEXT_H

#include "mail/mime.h"
#include "mail/rfc5322.h"

enum {
    MAIL_IMAP_UTF8 = 1 /* UTF8=ACCEPT (RFC 6855) or IMAP4rev2: UTF-8 may stand in quoted strings */
};

struct mail_envelope {
    struct str date, subject, in_reply_to, message_id; /* unfolded; p NULL: not there */
    struct mail_addr_list from, sender, reply_to, to, cc, bcc;
};

/* Reads a message's or a header's fields. */
void mail_envelope_parse(struct arena *a, struct str message, struct mail_envelope *out);

/* nstring: NIL when p is NULL, quoted when it can be, else a literal. */
int mail_imap_nstring(struct buf *out, struct str s, unsigned flags);
/* "(date subject from …)"; Sender and Reply-To stand for From when missing. */
int mail_imap_envelope(struct buf *out, const struct mail_envelope *env, unsigned flags);
/* BODYSTRUCTURE (extended) or BODY of a part; message is the whole message's bytes. */
int mail_imap_body(struct buf *out, struct arena *a, struct str message, const struct mail_part *p,
                   bool extended, unsigned flags);

#endif
