/*
 * Several searches of one moment as one: (|(mail=a@b)(mail=@b)(maildrop=a@b)). Only filters of the
 * form ATTRIBUTE=VALUE are joined, below one base over one connection. Whose an entry is, is read
 * from its values, and only where that is certain: a value with the very bytes asked for is a match,
 * one with other letters is none. Where case, blanks, letters beyond ASCII, or an attribute that the
 * reader may not see leave a doubt, that part is asked alone; so the answers are always the
 * server's.
 */
#ifndef FACTEUR_DIRECTORY_JOIN_H
#define FACTEUR_DIRECTORY_JOIN_H

#include "directory/dirset.h"

struct join;

/* Lies in the arena; it and the set must outlive the calls of all fn. */
struct join *join_new(struct dirset *set, struct arena *a);

/* As picture_search, but nothing happens before join_send. label and key: for the trace. False: it
 * was sent already, and nothing was taken. */
bool join_add(struct join *j, struct searcher *s, const struct ldapmap_search *what, unsigned flags,
              struct str label, struct str key, search_fn fn, void *arg);
void join_send(struct join *j);

/* Would searches of these two tables be joined? */
bool join_fits(const struct ldapmap_table *x, const struct ldapmap_table *y);

#endif
