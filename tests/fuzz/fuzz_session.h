/* Whole sessions as the session program holds them, from bytes in memory, on a maildir in memory. */
#ifndef FACTEUR_FUZZ_SESSION_H
#define FACTEUR_FUZZ_SESSION_H

#include "base/str.h"
#include "session/session.h"

/* Settings for a session on a maildir with two messages, whose descriptor is the caller's. */
void fuzz_session_begin(struct session_settings *set);
/* One session whose client says these bytes and leaves; its exit status. */
int fuzz_session_run(int run(int, int, const struct session_settings *), const struct session_settings *set,
                     struct str bytes);
/* Both together. */
void fuzz_session(int run(int, int, const struct session_settings *), struct str bytes);

#endif
