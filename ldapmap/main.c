/* The ldapmap command: asks LDAP tables that say themselves how to reach the directory. */
#include "base/log.h"
#include "ldapmap/ldapmap_ask.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

static void usage(FILE *to)
{
    fputs("usage: ldapmap [-v] -q KEY ldap:FILE...\n"
          "       ldapmap [-v] -q - ldap:FILE...      (keys from standard input)\n"
          "       ldapmap -h\n",
          to);
}

int main(int argc, char **argv)
{
    const char *key = NULL;
    int c;
    log_open(LOG_TARGET_STDERR, "ldapmap", -1);
    signal(SIGPIPE, SIG_IGN); /* a server that went away is an error of the search, not our end */
    if (sodium_init() < 0)    /* bind_pw lies in guarded memory */
        return 1;
    while ((c = getopt(argc, argv, "q:vh")) != -1) {
        if (c == 'q') {
            key = optarg;
        } else if (c == 'v') {
            log_verbose(true);
        } else {
            usage(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 1;
        }
    }
    if (key == NULL || optind >= argc) {
        usage(stderr);
        return 1;
    }
    return ldapmap_ask(argv + optind, key, NULL);
}
