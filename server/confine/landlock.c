/*
 * Landlock: files only beneath given directories. Needs version 2 of the kernel's interface: with
 * version 1 no file could be renamed from one directory to another, which a maildir lives by.
 * And TCP connections only to given ports, from version 4 on.
 */
#include "confine/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_LINUX_LANDLOCK_H
#include <linux/landlock.h>

/* Newer than the headers of Debian 12. */
#define FS_TRUNCATE (UINT64_C(1) << 14)  /* version 3 */
#define SCOPES (UINT64_C(3))             /* version 6: abstract sockets, signals */
#define CONNECT_TCP (UINT64_C(1) << 1)   /* version 4, with the rule: */
#define RULE_PORT 2

#define BENEATH                                                                                    \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |  \
     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                              \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define NEVER                                                                                      \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |    \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

struct attributes {
    uint64_t fs, net, scoped; /* an older kernel wants zeros where it knows nothing */
};

static int add_directory(int ruleset, const char *path, uint64_t access, struct err *e)
{
    AUTO_FD fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
    if (fd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        return err_perm(e, "landlock: %s: %s", path, strerror(errno));
    return 0;
}

static int add_all(int ruleset, const char *const *writable, uint64_t access, struct err *e)
{
#ifdef FACTEUR_SANITIZERS
    /* The sanitizers read their own process's maps and tasks. */
    if (add_directory(ruleset, "/proc",
                      LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR, e) != 0)
        return -1;
#endif
    for (; *writable; writable++)
        if (add_directory(ruleset, *writable, access, e) != 0)
            return -1;
    return 0;
}

static int restrict_to(const char *const *writable, long version, struct err *e)
{
    uint64_t beneath = BENEATH | (version >= 3 ? FS_TRUNCATE : 0);
    struct attributes a = {.fs = beneath | NEVER, .scoped = version >= 6 ? SCOPES : 0};
    AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof a, 0);
    if (ruleset < 0)
        return err_perm(e, "landlock: %s", strerror(errno));
    if (add_all(ruleset, writable, beneath, e) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return err_perm(e, "landlock: %s", strerror(errno));
    return 0;
}

static long kernels_version(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int confine_paths(const char *const *writable, struct err *e)
{
    long version = kernels_version();
    return version < 2 ? 0 : restrict_to(writable, version, e);
}

int confine_ports(const uint16_t *ports, size_t n, bool *held, struct err *e)
{
    struct {
        uint64_t access, port;
    } rule = {.access = CONNECT_TCP};
    struct attributes a = {.net = CONNECT_TCP};
    *held = kernels_version() >= 4;
    if (!*held)
        return 0;
    AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, sizeof a, 0);
    if (ruleset < 0)
        return err_perm(e, "landlock: %s", strerror(errno));
    for (size_t i = 0; i < n; i++) {
        rule.port = ports[i];
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &rule, 0) != 0)
            return err_perm(e, "landlock: port %u: %s", (unsigned)ports[i], strerror(errno));
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return err_perm(e, "landlock: %s", strerror(errno));
    return 0;
}

#else

int confine_paths(const char *const *writable, struct err *e)
{
    (void)writable;
    (void)e;
    return 0;
}

int confine_ports(const uint16_t *ports, size_t n, bool *held, struct err *e)
{
    (void)ports;
    (void)n;
    (void)e;
    *held = false;
    return 0;
}

#endif
