/* facteur status: the running server's own lines, or the same as JSON. */
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>

static void put_json_string(struct str s)
{
    putchar('"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

/* Takes key=value or key="value" from the rest of a line. */
static bool take_pair(struct str *rest, struct str *key, struct str *value)
{
    *rest = str_trim(*rest);
    ptrdiff_t eq = str_find(*rest, '=');
    if (eq <= 0)
        return false;
    *key = str_head(*rest, (size_t)eq);
    *rest = str_skip(*rest, (size_t)eq + 1);
    bool quoted = rest->n && rest->p[0] == '"';
    if (quoted)
        *rest = str_skip(*rest, 1);
    ptrdiff_t end = str_find(*rest, quoted ? '"' : ' ');
    *value = end < 0 ? *rest : str_head(*rest, (size_t)end);
    *rest = end < 0 ? STR("") : str_skip(*rest, (size_t)end + 1);
    return true;
}

static void put_json_line(struct str line)
{
    struct str what, key, value;
    uint64_t number;
    if (!str_token(&line, " ", &what))
        return;
    printf("{\"what\": ");
    put_json_string(what);
    while (take_pair(&line, &key, &value)) {
        printf(", ");
        put_json_string(key);
        printf(": ");
        if (str_u64(value, &number) == 0)
            printf("%llu", (unsigned long long)number);
        else
            put_json_string(value);
    }
    putchar('}');
}

static void put_json(struct str text)
{
    struct str line;
    const char *between = "[\n";
    while (str_line(&text, &line)) {
        printf("%s  ", between);
        put_json_line(line);
        between = ",\n";
    }
    puts("\n]");
}

/* 0 only when the server runs: while it starts or stops, scripts wait. */
int tool_status(const char *file, int argc, char **argv)
{
    AUTO_BUF answer = {0};
    bool json = argc == 2 && strcmp(argv[1], "--json") == 0;
    struct str first;
    if (argc > 2 || (argc == 2 && !json))
        return tool_fail("status", "takes nothing but --json");
    if (tool_ask("status", file, "status", &answer) != 0)
        return 1;
    struct str text = buf_view(&answer);
    if (!str_line(&text, &first) || !str_eq(first, STR("ok")))
        return tool_fail("status", "%.*s", STR_FMT(first));
    if (json)
        put_json(text);
    else
        fwrite(text.p, 1, text.n, stdout);
    return str_line(&text, &first) && str_casecontains(first, STR(" state=running ")) ? 0 : 3;
}
