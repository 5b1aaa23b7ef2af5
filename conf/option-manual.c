/*
 * At build time: facteur.conf(5) from its template and the option table. The template's line
 * "@OPTIONS@" becomes the options in the order of options.def, under the headings that stand there.
 */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int read_file(const char *path, struct buf *out)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fd_read_all(fd, out, 1 << 20) == 0)
        return 0;
    fprintf(stderr, "option-manual: %s: %s\n", path, strerror(errno));
    return -1;
}

/* Text for roff: a backslash, a leading dot and hyphens that are meant as they stand. */
static void put_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\')
            fputs("\\e", stdout);
        else if (s.p[i] == '-')
            fputs("\\-", stdout);
        else if ((s.p[i] == '.' || s.p[i] == '\'') && i == 0)
            printf("\\&%c", s.p[i]);
        else
            putchar(s.p[i]);
    }
}

static const struct {
    const char *type, *text;
} types[] = {
    {"BOOL", "yes or no"}, {"INT", "number"}, {"SIZE", "bytes"}, {"TIME", "time"},
    {"STRING", "text"}, {"PASSWORD", "text"}, {"LIST", "list"}, {"MAP", "tables"}, {"PATH", "file"}, {"ENUM", NULL},
};

static void put_kind(const struct config_option *o, struct str choices)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].text && strcmp(o->type, types[i].type) == 0)
            fputs(types[i].text, stdout);
    struct str choice;
    const char *between = "";
    while (str_token(&choices, " ", &choice)) {
        printf("%s\\fB", between);
        put_text(choice);
        fputs("\\fR", stdout);
        between = " | ";
    }
    bool bounded = strcmp(o->type, "INT") == 0 || strcmp(o->type, "TIME") == 0 ||
                   strcmp(o->type, "SIZE") == 0;
    if (bounded)
        printf(", %llu to %llu", (unsigned long long)o->min, (unsigned long long)o->max);
}

static void put_option(const struct config_option *o)
{
    struct str help = str_from(o->help), choices = {NULL, 0};
    if (strcmp(o->type, "ENUM") == 0) {
        ptrdiff_t bar = str_find(help, '|');
        choices = str_head(help, (size_t)bar);
        help = str_skip(help, (size_t)bar + 1);
    }
    printf(".TP\n\\fB%s\\fR (default: ", o->name);
    if (o->def[0])
        put_text(str_from(o->def));
    else
        fputs("empty", stdout);
    fputs(")\n", stdout);
    put_text(help);
    fputs("\n.br\n(", stdout);
    put_kind(o, choices);
    fputs(")\n", stdout);
}

/* "--- heading ---" inside a comment. */
static void put_heading(struct str line)
{
    struct str text = str_trim(str_skip(line, 6));
    if (str_ends(text, STR("--- */")))
        text = str_trim(str_head(text, text.n - 6));
    fputs(".SS \"", stdout);
    if (text.n && text.p[0] >= 'a' && text.p[0] <= 'z') {
        putchar(text.p[0] - 'a' + 'A');
        text = str_skip(text, 1);
    }
    put_text(text);
    fputs("\"\n", stdout);
}

/* OPTION(TYPE, name, …: the table compiled in knows the rest. */
static int put_options(struct str table)
{
    struct str line, piece;
    size_t found = 0;
    while (str_line(&table, &line)) {
        if (str_starts(line, STR("/* --- ")))
            put_heading(line);
        if (!str_starts(line, STR("OPTION(")))
            continue;
        struct str rest = str_skip(line, 7);
        str_token(&rest, ", ", &piece);
        str_token(&rest, ", ", &piece);
        const struct config_option *o = config_find(piece);
        if (o) {
            put_option(o);
            found++;
        }
    }
    return found == config_option_count ? 0 : -1;
}

int main(int argc, char **argv)
{
    AUTO_BUF template = {0};
    AUTO_BUF table = {0};
    struct str line;
    int r = 0;
    if (argc != 3 || read_file(argv[1], &template) != 0 || read_file(argv[2], &table) != 0)
        return 1;
    struct str rest = buf_view(&template);
    while (str_line(&rest, &line)) {
        if (str_eq(line, STR("@OPTIONS@")))
            r = put_options(buf_view(&table));
        else
            printf("%.*s\n", STR_FMT(line));
    }
    if (r != 0)
        fprintf(stderr, "option-manual: the table and its text do not agree\n");
    return r != 0 || fflush(stdout) != 0;
}
