/*
 * imap/search: what SEARCH, SORT and THREAD ask for (RFC 3501 6.4.4; RFC 4731, 5032, 5182, 5256,
 * 5957, 7162 3.1.5, 8474 5, 8514 4.3, 9394).
 */
#ifndef FACTEUR_IMAP_SEARCH_H
#define FACTEUR_IMAP_SEARCH_H

#include "protocol/imap/args.h"

enum imap_search_key {
    IMAP_SEARCH_ALL,
    IMAP_SEARCH_AND,     /* kids: all of them */
    IMAP_SEARCH_OR,      /* kids: two */
    IMAP_SEARCH_NOT,     /* kids: one */
    IMAP_SEARCH_SET,     /* message sequence numbers */
    IMAP_SEARCH_UID,     /* UIDs */
    IMAP_SEARCH_FLAG,    /* system flag in number, IMAP_RECENT too */
    IMAP_SEARCH_KEYWORD, /* text */
    IMAP_SEARCH_HEADER,  /* field and text; empty text: the field is there */
    IMAP_SEARCH_BODY,
    IMAP_SEARCH_TEXT,
    IMAP_SEARCH_BEFORE, /* INTERNALDATE, date */
    IMAP_SEARCH_ON,
    IMAP_SEARCH_SINCE,
    IMAP_SEARCH_SENT_BEFORE, /* Date field, date */
    IMAP_SEARCH_SENT_ON,
    IMAP_SEARCH_SENT_SINCE,
    IMAP_SEARCH_LARGER,
    IMAP_SEARCH_SMALLER,
    IMAP_SEARCH_OLDER, /* INTERNALDATE, seconds before now in number (RFC 5032) */
    IMAP_SEARCH_YOUNGER,
    IMAP_SEARCH_MODSEQ, /* at least number (RFC 7162 3.1.5) */
    IMAP_SEARCH_SAVED_BEFORE, /* save date, date (RFC 8514 4.3) */
    IMAP_SEARCH_SAVED_ON,
    IMAP_SEARCH_SAVED_SINCE,
    IMAP_SEARCH_SAVE_DATE_SUPPORTED,
    IMAP_SEARCH_EMAIL_ID, /* text (RFC 8474 5) */
    IMAP_SEARCH_THREAD_ID,
};

struct imap_search {
    enum imap_search_key key;
    struct imap_search *kids; /* list through next */
    struct imap_search *next;
    struct str field, text; /* as sent, in the charset of the command */
    uint64_t number;
    struct imap_date date;
    struct imap_set set;
    /* Of whoever runs the search. */
    bool usual;            /* the field is one of those that are kept of each message */
    const uint8_t *absent; /* bit n: does not fit message n */
};

enum imap_return {
    IMAP_RETURN_MIN = 1,
    IMAP_RETURN_MAX = 2,
    IMAP_RETURN_ALL = 4,
    IMAP_RETURN_COUNT = 8,
    IMAP_RETURN_SAVE = 16,
    IMAP_RETURN_PARTIAL = 32,
};

/* "1:500" or "-1:-100" (RFC 9394 4). */
struct imap_partial {
    uint32_t first, last; /* as written, without the sign */
    bool from_end;
};

enum imap_sort_key {
    IMAP_SORT_ARRIVAL,
    IMAP_SORT_CC,
    IMAP_SORT_DATE,
    IMAP_SORT_FROM,
    IMAP_SORT_SIZE,
    IMAP_SORT_SUBJECT,
    IMAP_SORT_TO,
    IMAP_SORT_DISPLAY_FROM,
    IMAP_SORT_DISPLAY_TO,
};
#define IMAP_SORT_MAX 16 /* criteria of one command */

struct imap_sort {
    enum imap_sort_key key;
    bool reverse;
};

enum imap_thread { IMAP_THREAD_ORDEREDSUBJECT, IMAP_THREAD_REFERENCES };

struct imap_search_command {
    bool extended;      /* RETURN was there: the answer is ESEARCH */
    unsigned returns;   /* enum imap_return bits */
    struct imap_partial partial;
    struct imap_sort sort[IMAP_SORT_MAX];
    size_t sort_count;
    enum imap_thread thread;
    struct str charset; /* empty: none was named */
    bool modseq;        /* a MODSEQ key is there: the answer tells the highest (RFC 7162 3.1.5) */
    struct imap_search *root; /* IMAP_SEARCH_AND */
};

/* Each reads behind the command's name and its space, up to the end of the line. Convenience keys
 * are given as what they mean: NEW is AND(RECENT, NOT SEEN), FROM x is HEADER FROM x.
 *   [RETURN (...) SP] ["CHARSET" SP astring SP] search-key *(SP search-key)
 *   [RETURN (...) SP] "(" sort-criteria ")" SP charset SP search-key *(SP search-key)
 *   thread-alg SP charset SP search-key *(SP search-key) */
int imap_get_search(struct imap_cursor *c, struct arena *a, struct imap_search_command *search);
int imap_get_sort(struct imap_cursor *c, struct arena *a, struct imap_search_command *search);
int imap_get_thread(struct imap_cursor *c, struct arena *a, struct imap_search_command *search);

/* search-key *(SP search-key) up to the end of the line, as one AND. */
int imap_get_search_keys(struct imap_cursor *c, struct arena *a, struct imap_search_command *search);

int imap_get_partial(struct imap_cursor *c, struct imap_partial *p);
/* The places from *from to (not with) *end that a range means among count results, which are
 * counted from 0. */
void imap_partial_bounds(const struct imap_partial *p, size_t count, size_t *from, size_t *end);

#endif
