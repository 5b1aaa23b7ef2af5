/* Finding and making homes with openat2, from the base downwards. */
#include "store/home.h"
#include "store/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Races are retried this often: another process made, or removed, what was looked at. */
#define TRIES 8

static int open_dir(int at, const char *path, uint64_t resolve)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = resolve | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, at, path, &how, sizeof how);
}

/* What stands in the way has to be looked at by a person, and the mail waits meanwhile. */
static int in_the_way(struct err *e, struct str home, const char *name, const char *what)
{
    return err_temp(e, "home %.*s: %s: %s", STR_FMT(home), name, what);
}

static int open_failed(struct err *e, struct str home, const char *name)
{
    if (errno == ELOOP || errno == EXDEV)
        return in_the_way(e, home, name, "a symbolic link is in the way");
    if (errno == ENOTDIR)
        return in_the_way(e, home, name, "something that is not a directory is in the way");
    return store_errno(e, "home %.*s: %s", STR_FMT(home), name);
}

/* The part of home below base, without the slashes around it; false when it does not lie there. */
static bool below(const char *base, struct str home, struct str *rest)
{
    struct str b = str_from(base);
    while (b.n && b.p[b.n - 1] == '/')
        b.n--;
    if (base[0] != '/' || !str_starts(home, b) || home.n <= b.n + 1 || home.p[b.n] != '/')
        return false;
    *rest = str_skip(home, b.n + 1);
    if (rest->p[rest->n - 1] == '/')
        rest->n--; /* "homeDirectory: /var/vmail/x/" is common and harmless */
    return rest->n > 0;
}

/* Takes the next component; an empty one, "." and ".." are left in *name for the check to see. */
static bool next_component(struct str *rest, struct str *name)
{
    if (!rest->p || rest->n == 0)
        return false;
    ptrdiff_t slash = str_find(*rest, '/');
    *name = slash < 0 ? *rest : str_head(*rest, (size_t)slash);
    *rest = slash < 0 ? (struct str){0} : str_skip(*rest, (size_t)slash + 1);
    return true;
}

int store_home_check(const char *base, struct str home, struct err *e)
{
    struct str rest, name;
    size_t depth = 0;
    if (home.n == 0 || home.n > STORE_HOME_PATH_MAX || str_find(home, '\0') >= 0)
        return err_temp(e, "home directory: empty, longer than %d bytes, or with a NUL",
                        STORE_HOME_PATH_MAX);
    if (!below(base, home, &rest))
        return err_temp(e, "home %.*s: does not lie below %s", STR_FMT(home), base);
    if (rest.p[rest.n - 1] == '/')
        return err_temp(e, "home %.*s: an empty path component", STR_FMT(home));
    while (next_component(&rest, &name)) {
        if (name.n == 0 || str_eq(name, STR(".")) || str_eq(name, STR("..")))
            return err_temp(e, "home %.*s: an empty, \".\" or \"..\" path component", STR_FMT(home));
        if (name.n > STORE_NAME_MAX || ++depth > STORE_HOME_DEPTH_MAX)
            return err_temp(e, "home %.*s: a component too long, or too many of them",
                            STR_FMT(home));
    }
    return 0;
}

/* What lies on the way must belong to the caller, so that no mailbox owner can swap another's home. */
static int check_way(int fd, struct str home, const char *name, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return store_errno(e, "home %.*s: %s", STR_FMT(home), name);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return in_the_way(e, home, name, "a directory on the way belongs to somebody else");
    if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX))
        return in_the_way(e, home, name, "a directory on the way is writable by others");
    return 0;
}

static int check_home(int fd, struct str home, const char *name, uid_t uid, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return store_errno(e, "home %.*s", STR_FMT(home));
    if (st.st_uid != uid)
        return err_temp(e, "home %.*s: %s belongs to uid %lu, not %lu", STR_FMT(home), name,
                        (unsigned long)st.st_uid, (unsigned long)uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return in_the_way(e, home, name, "the home is writable by others");
    return 0;
}

struct maker {
    struct str home;
    uid_t uid;
    gid_t gid;
    bool make;
    struct err *e;
};

/* Makes one directory complete under a temporary name, then renames it into place and makes that
 * durable. EEXIST is success: another process was first. */
static int make_dir(const struct maker *m, int at, const char *name, bool is_home)
{
    char tmp[64];
    store_random_name(tmp, ".facteur-new-");
    AUTO_FD parent = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0 || mkdirat(parent, tmp, 0700) < 0)
        return store_errno(m->e, "home %.*s: make %s", STR_FMT(m->home), name);
    AUTO_FD fd = store_dir_open(parent, tmp);
    bool ok = fd >= 0 && fchmod(fd, is_home ? 0700 : 0755) == 0 &&
              (!is_home || fchown(fd, m->uid, m->gid) == 0) && fsync(fd) == 0 &&
              (renameat2(parent, tmp, parent, name, RENAME_NOREPLACE) == 0 || errno == EEXIST);
    if (!ok)
        store_errno(m->e, "home %.*s: make %s", STR_FMT(m->home), name);
    unlinkat(parent, tmp, AT_REMOVEDIR); /* gone already when the rename was ours */
    return ok ? store_dir_sync(parent, m->e) : -1;
}

/* Opens name in at, making it where that is asked for. 0 and *fd; 1 missing; -1. */
static int step(const struct maker *m, int at, const char *name, bool is_home, int *fd)
{
    for (int i = 0; i < TRIES; i++) {
        *fd = open_dir(at, name, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (*fd >= 0)
            return is_home ? check_home(*fd, m->home, name, m->uid, m->e)
                           : check_way(*fd, m->home, name, m->e);
        if (errno != ENOENT && errno != EAGAIN)
            return open_failed(m->e, m->home, name);
        if (!m->make)
            return 1;
        if (make_dir(m, at, name, is_home) != 0)
            return -1;
    }
    return in_the_way(m->e, m->home, name, "appears and vanishes again");
}

static int walk(const struct maker *m, const char *base, int *out)
{
    struct str rest, name;
    char z[STORE_NAME_MAX + 1];
    if (store_home_check(base, m->home, m->e) != 0)
        return -1;
    AUTO_FD at = open_dir(AT_FDCWD, base, 0);
    if (at < 0)
        return open_failed(m->e, m->home, base);
    if (check_way(at, m->home, base, m->e) != 0)
        return -1;
    below(base, m->home, &rest);
    while (next_component(&rest, &name)) {
        AUTO_FD next = -1;
        memcpy(z, name.p, name.n);
        z[name.n] = '\0';
        int r = step(m, at, z, rest.n == 0, &next);
        if (r != 0)
            return r;
        int old = at;
        at = next;
        next = old;
    }
    *out = at;
    at = -1;
    return 0;
}

int store_home_make(const char *base, struct str home, uid_t uid, gid_t gid, int *fd, struct err *e)
{
    struct maker m = {home, uid, gid, true, e};
    *fd = -1;
    /* -1 tells chown(2) to change nothing, which would leave the home root's. */
    if (uid == 0 || gid == 0 || uid == (uid_t)-1 || gid == (gid_t)-1)
        return err_temp(e, "home %.*s: may not belong to uid %u gid %u", STR_FMT(home), uid, gid);
    return walk(&m, base, fd);
}

int store_home_open(const char *base, struct str home, uid_t uid, int *fd, struct err *e)
{
    struct maker m = {home, uid, 0, false, e};
    *fd = -1;
    return walk(&m, base, fd);
}
