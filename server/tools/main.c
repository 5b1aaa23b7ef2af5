/* facteur: the administrator's command. */
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    int (*run)(const char *file, int argc, char **argv);
    const char *arguments, *help;
} commands[] = {
    {"check", tool_check, "", "check the configuration and everything it names"},
    {"conf", tool_conf, "[-n | -d | -e NAME=VALUE ...] [-P] [NAME ...]",
     "print the configuration, or edit it"},
    {"directory", tool_directory, "lint [--json] | flush [USER]",
     "what in the directory would trouble mail, with the LDIF that mends it; or forget what is kept of\n"
     "      it, of one user or of all"},
    {"domain", tool_domain, "list", "the hosted domains"},
    {"explain", tool_explain, "[--json] rcpt ADDRESS | login [--password] NAME | send LOGIN ADDRESS",
     "why an address, a login or a sender gets the answer it gets"},
    {"map", tool_map, "-q KEY ldap:FILE ...",
     "ask an LDAP table by the connection of the configuration, as postmap -q does"},
    {"queue", tool_queue, "[list | show | hold | release | retry | delete] [--json] [all | ID | DOMAIN]",
     "the mail that waits, and what to do about it"},
    {"reload", tool_reload, "", "have the running server read its configuration again"},
    {"status", tool_status, "[--json]", "what the running server does"},
    {"stop", tool_stop, "", "stop the running server"},
    {"user", tool_user, "add|show|passwd|disable|enable NAME | list",
     "people in the directory; a change is printed as LDIF, with --dry-run only that"},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int usage(FILE *out, int status)
{
    fputs("usage: facteur [-c FILE] COMMAND ...\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %s%s%s\n      %s\n", commands[i].name, commands[i].arguments[0] ? " " : "",
                commands[i].arguments, commands[i].help);
    fputs("  -c FILE  the configuration; default " SYSCONFDIR "/facteur/facteur.conf\n", out);
    return status;
}

int tool_fail(const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "facteur %s: ", name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return 1;
}

int tool_config(const char *name, const char *file, struct config **out)
{
    struct err e = {0};
    if (config_load(file, out, &e) == 0)
        return 0;
    tool_fail(name, "%s", e.log);
    return -1;
}

bool tool_is_below(struct str path, struct str base)
{
    struct str rest, part;
    bool any = false;
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (!str_starts(path, base) || path.n <= base.n || path.p[base.n] != '/')
        return false;
    for (rest = str_skip(path, base.n); str_token(&rest, "/", &part); any = true)
        if (str_eq(part, STR("..")) || str_eq(part, STR(".")))
            return false;
    return any;
}

int main(int argc, char **argv)
{
    const char *file = SYSCONFDIR "/facteur/facteur.conf";
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "+c:hV", options, NULL)) != -1) {
        if (c == 'c')
            file = optarg;
        else if (c == 'V')
            return puts(PACKAGE_STRING) < 0;
        else
            return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
    }
    for (size_t i = 0; optind < argc && i < COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[optind]) != 0)
            continue;
        int at = optind;
        optind = 0; /* glibc: scan anew */
        return commands[i].run(file, argc - at, argv + at);
    }
    if (optind < argc)
        fprintf(stderr, "facteur: no command \"%s\"\n", argv[optind]);
    return usage(stderr, 2);
}
