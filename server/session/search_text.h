/*
 * session/search_text: the text index, asked by searches and filled while the client is silent.
 *
 * A search for text in a folder makes the index want that folder; from then on its messages are added
 * in short slices, each of which ends at once when the client says something.
 */
#ifndef FACTEUR_SESSION_SEARCH_TEXT_H
#define FACTEUR_SESSION_SEARCH_TEXT_H

#include "protocol/imap/search.h"
#include "session/imap.h"

/* Asks the index about the BODY and TEXT keys below root (prepared): key->absent becomes a bit map of
 * the messages, by index, that surely do not fit. Lives in the command's arena. */
void search_text_ask(struct imap_session *s, struct imap_search *root);

/* The client begins to be silent. */
void search_text_silence(struct imap_session *s);
/* When there is work to be done, monotonic ms; INT64_MAX: there is none. */
int64_t search_text_due(const struct imap_session *s);
/* Does a slice of it. */
void search_text_work(struct imap_session *s);

void search_text_free(struct imap_session *s); /* the mailbox is left */

#endif
