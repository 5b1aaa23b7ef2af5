/*
 * session/fetch_more: EMAILID and THREADID (RFC 8474), SAVEDATE (RFC 8514), PREVIEW (RFC 8970).
 */
#ifndef FACTEUR_SESSION_FETCH_MORE_H
#define FACTEUR_SESSION_FETCH_MORE_H

#include "protocol/imap/fetch.h"
#include "session/imap.h"
#include "session/message.h"

/* A message of at most this many bytes is read for PREVIEW (LAZY), a larger one answers NIL until its preview is
 * known. */
#define FETCH_SMALL ((size_t)64 << 10)

/* Sends EMAILID, THREADID or SAVEDATE; for THREADID the message's usual fields have been read. */
void fetch_more_send(struct imap_session *s, struct arena *a, size_t index, struct message *m,
                     const struct imap_fetch_item *item);
/* Is this such a piece? */
bool fetch_preview_is_one(struct str piece);
/* Sends PREVIEW: piece is what the index has of it; p NULL: nothing. Then the message has been read, or NIL is
 * sent. */
void fetch_preview_send(struct imap_session *s, struct arena *a, size_t index, struct message *m,
                        struct str piece);

/* The EMAILID of a message, for SEARCH too: a letter and hexadecimal digits. */
#define IMAP_EMAILID_SIZE 34
struct str imap_emailid(struct imap_session *s, size_t index, char out[IMAP_EMAILID_SIZE]);

/* The first words of a message, at most 200 characters of UTF-8 on one line; empty when it has no
 * text. */
void imap_preview(struct mail_conv *c, struct arena *a, struct message *m, struct buf *out);

#endif
