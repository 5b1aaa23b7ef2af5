/*
 * session/fetch_section: the bytes of a body section as a literal (RFC 3501 6.4.5, 7.4.2).
 */
#ifndef FACTEUR_SESSION_FETCH_SECTION_H
#define FACTEUR_SESSION_FETCH_SECTION_H

#include "protocol/imap/fetch.h"
#include "session/imap.h"
#include "session/message.h"

/* True when the header of the message is enough to answer it. */
bool fetch_section_needs_header_only(const struct imap_section *section);

/* True when the usual fields (message_usual_fields) are enough, which the index may have. */
bool fetch_section_is_usual(const struct imap_section *section);
void fetch_section_send_usual(struct imap_session *s, const struct imap_section *section,
                              struct str fields);

/* Sends "BODY[...] {n}" and the bytes, with CR LF line ends. What the section needs has been read. */
void fetch_section_send(struct imap_session *s, struct arena *a, struct message *m,
                        const struct imap_section *section);

#endif
