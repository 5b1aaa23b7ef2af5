/*
 * What the master reads before anything runs: the configuration, the users, certificates and keys,
 * the LDAP tables; and what it makes of it: one bundle for each kind of program.
 *
 * Findings name everything that is wrong in one go, each with what mends it.
 */
#ifndef FACTEUR_MASTER_MATERIAL_H
#define FACTEUR_MASTER_MATERIAL_H

#include "master/kinds.h"

#include <sys/types.h>

struct findings {
    struct buf text; /* lines, "error: …" or "warning: …" */
    unsigned errors, warnings;
    const struct material *about; /* whose file and lines are named; or NULL */
};

/* A text that begins with an option's name, as "smtp_port: …", gets the line that says it. */
void finding_error(struct findings *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void finding_warning(struct findings *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void findings_free(struct findings *f);

#define FILTER_GROUPS_MAX 32

struct identity {
    uid_t uid; /* 0: as the master */
    gid_t gid;
};

struct material {
    bool trial;                   /* for "facteurd -t": nothing will be started to serve */
    struct config *cfg;
    char *file, *dir;             /* the configuration's path, and its directory's; absolute */
    bool own_uids;                /* root: every program has a user of its own */
    struct identity user[KINDS];
    gid_t filter_groups[FILTER_GROUPS_MAX]; /* that the filter's user is in, for milters' sockets */
    int filter_group_count;
    int bundle[KINDS];            /* sealed memfds */
};

/* Reads everything that file names; for a trial, what programs look at then alone too. NULL when there is no configuration to go by; otherwise fit for
 * use only if the findings hold no errors. */
struct material *material_load(const char *file, bool trial, struct findings *f);
void material_free(struct material *m); /* NULL is fine */

/* Directories and programs, as a start would find them; creates nothing. */
void material_check_places(const struct material *m, struct findings *f);

/* --- the parts, each adding to the findings --- */

void users_resolve(struct material *m, struct findings *f);

/* Are the places of milters places? */
void milters_check(const struct material *m, struct findings *f);

/* Reads a file of at most 1 MiB that option names. secret: it holds a password or a key, so its
 * owner and mode are looked at closely. 0, or -1 with a finding. */
int file_read(const struct material *m, const char *option, const char *path, bool secret,
              struct buf *out, struct findings *f);
/* Looks at the owner and mode of a file only. */
void file_check(const struct material *m, const char *option, const char *path, bool secret,
                struct findings *f);

/* Reads ldap_* and the sources of each map as the directory program will. For the check alone: a
 * master that serves leaves it to that program. */
void tables_check(const struct material *m, struct findings *f);

/* The same for what the directory program and the relay alone can judge: they do, each started for that
 * with its bundle. Connects to nothing. */
void trials_run(const struct material *m, struct findings *f);

/* Would this be an open relay? */
void relaying_check(const struct material *m, struct findings *f);
void balancers_check(const struct material *m, struct findings *f);

/* Logins with a token: is what the options say of a piece? Adds what the filter program needs for them. */
void tokens_check(const struct material *m, struct findings *f);
void tokens_add(const struct material *m, struct buf *out, struct findings *f);

/* Adds the piece named option: a password that facteur.conf does not hold itself (said is empty), of a
 * file, else the service manager's credential of that name (systemd.exec(5), LoadCredential=). Its first
 * line counts. */
void secret_add(const struct material *m, const char *option, struct str said, struct str file,
                struct buf *out, struct findings *f);

/* Adds the "tls:NAME" pieces to out, after trying them. */
void certificates_add(const struct material *m, struct buf *out, struct findings *f);

#endif
