/*
 * session/search_run: what SEARCH, SORT and THREAD share: finding the messages, the extended answer
 * (RFC 4731, 5267, 9394), and the saved result "$" (RFC 5182).
 */
#ifndef FACTEUR_SESSION_SEARCH_RUN_H
#define FACTEUR_SESSION_SEARCH_RUN_H

#include "protocol/imap/search.h"
#include "session/imap.h"

/* Messages as indexes of the view, in the order of the answer; free with search_found_free. */
struct search_found {
    uint32_t *v;
    size_t n, cap;
};
void search_found_free(struct search_found *f);

/* Checks the charset and makes the keys ready. 0, or -1 with a reply set. */
int search_begin(struct imap_session *s, struct imap_search_command *what);
/* Finds the messages, in the order of the mailbox; only as many as the answer needs when sorted is
 * not set. 0, or -1 with a reply set. */
int search_find(struct imap_session *s, const struct imap_search_command *what, bool sorted,
                struct search_found *found);

/* A message's number in the answers of this command: sequence number or UID. */
uint32_t search_number(struct imap_session *s, uint32_t index);
/* The answer: "* NAME 1 2 3", or ESEARCH where RETURN asked for it; saves what is to be saved. */
void search_answer(struct imap_session *s, const struct imap_search_command *what,
                   const char *name, const struct search_found *found);

/* What the session saved is empty now. */
void search_forget(struct imap_session *s);
/* The mailbox is left: nothing is saved (RFC 5182 2.1), nothing known of its text. */
void search_leave(struct imap_session *s);

#endif
