/*
 * What a recipient leads to: the class of its domain, aliases of aliases as Postfix expands them
 * (virtual(5): user+extension@domain, then user@domain, then @domain), and the mailboxes at the
 * end.
 */
#ifndef FACTEUR_DIRECTORY_RESOLVE_H
#define FACTEUR_DIRECTORY_RESOLVE_H

#include "directory/box.h"

/* A group that leads to others, as a mailing list. */
struct resolve_list {
    struct str address; /* folded */
    struct str sender;  /* whom its errors go to; empty: its entry names nobody */
    bool closed;        /* only its owner, or those it names, may post */
};

struct resolve_target {
    struct str address; /* the mailbox address the expansion ended at, or a remote one */
    bool remote;        /* no box then */
    bool unknown;       /* a member who does not exist, of a list whose owner can be told; no box */
    struct box box;
    const struct resolve_list *list; /* the one nearest to it that led here; NULL: none */
};

struct resolve_result {
    enum verdict verdict;           /* YES, NO, NOT_HERE, REMOTE (some target is), CANNOT_SAY */
    const char *text;               /* for the client */
    const char *why;                /* for the log; empty with YES */
    /* With YES and REMOTE: no two the same. With NOT_HERE: the address as it became, when it was
     * rewritten. */
    struct resolve_target *targets;
    size_t count;
};

/* Once, possibly from inside resolve_run. The result is valid until fn returns. */
typedef void (*resolve_fn)(void *arg, const struct resolve_result *r);

/* sender: of the message, for lists that not everybody may post to; empty: <>. flags: RESOLVE_* of
 * ipc/message.h. The set is held meanwhile. */
void resolve_run(struct dirset *set, struct str address, struct str sender, unsigned flags,
                 resolve_fn fn, void *arg);

#endif
