/* The reply to a refused recipient. */
#include "protocol/smtp/refusal.h"
#include "protocol/smtp/command.h"

static bool is_fit(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] >= 0x80)
            return false;
    return text.n && str_is_text(text);
}

void smtp_refusal_print(struct buf *out, const char *status, struct str path, const char *what,
                        const char *why, struct str text)
{
    if (!is_fit(text))
        text = str_from(why);
    if (!smtp_has_status(text, status[0])) {
        buf_printf(out, "%s <%.*s>: %s%.*s", status, STR_FMT(path), what, STR_FMT(text));
        return;
    }
    size_t n = (size_t)str_find(text, ' ');
    buf_printf(out, "%.3s %.*s <%.*s>: %s%.*s", status, (int)n, text.p, STR_FMT(path), what,
               STR_FMT(str_skip(text, n + 1)));
}
