/* Passwords come from the terminal, or from standard input where that is none; never from argv. */
#ifndef FACTEUR_TOOLS_PROMPT_H
#define FACTEUR_TOOLS_PROMPT_H

#include "base/mem.h"

#define PROMPT_PASSWORD_MAX 1000

/* One line without its end; what is typed is not shown. 0, or -1 when there is none. */
int prompt_password(const char *prompt, struct secret *out);

#endif
