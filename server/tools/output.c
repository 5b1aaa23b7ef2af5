/* What commands print. */
#include "tools/output.h"

static bool is_first(const struct buf *out)
{
    return out->n == 0 || out->p[out->n - 1] == '{' || out->p[out->n - 1] == '[';
}

void output_json(struct buf *out, struct str s)
{
    bool text = str_is_utf8(s);
    buf_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else if (c >= 0x80 && !text)
            buf_str(out, STR("\\ufffd"));
        else
            buf_byte(out, (char)c);
    }
    buf_byte(out, '"');
}

void output_json_pair(struct buf *out, const char *key, struct str value)
{
    if (!value.p)
        return;
    if (!is_first(out))
        buf_byte(out, ',');
    buf_printf(out, "\"%s\":", key);
    output_json(out, value);
}

struct str output_kind(struct str *line)
{
    ptrdiff_t tab = str_find(*line, '\t');
    struct str kind = tab < 0 ? *line : str_head(*line, (size_t)tab);
    *line = str_skip(*line, tab < 0 ? line->n : (size_t)tab + 1);
    return kind;
}

static struct str unescape(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != '\\' || i + 1 == s.n) {
            out[n++] = c;
            continue;
        }
        c = s.p[++i];
        int octet = c == 'x' ? str_hex_octet(str_skip(s, i + 1)) : -1;
        if (octet >= 0) {
            out[n++] = (char)octet;
            i += 2;
        } else {
            out[n++] = c == 't' ? '\t' : c == 'n' ? '\n' : c;
        }
    }
    return (struct str){out, n};
}

bool output_pair(struct arena *a, struct str *line, struct str *key, struct str *value)
{
    struct str pair = output_kind(line);
    ptrdiff_t eq = str_find(pair, '=');
    if (eq <= 0)
        return false;
    *key = str_head(pair, (size_t)eq);
    *value = unescape(a, str_skip(pair, (size_t)eq + 1));
    return true;
}
