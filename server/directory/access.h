/* The tables of smtpd_*_restrictions (access(5)): which keys are looked for, and in which order. */
#ifndef FACTEUR_DIRECTORY_ACCESS_H
#define FACTEUR_DIRECTORY_ACCESS_H

#include "directory/find.h"

/* Reads every table that the restrictions name into the set: 0, or -1 with a permanent error that
 * names the option. */
int access_read(struct dirset *s, const struct bundle *b, struct err *e);
void access_free(struct dirset *s);

/* Asks the table with this text, as the options have it; fn as in find.h. kind: ACCESS_* of
 * ipc/message.h. A table that no option names cannot say. */
void access_run(struct dirset *s, struct arena *a, struct str table, unsigned kind,
                struct str subject, find_fn fn, void *arg);

#endif
