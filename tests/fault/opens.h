/* The functions of libc that open a file, for the libraries that stand before it: all come to opens_plain(), which
 * whoever includes this defines. */
#ifndef FACTEUR_TESTS_OPENS_H
#define FACTEUR_TESTS_OPENS_H

#include <fcntl.h>
#include <stdarg.h>

static int opens_plain(int at, const char *path, int flags, mode_t mode);

#define OPENS(AT)                                                                                  \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                        \
    va_end(list);                                                                                  \
    return opens_plain((AT), path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPENS(AT_FDCWD);
}

int open64(const char *path, int flags, ...)
{
    OPENS(AT_FDCWD);
}

int openat(int at, const char *path, int flags, ...)
{
    OPENS(at);
}

int openat64(int at, const char *path, int flags, ...)
{
    OPENS(at);
}

#endif
