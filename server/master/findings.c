/* Collecting what is wrong. */
#include "master/material.h"

static void add(struct findings *f, const char *level, const char *fmt, va_list ap)
{
    f->text.max = 65536;
    buf_printf(&f->text, "%s: ", level);
    buf_vprintf(&f->text, fmt, ap);
    buf_byte(&f->text, '\n');
}

void finding_error(struct findings *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(f, "error", fmt, ap);
    va_end(ap);
    f->errors++;
}

void finding_warning(struct findings *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(f, "warning", fmt, ap);
    va_end(ap);
    f->warnings++;
}

void findings_free(struct findings *f)
{
    buf_free(&f->text);
}
