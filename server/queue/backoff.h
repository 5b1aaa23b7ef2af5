/* When a recipient is tried again: a pause that doubles with every attempt, within bounds. Pure. */
#ifndef FACTEUR_QUEUE_BACKOFF_H
#define FACTEUR_QUEUE_BACKOFF_H

#include <stdint.h>

/* Milliseconds until the next attempt after that many failed ones (0: not tried by the queue
 * yet), from bounds in seconds. random moves it by up to an eighth either way, so that what
 * failed together does not come back together; the result stays within max_s and above zero. */
int64_t queue_backoff_ms(int64_t min_s, int64_t max_s, uint32_t attempts, uint32_t random);

#endif
