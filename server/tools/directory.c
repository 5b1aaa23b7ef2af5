/* facteur directory: commands about the directory as a whole. */
#include "tools/tools.h"

static const struct {
    const char *name;
    int (*run)(const char *file, int argc, char **argv);
} commands[] = {
    {"lint", tool_directory_lint},
};

int tool_directory(const char *file, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(file, argc - 1, argv + 1);
    return tool_fail("directory", "lint [--json] [-D DN -W | -Y EXTERNAL] [-H URI]") + 1;
}
