/*
 * dovecot-keywords: which keyword a letter a-z in a file name stands for ("0 $Forwarded" lines).
 *
 * Changed only under the folder's uidlist lock, as in Dovecot, and replaced as a whole. Names are ASCII, compared
 * without case. A maildir has room for 26.
 */
#ifndef FACTEUR_STORE_KEYWORDS_H
#define FACTEUR_STORE_KEYWORDS_H

#include "store/name.h"
#include "store/uidlist.h"

#define STORE_KEYWORD_LEN_MAX 100 /* bytes in one keyword */

struct store_keywords {
    char *name[STORE_KEYWORDS_MAX]; /* owned; NULL: the letter is free */
    struct stat seen;
    bool known;    /* read at least once */
    uint32_t used; /* letters seen in file names: one without a name is called "unknown-<n>" */
};

void store_keywords_free(struct store_keywords *k);
/* Reads the file when it changed. Damaged lines are passed over. */
int store_keywords_refresh(struct store_keywords *k, int dir_fd, struct err *e);
/* Notes letters that stand in file names, so that none of them is given to another keyword. */
void store_keywords_note(struct store_keywords *k, uint32_t used);
/* The letter's number of a keyword, or -1. */
int store_keywords_find(const struct store_keywords *k, struct str name);
/* Finds it or gives it the first free letter and writes the file; takes the uidlist's lock unless
 * it is held. 0; -1 and *e: permanent when all 26 are in use or the name is no IMAP atom. */
int store_keywords_add(struct store_keywords *k, struct store_uidlist *u, struct str name,
                       unsigned *letter, struct err *e);

#endif
