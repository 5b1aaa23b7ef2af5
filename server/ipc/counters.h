/*
 * How many connections each client address has, counted over all programs of a kind without a
 * message: a table of small counters in shared memory, one row a program, written by that program
 * alone. The master makes it and wipes the row of a program that died.
 *
 * Addresses share counters by a keyed hash (IPv6: by /64), so the count is never too low.
 */
#ifndef FACTEUR_IPC_COUNTERS_H
#define FACTEUR_IPC_COUNTERS_H

#include <stdint.h>

#define COUNTERS_ROWS 64

struct counters;

int counters_create(void);                 /* a memfd with an empty table, or -1 and errno */
struct counters *counters_open(int fd);    /* maps it; NULL on failure; fd may be closed then */
void counters_close(struct counters *c);
void counters_wipe(struct counters *c, unsigned row);

/* One more (less) connection of this address in that row; add returns the sum over all rows. */
unsigned counters_add(struct counters *c, unsigned row, const unsigned char ip[16]);
void counters_sub(struct counters *c, unsigned row, const unsigned char ip[16]);

/* All connections, over all rows. */
unsigned counters_total(const struct counters *c);

#endif
