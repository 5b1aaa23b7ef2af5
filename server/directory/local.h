/* The users of mydestination: the local part of an address there is a login name, and user_filter
 * finds its entry. */
#ifndef FACTEUR_DIRECTORY_LOCAL_H
#define FACTEUR_DIRECTORY_LOCAL_H

#include "directory/box.h"

/* YES: box is filled (arena's); NO: no such user; CANNOT_SAY: why, for the log. */
typedef void (*local_fn)(void *arg, enum verdict verdict, const struct box *box, const char *why);

/* fn comes once, from the event loop or from inside; the set must be held meanwhile. *stale becomes
 * true when an answer is from before an outage. */
void local_run(struct dirset *set, struct arena *a, struct str user, bool *stale, local_fn fn,
               void *arg);

#endif
