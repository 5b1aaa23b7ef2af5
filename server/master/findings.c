/* Collecting what is wrong. */
#include "master/material.h"

/* "FILE:LINE: " of the option that the text begins with, where it is said there. */
static void put_line(struct findings *f, struct str text)
{
    const struct material *m = f->about;
    struct str name;
    if (!m || !m->cfg || !str_token(&text, ": ", &name))
        return;
    const struct config_option *o = config_find(name);
    if (o && m->cfg->line[o - config_options])
        buf_printf(&f->text, "%s:%u: ", m->file, m->cfg->line[o - config_options]);
}

static void add(struct findings *f, const char *level, const char *fmt, va_list ap)
{
    AUTO_BUF text = BUF_MAX(8192);
    buf_vprintf(&text, fmt, ap);
    f->text.max = 65536;
    buf_printf(&f->text, "%s: ", level);
    put_line(f, buf_view(&text));
    buf_str(&f->text, buf_view(&text));
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
