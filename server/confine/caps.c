/* Capabilities, with the bare system calls: the sets are a table, which libcap would not shorten. */
#include "confine/layers.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP(name) (UINT64_C(1) << CAP_##name)

/* The master hands on: ports, other users' ids, roots; and drops the rest of the bounding set for
 * its children. deliver and the session parent make homes and give them away. */
static const struct {
    unsigned program;
    uint64_t kept;
} needs[] = {
    {MASTER, CAP(NET_BIND_SERVICE) | CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP) | CAP(SYS_CHROOT) |
                 CAP(CHOWN) | CAP(KILL)},
    {DELIVER, CAP(SETUID) | CAP(SETGID) | CAP(CHOWN)},
    {SESSION, CAP(SETUID) | CAP(SETGID) | CAP(CHOWN)},
};

/* What a program that changes its ids needs until it has. */
static const uint64_t for_leaving = CAP(SETUID) | CAP(SETGID);

struct sets {
    uint64_t effective, permitted, inheritable;
};

static int sets_get(struct sets *s)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &head, data) != 0)
        return -1;
    s->effective = data[0].effective | (uint64_t)data[1].effective << 32;
    s->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
    s->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
    return 0;
}

static int sets_put(uint64_t kept)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
        {.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
    };
    return (int)syscall(SYS_capset, &head, data);
}

/* The bounding set shrinks for what is exec'd later; without CAP_SETPCAP it was limited by whoever
 * started us, and no_new_privs keeps it from mattering. */
static int bounding_limit(uint64_t kept, bool possible)
{
    for (int cap = 0; cap < 64; cap++) {
        int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (has < 0)
            break;
        if (has && possible && !(kept >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            return -1;
    }
    return 0;
}

static uint64_t needs_of(unsigned self)
{
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (needs[i].program == self)
            return needs[i].kept;
    return for_leaving;
}

int caps_limit(unsigned self, struct err *e)
{
    struct sets s;
    uint64_t kept = needs_of(self);
    if (sets_get(&s) != 0)
        return err_perm(e, "capget: %s", strerror(errno));
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (bounding_limit(kept, s.effective & CAP(SETPCAP)) != 0 || sets_put(kept & s.permitted) != 0)
        return err_perm(e, "capabilities: %s", strerror(errno));
    if (sets_get(&s) != 0 || (s.permitted & ~kept) || s.inheritable)
        return err_perm(e, "capabilities could not be given up");
    return 0;
}

bool caps_none(void)
{
    struct sets s;
    return sets_get(&s) == 0 && s.effective == 0 && s.permitted == 0 && s.inheritable == 0;
}
