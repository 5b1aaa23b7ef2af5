/* The kinds of programs under the master, and which of them are linked. */
#ifndef FACTEUR_MASTER_KINDS_H
#define FACTEUR_MASTER_KINDS_H

#include "config/config.h"

/* In the order they are started: a program stands after those it asks. */
enum kind {
    KIND_DIRECTORY, KIND_FILTER, KIND_RELAY, KIND_QUEUE, KIND_DELIVER, KIND_SESSION, KIND_SMTP, KIND_ACCESS,
    KINDS
};

#define CHILDREN_MAX (5 + 128 + 64 + 64)

unsigned kind_program(enum kind k);   /* DIRECTORY, QUEUE, … */
const char *kind_name(enum kind k);   /* "directory"; also the program's file */
bool kind_is_front(enum kind k);      /* takes connections: has listeners, counters */
bool kind_has_empty_root(enum kind k);
bool kinds_linked(enum kind a, enum kind b);
/* How many of that kind the configuration wants; at least 1. */
unsigned kind_count(enum kind k, const struct config *cfg);
/* The kind that serves a port of that service (enum service of ipc/message.h). */
enum kind kind_of_service(unsigned service);

#endif
