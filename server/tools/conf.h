/* The parts of facteur conf. */
#ifndef FACTEUR_TOOLS_CONF_H
#define FACTEUR_TOOLS_CONF_H

#include "tools/tools.h"

/* Sets name=value pairs in the file and keeps all else of it: the exit status. */
int conf_edit(const char *file, int count, char **pairs);

#endif
