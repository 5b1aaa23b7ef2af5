/*
 * What every program under the master has in common: start, confinement, configuration by message,
 * links to other programs, listeners, status, reload, end.
 *
 * The master starts it with its channel as descriptor 3 and the arguments
 *   --index N --uid U --gid G --root DIR --log stderr|syslog|journal
 * The program opens its log, gives up its rights, and only then handles anything. With --check the
 * descriptor is a bundle: the program says on standard output what is wrong with it, and ends.
 */
#ifndef FACTEUR_IPC_PROGRAM_H
#define FACTEUR_IPC_PROGRAM_H

#include "ipc/bundle.h"
#include "ipc/channel.h"

/* What SIGTERM has not ended after this time, the master kills. */
#define PROGRAM_END_MS 5000

struct program {
    struct event_base *base;
    struct channel *master;
    unsigned index; /* which of several equal programs this is */
    const struct program_ops *ops;
    void *arg;
    int exit_status;
    struct event *last_moment; /* set by program_stop_in */
    bool anew; /* set by configure, at a reload: see there */
};

struct program_ops {
    unsigned self;
    bool keep_privilege;
    const char *name; /* for the log: "facteur/smtp" */
    /* Before rights are given up: load what needs files. May be NULL. */
    int (*prepare)(struct program *p, struct err *e);
    /* The first configuration, or a new one (reload). Takes over cfg on success; on failure the old
     * one stays in force. At a reload it may instead free cfg, keep the old one, set p->anew and return 0:
     * the program is started anew with the new one once all the others have taken it. */
    int (*configure)(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                     struct err *e);
    /* Would configure take this? Connects to nothing. NULL: it would. */
    int (*check)(struct program *p, struct config *cfg, const struct bundle *b, struct err *e);
    /* A channel to another program (usually: rpc_link); owns fd. May be NULL. */
    void (*link)(struct program *p, unsigned peer, unsigned index, int fd);
    void (*listener)(struct program *p, unsigned number, enum service service, int fd);
    void (*listener_close)(struct program *p, unsigned number);
    /* Any other message of the master. May be NULL. */
    void (*message)(struct program *p, struct msg *m);
    /* SIGTERM: true when the program will call program_stop or program_stop_in itself, once what it has
     * under way is done (the master waits for PROGRAM_END_MS). May be NULL: it stops at once. */
    bool (*stop)(struct program *p);
    /* key=value text for "facteur status". May be NULL. */
    void (*status)(struct program *p, struct buf *out);
    /* The loop is over: frees everything that uses p->base, which is freed then. May be NULL: nothing
     * is freed, the process ends anyway. */
    void (*end)(struct program *p);
};

/* Runs until the master goes away or SIGTERM; returns the exit status for main. */
int program_run(const struct program_ops *ops, void *arg, int argc, char **argv);
void program_stop(struct program *p, int status);
/* The same in so many milliseconds, with status 0; said again, the new time holds. */
void program_stop_in(struct program *p, int64_t ms);

#endif
