/*
 * Maps that other programs ask by the name of their option: what a key stands for. And tables that
 * are lists of keys and values, inline or in a file, whose keys are compared in lower case.
 */
#ifndef FACTEUR_DIRECTORY_MAPS_H
#define FACTEUR_DIRECTORY_MAPS_H

#include "directory/lookup.h"
#include "ipc/message.h"

#define MAPS_VALUE_MAX 8000 /* messages.def */

/* An option of type MAP that not only the directory sees. */
bool maps_is_named(const struct config_option *o);

/* m->text is "{ … }". 0, or -1 with a permanent error. Values lie in the arena. */
int maps_read_inline(struct arena *a, struct map_source *m, struct err *e);
int maps_read_text(struct arena *a, struct map_source *m, struct str text, struct err *e);
const struct str *maps_pair(const struct map_source *m, struct str key); /* NULL: not there */

struct maps_result {
    enum verdict verdict; /* YES, NO or CANNOT_SAY */
    struct str value;     /* several joined by commas */
    const char *why;      /* for CANNOT_SAY: for the log */
};
typedef void (*maps_fn)(void *arg, const struct maps_result *r);

/* fn comes once, at once or from the event loop. An option that asker (SMTP, …) may not see is
 * "cannot say". */
void maps_run(struct dirset *set, unsigned asker, struct str option, struct str key, maps_fn fn,
              void *arg);

#endif
