/*
 * For tests: starts a real program of the suite as the master does (channel as descriptor 3, the
 * usual arguments, its configuration in a bundle) and links it to others. Blocking, with bounded
 * waits; a failure is told on standard error.
 */
#ifndef FACTEUR_TESTS_TESTMASTER_H
#define FACTEUR_TESTS_TESTMASTER_H

#include "ipc/bundle.h"
#include "ipc/channel.h"

struct testmaster_child {
    unsigned self; /* SMTP, DIRECTORY, … */
    pid_t pid;
    int fd;        /* the master's end of its channel, blocking */
    char error[512]; /* why the last configure was refused */
};

/* Starts the binary; uid and gid 0: it keeps ours. Logs go to our standard error. 0 or -1. */
int testmaster_start(struct testmaster_child *c, unsigned self, const char *binary, unsigned index,
                     uid_t uid, gid_t gid);

/* Sends a configuration and waits for "ready": 0, or -1 with c->error. */
int testmaster_configure(struct testmaster_child *c, const struct buf *bundle, bool reload);

/* A bundle with the piece "facteur.conf" alone; free it. */
struct buf testmaster_bundle(struct str conf);

/* The directory program, with a configuration file and the tables that it names. */
int testmaster_configure_directory(struct testmaster_child *c, const char *conf, bool reload);

/* Gives the child one end of a new channel to peer; returns the other end, or -1. */
int testmaster_link(struct testmaster_child *c, unsigned peer, unsigned index);
/* Links two children with each other. */
int testmaster_join(struct testmaster_child *x, unsigned x_index, struct testmaster_child *y,
                    unsigned y_index);

/* The text of its status; empty when no answer comes. */
void testmaster_status(struct testmaster_child *c, struct buf *out);

/* Closes its channel (which ends it) and waits up to 10 s, then kills it. Returns the wait
 * status. */
int testmaster_stop(struct testmaster_child *c);

/* The program called name ("queue"), or 0. */
unsigned testmaster_program(struct str name);

#endif
