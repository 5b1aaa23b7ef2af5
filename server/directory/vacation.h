/*
 * What the senders of mail for a mailbox are told while its owner is away: account.h says when, and
 * the entry is read once more for the words and for all addresses of the owner.
 */
#ifndef FACTEUR_DIRECTORY_VACATION_H
#define FACTEUR_DIRECTORY_VACATION_H

#include "directory/dirset.h"
#include "ipc/message.h"

struct vacation_result {
    enum verdict verdict; /* YES: away; NO; CANNOT_SAY */
    const char *why;      /* for the log; empty with YES and NO */
    struct str subject;   /* may be empty */
    struct str text;
    struct str addresses; /* one a line; those with "*" are none */
};

/* Once, possibly from inside vacation_run. The result is valid until fn returns. */
typedef void (*vacation_fn)(void *arg, const struct vacation_result *r);

/* address: of the mailbox. The set must be held meanwhile; all lies in the arena. */
void vacation_run(struct dirset *set, struct arena *a, struct str address, vacation_fn fn,
                  void *arg);

#endif
