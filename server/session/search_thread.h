/*
 * session/search_thread: messages put into threads (RFC 5256, THREAD).
 *
 * Knows nothing of mailboxes: it is told of each message, in the order of the mailbox, and writes the
 * answer. Memory grows with the messages and their references, time with n log n; no depth of a
 * thread costs stack. Message-IDs and subjects are known by 64-bit hashes only.
 */
#ifndef FACTEUR_SESSION_SEARCH_THREAD_H
#define FACTEUR_SESSION_SEARCH_THREAD_H

#include "base/mem.h"
#include "protocol/imap/search.h"

/* References of one message that count: the last ones, which are nearest to it; no more are handed in. */
#define SEARCH_THREAD_REFERENCES_MAX 1000

struct search_thread;

struct search_thread_message {
    uint32_t number;   /* what the answer says: sequence number or UID */
    int64_t date;      /* sent date, seconds since 1970 */
    uint64_t subject;  /* hash of the base subject; 0: empty */
    bool reply;        /* what was taken off the subject marks a reply or forward */
    uint64_t id;       /* hash of the Message-ID; 0: none */
    const void *references; /* such hashes, 8 bytes each, at any address, oldest first */
    size_t reference_count;
};

struct search_thread *search_thread_new(enum imap_thread how);
void search_thread_free(struct search_thread *t); /* NULL is fine */
void search_thread_add(struct search_thread *t, const struct search_thread_message *m);
/* Makes the threads. Call once. */
void search_thread_finish(struct search_thread *t);
/* Appends the next thread, "(3 6 (4 23)(44 7 96))"; false when there are no more. */
bool search_thread_next(struct search_thread *t, struct buf *out);

#endif
