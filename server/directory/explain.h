/* Explaining one question: the code that answers it, with a trace that is told to the asker. */
#ifndef FACTEUR_DIRECTORY_EXPLAIN_H
#define FACTEUR_DIRECTORY_EXPLAIN_H

#include "directory/peer.h"

/* Sends an explain_reply for each line of the trace, and a last one with the answer. */
void explain_run(struct peer *p, const struct msg_explain_ask *m);

#endif
