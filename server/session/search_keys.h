/*
 * session/search_keys: what messages are sorted and threaded by, and their dates, made once and then
 * kept in the index; and the usual fields, which are kept as they are.
 *
 * A piece a message has its order (dates, hashes and texts as SORT and THREAD compare them), another one the dates
 * of many. Without an index they are made each time. What SEARCH compares of a field is made each time: writing it
 * costs more than making it.
 */
#ifndef FACTEUR_SESSION_SEARCH_KEYS_H
#define FACTEUR_SESSION_SEARCH_KEYS_H

#include "session/imap.h"
#include "session/message.h"

enum search_text_kind { /* casemapped UTF-8, cut at SEARCH_TEXT_MAX bytes */
    SEARCH_SUBJECT,     /* base subject (RFC 5256 2.1) */
    SEARCH_FROM,        /* addr-mailbox of the first address */
    SEARCH_TO,
    SEARCH_CC,
    SEARCH_DISPLAY_FROM, /* RFC 5957 3 */
    SEARCH_DISPLAY_TO,
    SEARCH_TEXTS,
};
#define SEARCH_TEXT_MAX 1000

struct search_order {
    int64_t sent;      /* the Date field, seconds since 1970 */
    int zone;          /* minutes east, as written there */
    bool dated;        /* there is such a date */
    bool reply;        /* what was taken off the subject marks a reply or a forward */
    uint64_t subject;  /* hash of the whole base subject, casemapped; 0: empty */
    uint64_t id;       /* hash of the Message-ID; 0: none */
    const char *references; /* hashes, oldest first, 8 bytes each, at any address */
    size_t reference_count;
    struct str text[SEARCH_TEXTS];
};

struct search_keys {
    struct imap_session *s;
    struct arena *arena;   /* one message's */
    struct message m;
    uint64_t generation;   /* of the index; the key of the hashes */
    struct buf order, scratch, folded;
    size_t at;             /* whose fields m has, plus 1; 0: nobody's */
    struct search_dates *dates; /* search_dates.c; NULL: not asked for */
};

void search_keys_begin(struct search_keys *k, struct imap_session *s);
void search_keys_end(struct search_keys *k);

/* Views are good until the next call. 0; 1: the message is gone (*out is empty); -1 and *e. */
int search_keys_order(struct search_keys *k, size_t index, struct search_order *out,
                      struct err *e);
/* Of the order sent, zone and dated alone, which costs far less for many messages in the order of UIDs. */
int search_keys_date(struct search_keys *k, size_t index, struct search_order *out, struct err *e);
/* The usual fields (message.h). 0; 1: the message is gone; -1 and *e. */
int search_keys_fields(struct search_keys *k, size_t index, struct str *fields, struct err *e);
/* Keeps the dates that are known now; search_keys_end does so. */
void search_dates_free(struct search_keys *k);

/* Sent date for SORT and THREAD: INTERNALDATE where there is none (RFC 5256 2.2). */
int64_t search_keys_sent(struct search_keys *k, size_t index, const struct search_order *order);

#endif
