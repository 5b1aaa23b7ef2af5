/*
 * session/search_fields: the header fields by which messages are sorted and threaded.
 */
#ifndef FACTEUR_SESSION_SEARCH_FIELDS_H
#define FACTEUR_SESSION_SEARCH_FIELDS_H

#include "session/imap.h"
#include "session/message.h"

enum search_field {
    SEARCH_DATE,
    SEARCH_SUBJECT,
    SEARCH_FROM,
    SEARCH_TO,
    SEARCH_CC,
    SEARCH_MESSAGE_ID,
    SEARCH_IN_REPLY_TO,
    SEARCH_REFERENCES,
    SEARCH_FIELDS,
};

struct search_fields {
    struct imap_session *s;
    unsigned wanted;                /* bit n: enum search_field n */
    struct str value[SEARCH_FIELDS]; /* raw, of the first such field; p NULL: not there */
    struct arena *arena;            /* one message's; for whoever works on them */
    struct message m;
};

void search_fields_begin(struct search_fields *f, struct imap_session *s, unsigned wanted);
/* The fields of a message, good until the next call. 0; 1: the message is gone (no field is there);
 * -1 and *e. */
int search_fields_get(struct search_fields *f, size_t index, struct err *e);
void search_fields_end(struct search_fields *f);

/* Sent date: the Date field as seconds since 1970, else INTERNALDATE (RFC 5256 2.2). After a get. */
int64_t search_fields_sent(struct search_fields *f, size_t index);

#endif
