/* What the tests of channels and those of asks share. */
#ifndef FACTEUR_TESTS_IPC_FIXTURE_H
#define FACTEUR_TESTS_IPC_FIXTURE_H

#include "ipc/channel.h"

#include <event2/event.h>

/* What can happen now, happens. */
void ipc_turn(struct event_base *base);
/* With these bytes; the caller's. */
int ipc_memfd(const char *text);

#endif
