/*
 * System call filters (seccomp), compiled when Facteur was built: see policy.c for what they say.
 */
#include "confine/layers.h"
#include "confine/policy.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/filters.inc"

#define COMPILED(program, name) {program, filter_##name, sizeof filter_##name / sizeof filter_##name[0]}
#define OWNER (1u << 31) /* a session after it became the mailbox's owner */

static const struct {
    unsigned program;
    const struct sock_filter *code;
    unsigned short n;
} filters[] = {
    COMPILED(MASTER, master), COMPILED(SMTP, smtp),       COMPILED(ACCESS, access),
    COMPILED(DIRECTORY, directory), COMPILED(RELAY, relay), COMPILED(QUEUE, queue),
    COMPILED(DELIVER, deliver), COMPILED(SESSION, session), COMPILED(OWNER, owner),
    COMPILED(FILTER, filter),
};

/* Over all threads. Without CAP_SYS_ADMIN it needs no_new_privs, which every program has set. */
static int load(const struct sock_filter *code, unsigned short n)
{
    /* Not on the stack: what a session has touched of it stays in memory for the session's life. */
    AUTO_FREE struct sock_filter *own = mem_alloc(n * sizeof *own);
    for (unsigned short i = 0; i < n; i++) {
        own[i] = code[i];
        if (own[i].k == POLICY_OWN_PID)
            own[i].k = (unsigned)getpid();
    }
    struct sock_fprog program = {.len = n, .filter = own};
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG, &program);
    return r == 0 ? 0 : r > 0 ? -EBUSY : -errno;
}

static int lock(unsigned self, struct err *e)
{
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (filters[i].program != self)
            continue;
        int r = load(filters[i].code, filters[i].n);
        return r == 0 ? 0 : err_perm(e, "system call filter: %s", strerror(-r));
    }
    return err_perm(e, "no system call filter for program %u", self);
}

int confine_lock(unsigned self, struct err *e)
{
    return lock(self, e);
}

int confine_lock_owner(struct err *e)
{
    return lock(OWNER, e);
}
