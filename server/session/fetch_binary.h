/*
 * session/fetch_binary: body parts without their transfer encoding (RFC 3516).
 */
#ifndef FACTEUR_SESSION_FETCH_BINARY_H
#define FACTEUR_SESSION_FETCH_BINARY_H

#include "protocol/imap/fetch.h"
#include "session/imap.h"
#include "session/message.h"

/* Can all BINARY items of this message be decoded? 0, or -1 and a permanent *e (UNKNOWN-CTE). The
 * message has been read. */
int fetch_binary_check(struct arena *a, struct message *m, const struct imap_fetch *what,
                       struct err *e);
/* Sends "BINARY[...] {n}" and the bytes ("~{n}" where there is a NUL among them), or
 * "BINARY.SIZE[...] n". */
void fetch_binary_send(struct imap_session *s, struct arena *a, struct message *m,
                       const struct imap_fetch_item *item);

#endif
