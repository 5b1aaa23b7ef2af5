/*
 * Which system calls each program may make: what confine-filters, a program that runs when Facteur
 * is built, compiles into filters.inc.
 */
#ifndef FACTEUR_CONFINE_POLICY_H
#define FACTEUR_CONFINE_POLICY_H

#include <stdbool.h>

/* Stands in a compiled filter for the process's own id, which is known when the filter is loaded. */
#define POLICY_OWN_PID 0x5EAF00D5

#define POLICY_GROUPS 16
#define POLICY_FAMILIES 4

struct policy {
    const char *name;                                /* of the filter: a C identifier */
    const char *const *groups[POLICY_GROUPS];        /* the calls allowed, NULL-terminated lists */
    int families[POLICY_FAMILIES + 1];               /* socket(2) of these only, 0-terminated */
    bool forks;                                      /* clone(2) of processes, not only of threads */
    bool signals;                                    /* kill(2), tgkill(2) of others */
    bool loads_code;                                 /* pages to run: libraries loaded on the way */
    bool allows_all;                                 /* groups are what is denied instead */
    bool waits_to_connect;                           /* connect(2) does nothing and says EINPROGRESS */
    bool alone;                                      /* with it: no new tasks, no signals to others */
};

extern const struct policy policies[]; /* the last has no name */

#endif
