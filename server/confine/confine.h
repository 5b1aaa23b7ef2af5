/*
 * Giving up rights: the only room with setuid. Irrevocable unless the spec says keep_privilege.
 *
 * Layers, each standing on its own: ids and an empty root; capabilities; limits of the process;
 * Landlock (paths, TCP ports); seccomp (system calls). Where the kernel lacks Landlock, or a version of
 * it that knows what is asked, the others stand alone.
 */
#ifndef FACTEUR_CONFINE_CONFINE_H
#define FACTEUR_CONFINE_CONFINE_H

#include "base/err.h"
#include "config/config.h"

#include <sys/types.h>

struct confine {
    unsigned self;       /* the program: SMTP, ACCESS, … */
    uid_t uid;           /* become this user; 0: stay (single_uid, or keep_privilege) */
    gid_t gid;
    const char *root;    /* empty directory to make the root; NULL: none */
    bool keep_privilege; /* deliver and the session parent: keep what acting as owners needs */
};

/* Groups, root, uid and gid, capabilities, no_new_privs, not dumpable, rlimits; verifies that there
 * is no way back. 0, or -1 with a permanent error; the caller then exits. */
int confine_enter(const struct confine *c, struct err *e);

/* The system call filter of the program, after everything is open: 0, or -1 as above. What it
 * denies answers EPERM. */
int confine_lock(unsigned self, struct err *e);

/* Files can be reached only beneath these directories from now on (NULL-terminated, absolute, all
 * existing), by this process and its children. 0, or -1 with a permanent error. */
int confine_paths(const char *const *writable, struct err *e);

/* TCP connections can be made to these ports only from now on, by this thread and those it makes; after
 * confine_enter. *held: false where the kernel cannot do that (before 6.7). Said again, only ports of
 * both lists are left. 0, or -1 with a permanent error. */
int confine_ports(const uint16_t *ports, size_t n, bool *held, struct err *e);

/* Acts as another user for a while (effective ids and no groups), and back: for deliver. 0 or -1. */
int confine_act_as(uid_t uid, gid_t gid, struct err *e);
int confine_act_back(struct err *e);
/* The same with that user's further groups: for the master's connections to milters. */
int confine_act_as_member(uid_t uid, gid_t gid, const gid_t *groups, size_t n, struct err *e);

/* For a forked session: becomes the owner for good, with Landlock so that only the directories in
 * the list (NULL-terminated, absolute, existing) can be reached, and with the system call filter of
 * an owner. Without root the ids stay. */
int confine_become(uid_t uid, gid_t gid, const char *const *writable, struct err *e);

#endif
