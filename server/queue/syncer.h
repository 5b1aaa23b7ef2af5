/*
 * Several files made durable at once: each fsync(2) ends with a wait for the disk to empty its cache,
 * and waits at the same time are one wait for it, while waits one after the other are as many as there
 * are files. The threads do nothing else, and are there from the first time that they are needed.
 */
#ifndef FACTEUR_QUEUE_SYNCER_H
#define FACTEUR_QUEUE_SYNCER_H

#include <stddef.h>

struct queue_syncer;

struct queue_syncer *queue_syncer_new(void);
void queue_syncer_free(struct queue_syncer *s); /* NULL is fine */

/* Waits until all are on the disk: 0, or -1 and errno of one that is not. For one caller at a time. */
int queue_syncer_run(struct queue_syncer *s, const int *fds, size_t n);

#endif
