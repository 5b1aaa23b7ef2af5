/*
 * session/thread_id: THREADID (RFC 8474 section 5.2).
 *
 * It is made of the message that began the conversation, as the message itself names it: the first of
 * its References, else of its In-Reply-To, else its own Message-ID. So it is the same in every mailbox,
 * after a rebuild of the index and on another server, and never changes. What it cannot know is a
 * beginning that a reply does not name, where a mail program writes no References.
 */
#ifndef FACTEUR_SESSION_THREAD_ID_H
#define FACTEUR_SESSION_THREAD_ID_H

#include "session/fetch_more.h"

/* fields: of message_usual_fields(). A letter and hexadecimal digits, in out. a: for the moment. A message
 * that names nothing is a conversation of its own, known by its EMAILID. */
struct str imap_threadid(struct imap_session *s, struct arena *a, size_t index, struct str fields,
                         char out[IMAP_EMAILID_SIZE]);

#endif
