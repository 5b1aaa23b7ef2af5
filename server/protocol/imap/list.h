/*
 * imap/list: the arguments of LIST with its extensions (RFC 3501 6.3.8, RFC 5258, RFC 5819, RFC 6154,
 * RFC 9051 6.3.9).
 */
#ifndef FACTEUR_IMAP_LIST_H
#define FACTEUR_IMAP_LIST_H

#include "protocol/imap/args.h"

enum imap_list_select {
    IMAP_LIST_SUBSCRIBED = 1,
    IMAP_LIST_REMOTE = 2,
    IMAP_LIST_RECURSIVE = 4,
    IMAP_LIST_SPECIAL_USE = 8,
};

/* Children and special uses are told always; their return options are only taken. */
enum imap_list_return {
    IMAP_RETURN_SUBSCRIBED = 1,
    IMAP_RETURN_CHILDREN = 2,
    IMAP_RETURN_SPECIAL_USE = 4,
    IMAP_RETURN_STATUS = 8,
};

struct imap_list {
    struct str reference;
    struct str *patterns;
    size_t n;
    unsigned select, returns; /* the enums above */
    unsigned status;          /* enum imap_status_item of RETURN (STATUS ...) */
    bool extended;            /* in the form that RFC 5258 brought */
};

/* All that stands behind "LIST". An unknown option is an error (RFC 5258 3). */
int imap_get_list(struct imap_cursor *c, struct arena *a, struct imap_list *list);

#endif
