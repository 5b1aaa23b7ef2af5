/* Clocks: one that only goes forward for limits, one that people read for names and headers. */
#ifndef FACTEUR_BASE_CLOCK_H
#define FACTEUR_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void); /* milliseconds, never steps back */
int64_t clock_real_us(void); /* microseconds since 1970, may jump */

#endif
