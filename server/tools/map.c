/* facteur map: asks an LDAP table with the connection that the configuration says, as postmap -q does. */
#include "base/log.h"
#include "ldapmap/ldapmap_ask.h"
#include "tools/access.h"
#include "tools/tools.h"

#include <signal.h>
#include <sodium.h>
#include <unistd.h>

int tool_map(const char *file, int argc, char **argv)
{
    AUTO_ARENA a = arena_new(4096);
    struct access_options reader = {0};
    struct ldapmap_conn_settings settings = {0};
    struct config *cfg;
    struct err e = {0};
    const char *key = NULL;
    int c;
    while ((c = getopt(argc, argv, "q:")) != -1) {
        if (c != 'q')
            return tool_fail("map", "-q KEY ldap:FILE ...") + 1;
        key = optarg;
    }
    if (!key || optind >= argc)
        return tool_fail("map", "-q KEY ldap:FILE ...") + 1;
    if (tool_config("map", file, &cfg) != 0)
        return 1;
    log_open(LOG_TARGET_STDERR, "facteur", -1);
    signal(SIGPIPE, SIG_IGN); /* a server that went away is an error of the search, not our end */
    int status = 1;
    if (sodium_init() < 0) /* the reader's password lies in guarded memory */
        tool_fail("map", "libsodium does not start");
    else if (access_settings(&reader, cfg, a, &settings, &e) != 0)
        tool_fail("map", "%s", e.log);
    else
        status = ldapmap_ask(argv + optind, key, &settings);
    ldapmap_conn_wipe(&settings);
    config_free(cfg);
    return status;
}
