/*
 * load: the bench's load generator. One kind of load a call; options are name=value words; the result
 * is one line of JSON (script prints one a command).
 */
#include "load.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct kind {
    const char *name;
    int (*run)(const struct options *);
    const char *help;
};

static const struct kind kinds[] = {
    {"smtp", load_smtp, "port= users= sessions= messages= size= recipients= per= tls= auth="},
    {"login", load_login, "port= users= sessions= count= pop3="},
    {"idle", load_idle, "port= users= count= select= (prints ready, ends with standard input)"},
    {"script", load_script, "port= users= file= (lines: name, a tab, IMAP command)"},
    {"mixed", load_mixed, "port= users= sessions= seconds="},
    {"disk", load_disk, "dir= writers= count= size="},
    {"ldap", load_ldap, "uri= ca= dn= pw= base= users= links= window= count= binds= filters="},
    {"directory", load_directory, "program= conf= log= users= window= count= binds="},
    {"tls", load_tls, "cert= count="},
};

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(argv[1], kinds[i].name) == 0) {
            struct options options = {.count = argc - 2, .words = argv + 2};
            return kinds[i].run(&options);
        }
    }
    fputs("usage: load KIND name=value...\n", stderr);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        fprintf(stderr, "  %-9s %s\n", kinds[i].name, kinds[i].help);
    }
    return 2;
}
