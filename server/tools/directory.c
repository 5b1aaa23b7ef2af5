/* facteur directory: commands about the directory as a whole. */
#include "tools/tools.h"

#include <stdio.h>

static int flush(const char *file, const char *user)
{
    AUTO_BUF line = {0};
    AUTO_BUF answer = {0};
    struct str name = str_from(user);
    if (name.n > 1000 || !str_is_text(name))
        return tool_fail("directory", "that is no login name");
    buf_printf(&line, "flush%s%s", user ? " " : "", user ? user : "");
    if (tool_ask("directory", file, buf_z(&line), &answer) != 0)
        return 1;
    struct str text = str_trim(buf_view(&answer)), first, n;
    if (str_token(&text, "\n", &first) && str_eq(first, STR("ok")) && str_token(&text, " ", &first) &&
        str_token(&text, " ", &n))
        return printf("%.*s answers forgotten\n", STR_FMT(n)) < 0;
    return tool_fail("directory", "%.*s", STR_FMT(str_trim(buf_view(&answer))));
}

static int tool_directory_flush(const char *file, int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && !argv[1][0]))
        return tool_fail("directory", "flush [USER]");
    return flush(file, argc == 2 ? argv[1] : NULL);
}

static const struct {
    const char *name;
    int (*run)(const char *file, int argc, char **argv);
} commands[] = {
    {"flush", tool_directory_flush},
    {"lint", tool_directory_lint},
};

int tool_directory(const char *file, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(file, argc - 1, argv + 1);
    return tool_fail("directory", "flush [USER] | lint [--json] [-D DN -W | -Y EXTERNAL] [-H URI]") + 1;
}
