/* session/search_order: the messages found, sorted or put into threads (RFC 5256, 5957). */
#ifndef FACTEUR_SESSION_SEARCH_ORDER_H
#define FACTEUR_SESSION_SEARCH_ORDER_H

#include "session/search_run.h"

/* Sorts by the command's criteria. 0, or -1 with a reply set. */
int search_sort(struct imap_session *s, const struct imap_search_command *what,
                struct search_found *found);
/* Sends the THREAD response and sets the reply. */
void search_thread_answer(struct imap_session *s, const struct imap_search_command *what,
                          const struct search_found *found);

#endif
