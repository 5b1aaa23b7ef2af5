/* facteur conf: printing the configuration. */
#include "tools/conf.h"

#include <getopt.h>
#include <stdio.h>

/* What is printed is often shown to others. */
static void print_one(const struct config *c, size_t i, bool passwords)
{
    struct str source = c ? c->source[i] : (struct str){NULL, 0};
    const struct config_option *o = &config_options[i];
    if (!source.p)
        source = str_from(o->def);
    if (source.n && !passwords && strcmp(o->type, "PASSWORD") == 0)
        source = STR("# hidden, -P shows it");
    printf("%s =%s%.*s\n", o->name, source.n ? " " : "", STR_FMT(source));
}

static bool differs(const struct config *c, size_t i)
{
    return c->source[i].p && !str_eq(c->source[i], str_from(config_options[i].def));
}

/* c: NULL for the defaults. */
static int print_named(const struct config *c, bool passwords, int count, char **names)
{
    int status = 0;
    for (int i = 0; i < count; i++) {
        const struct config_option *o = config_find(str_from(names[i]));
        if (o)
            print_one(c, (size_t)(o - config_options), passwords);
        else
            status = tool_fail("conf", "unknown option \"%s\"; did you mean \"%s\"?", names[i],
                               config_nearest(str_from(names[i]))->name);
    }
    return status;
}

static void print_all(const struct config *c, bool passwords, bool only_differing)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (!only_differing || differs(c, i))
            print_one(c, i, passwords);
}

int tool_conf(const char *file, int argc, char **argv)
{
    char mode = 'a';
    bool passwords = false;
    int o;
    while ((o = getopt(argc, argv, "ndeP")) != -1) {
        if (o == '?' || (o != 'P' && mode != 'a'))
            return tool_fail("conf", "at most one of -n, -d and -e");
        if (o == 'P')
            passwords = true;
        else
            mode = (char)o;
    }
    if (mode == 'e')
        return conf_edit(file, argc - optind, argv + optind);
    struct config *c = NULL;
    if (mode != 'd' && tool_config("conf", file, &c) != 0)
        return 1;
    int status = 0;
    if (optind < argc)
        status = print_named(c, passwords, argc - optind, argv + optind);
    else
        print_all(c, passwords, mode == 'n');
    config_free(c);
    return status;
}
