/* The search by user_filter, and what its answer means: one entry, none, or "cannot say". */
#ifndef FACTEUR_DIRECTORY_USER_H
#define FACTEUR_DIRECTORY_USER_H

#include "directory/dirset.h"
#include "directory/picture.h"

/* name: in the form that name_login_read gives it. attrs: NULL-terminated, and must live as long as the
 * search; the rest is the arena's. */
struct ldapmap_search user_search(const struct dirset *set, struct arena *a, struct str name,
                                  const char *const *attrs);

/* 0: *out is the only entry, NULL where there is none. -1: a temporary error: several entries, or the
 * directory did not answer with a success. */
int user_read(const struct search_result *r, const struct ldapmap_entry **out, struct err *e);

#endif
