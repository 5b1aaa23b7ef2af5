/* The subcommands of the facteur command: each gets its own arguments, argv[0] being its name, and
 * returns an exit status. */
#ifndef FACTEUR_TOOLS_TOOLS_H
#define FACTEUR_TOOLS_TOOLS_H

#include "config/config.h"

int tool_check(const char *file, int argc, char **argv);
int tool_conf(const char *file, int argc, char **argv);
int tool_status(const char *file, int argc, char **argv);
int tool_explain(const char *file, int argc, char **argv);
int tool_directory(const char *file, int argc, char **argv);
int tool_directory_lint(const char *file, int argc, char **argv);
int tool_user(const char *file, int argc, char **argv);
int tool_domain(const char *file, int argc, char **argv);
int tool_map(const char *file, int argc, char **argv);
int tool_queue(const char *file, int argc, char **argv);
int tool_reload(const char *file, int argc, char **argv);
int tool_stop(const char *file, int argc, char **argv);

/* Shows the message after "facteur NAME: " and returns 1. */
int tool_fail(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Loads the configuration: 0, or -1 after telling why. */
int tool_config(const char *name, const char *file, struct config **out);

#define TOOL_ID_MAX 4294967294u /* the largest uid and gid */

/* Does a path lie below a directory, with no part that leads elsewhere? */
bool tool_is_below(struct str path, struct str base);

/* Asks the running facteurd over its control socket and reads the whole answer, at most 4 MiB: 0,
 * or -1 after telling why. */
int tool_ask(const char *name, const char *file, const char *line, struct buf *answer);

#endif
