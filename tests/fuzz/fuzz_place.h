/* A directory in memory for fuzzers that need files: empty at each call. */
#ifndef FACTEUR_FUZZ_PLACE_H
#define FACTEUR_FUZZ_PLACE_H

#include "base/mem.h"

/* Its descriptor, the caller's. */
int fuzz_place(void);

#endif
