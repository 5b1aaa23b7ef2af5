/*
 * session/list_match: mailbox patterns of LIST and LSUB (RFC 3501 6.3.8).
 */
#ifndef FACTEUR_SESSION_LIST_MATCH_H
#define FACTEUR_SESSION_LIST_MATCH_H

#include "base/str.h"

/* "*" matches anything, "%" anything but the separator. INBOX is matched in any case. Time grows
 * with the product of both lengths, which are bounded by LIST_MATCH_MAX; a longer pattern matches
 * nothing. */
#define LIST_MATCH_MAX 1024
bool list_match(struct str pattern, struct str name, char separator);

#endif
