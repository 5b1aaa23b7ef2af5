/* Clocks: one that only goes forward for limits, one that people read for names and headers. */
#ifndef FACTEUR_BASE_CLOCK_H
#define FACTEUR_BASE_CLOCK_H

#include "base/str.h"

int64_t clock_mono_ms(void); /* milliseconds, never steps back */
int64_t clock_real_us(void); /* microseconds since 1970, may jump */
int64_t clock_up_us(void);   /* since the machine started */

/* A GeneralizedTime of a directory, "20261224120000Z" (RFC 4517 section 3.3.13): seconds since 1970,
 * fractions left out. 0, or -1 when it is none. */
int clock_generalized(struct str text, int64_t *seconds);

#endif
