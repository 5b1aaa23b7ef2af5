/* Filling a struct err. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(struct err *e, enum err_kind kind, const char *fmt, va_list ap)
{
    if (!e)
        return;
    e->kind = kind;
    e->client[0] = '\0';
    vsnprintf(e->log, sizeof e->log, fmt, ap);
}

int err_temp(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, ERR_TEMPORARY, fmt, ap);
    va_end(ap);
    return -1;
}

int err_perm(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(e, ERR_PERMANENT, fmt, ap);
    va_end(ap);
    return -1;
}

int err_client(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->client, sizeof e->client, fmt, ap);
    va_end(ap);
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    char old[sizeof e->log];
    memcpy(old, e->log, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->log, sizeof e->log, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->log)
        snprintf(e->log + n, sizeof e->log - (size_t)n, ": %s", old);
    return -1;
}
