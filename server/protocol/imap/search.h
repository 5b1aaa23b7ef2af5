/*
 * imap/search: the tree that SEARCH asks for (RFC 3501 6.4.4).
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
};

struct imap_search {
    enum imap_search_key key;
    struct imap_search *kids; /* list through next */
    struct imap_search *next;
    struct str field, text; /* as sent, in the charset of the command */
    uint64_t number;
    struct imap_date date;
    struct imap_set set;
};

struct imap_search_command {
    struct str charset; /* empty: none was named */
    struct imap_search *root; /* IMAP_SEARCH_AND */
};

/* ["CHARSET" SP astring SP] search-key *(SP search-key) up to the end of the line. Convenience keys
 * are given as what they mean: NEW is AND(RECENT, NOT SEEN), FROM x is HEADER FROM x. */
int imap_get_search(struct imap_cursor *c, struct arena *a, struct imap_search_command *search);

#endif
