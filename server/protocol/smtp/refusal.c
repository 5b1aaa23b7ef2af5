/* The reply to a refused recipient. */
#include "protocol/smtp/refusal.h"
#include "protocol/smtp/command.h"

void smtp_refusal_print(struct buf *out, const char *status, struct str path, const char *what,
                        const char *why, struct str text)
{
    if (text.n == 0 || !str_is_ascii(text) || !str_is_text(text))
        text = str_from(why);
    if (!smtp_has_status(text, status[0])) {
        buf_printf(out, "%s <%.*s>: %s%.*s", status, STR_FMT(path), what, STR_FMT(text));
        return;
    }
    size_t n = (size_t)str_find(text, ' ');
    buf_printf(out, "%.3s %.*s <%.*s>: %s%.*s", status, (int)n, text.p, STR_FMT(path), what,
               STR_FMT(str_skip(text, n + 1)));
}
