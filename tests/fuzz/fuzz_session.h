/* Whole sessions as the session program holds them, from bytes in memory, on a maildir in memory. */
#ifndef FACTEUR_FUZZ_SESSION_H
#define FACTEUR_FUZZ_SESSION_H

#include "base/str.h"
#include "session/session.h"

void fuzz_session(int run(int, int, const struct session_settings *), struct str bytes);

#endif
