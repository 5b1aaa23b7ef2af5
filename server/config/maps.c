/* The sources of a MAP value, and the text of tables that are lists of keys and values. */
#include "config/config.h"

#define SEPARATORS ", \t\n"

bool config_map_piece(struct str *rest, struct str *piece)
{
    size_t depth = 0, n = 0;
    while (rest->n && str_find(STR(SEPARATORS), rest->p[0]) >= 0)
        *rest = str_skip(*rest, 1);
    for (; n < rest->n; n++) {
        char c = rest->p[n];
        if (depth == 0 && str_find(STR(SEPARATORS), c) >= 0)
            break;
        depth += c == '{';
        depth -= c == '}' && depth > 0;
    }
    *piece = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    return n > 0;
}

struct str config_map_file(struct str piece)
{
    static const struct str types[] = {{"ldap:", 5}, {"texthash:", 9}, {"hash:", 5}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_starts(piece, types[i]))
            return str_skip(piece, types[i].n);
    return (struct str){"", 0};
}

bool config_map_takes_words(const struct config_option *o)
{
    return strcmp(o->type, "MAP") == 0 && o->min == 1;
}

bool config_map_is_word(struct str piece)
{
    return str_find(piece, ':') < 0 && str_find(piece, '/') < 0;
}

bool config_map_braced(struct str s, struct str *inside)
{
    if (s.n < 2 || s.p[0] != '{' || s.p[s.n - 1] != '}')
        return false;
    *inside = str_trim(str_head(str_skip(s, 1), s.n - 2));
    return true;
}

static int take_pair(struct str pair, struct str *key, struct str *value, struct err *e)
{
    ptrdiff_t eq = str_find(pair, '=');
    if (eq <= 0)
        return err_perm(e, "inline: \"%.*s\" is not KEY=VALUE", STR_FMT(str_head(pair, 100)));
    *key = str_trim(str_head(pair, (size_t)eq));
    *value = str_trim(str_skip(pair, (size_t)eq + 1));
    return 1;
}

int config_map_inline_next(struct str *rest, struct str *key, struct str *value, struct err *e)
{
    struct str piece, inside;
    if (!config_map_piece(rest, &piece))
        return 0;
    return take_pair(config_map_braced(piece, &inside) ? inside : piece, key, value, e);
}

/* Postfix's texthash: a key, blanks, a value; # starts a comment line. A line that starts with a
 * blank would continue the one before it and is refused instead: a value stands on one line. */
int config_map_text_next(struct str *rest, unsigned *line_number, struct str *key,
                         struct str *value, struct err *e)
{
    struct str line;
    while (str_line(rest, &line)) {
        struct str text = str_trim(line);
        size_t n = 0;
        ++*line_number;
        if (text.n == 0 || text.p[0] == '#')
            continue;
        if (line.p[0] == ' ' || line.p[0] == '\t')
            return err_perm(e, "line %u continues another", *line_number);
        while (n < text.n && text.p[n] != ' ' && text.p[n] != '\t')
            n++;
        *key = str_head(text, n);
        *value = str_trim(str_skip(text, n));
        if (value->n == 0)
            return err_perm(e, "line %u has no value", *line_number);
        return 1;
    }
    return 0;
}
