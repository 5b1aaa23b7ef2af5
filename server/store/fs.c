/* Opening with checks, whole files, durable directories, and errno told as a struct err. */
#include "store/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* What a person has to mend is permanent only where trying again can never help: a name that is too
 * long or wrong in form. Everything the machine refuses for now is temporary. */
static bool is_permanent(int code)
{
    return code == ENAMETOOLONG || code == EFBIG;
}

int store_errno(struct err *e, const char *fmt, ...)
{
    int code = errno;
    char context[256], reason[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    const char *text = code == EINVAL ? "not a regular file" : strerror_r(code, reason, sizeof reason);
    if (is_permanent(code))
        return err_perm(e, "%s: %s", context, text);
    err_temp(e, "%s: %s", context, text);
    if (code == ENOSPC || code == EDQUOT)
        err_client(e, "No space left for mail, try again later");
    return -1;
}

int store_dir_open(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int store_file_open(int at, const char *name, int flags, struct stat *st)
{
    struct stat own;
    int fd = openat(at, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) {
        /* a symbolic link; a FIFO or device without a peer; a directory opened for writing */
        if (errno == ELOOP || errno == ENXIO || errno == EISDIR)
            errno = EINVAL;
        return -1;
    }
    if (fstat(fd, st ? st : &own) < 0 || !S_ISREG((st ? st : &own)->st_mode)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

int store_file_read(int at, const char *name, struct buf *b, size_t max, struct err *e)
{
    struct stat st;
    AUTO_FD fd = store_file_open(at, name, O_RDONLY, &st);
    if (fd < 0)
        return errno == ENOENT ? 1 : store_errno(e, "open %s", name);
    if ((uint64_t)st.st_size > max)
        return err_temp(e, "%s: larger than %zu bytes", name, max);
    if (fd_read_all(fd, b, max) < 0)
        return store_errno(e, "read %s", name);
    return 0;
}

/* Gives the file a later second than *seen has, where there is one, and *seen what it is then. */
static int date_after(int fd, struct stat *seen)
{
    struct stat st;
    if (!seen)
        return 0;
    if (fstat(fd, &st) < 0)
        return -1;
    struct timespec when[2] = {{.tv_nsec = UTIME_OMIT},
                               {.tv_sec = seen->st_mtime + 1, .tv_nsec = st.st_mtim.tv_nsec}};
    if (st.st_mtime <= seen->st_mtime && futimens(fd, when) < 0)
        return -1;
    return fstat(fd, seen);
}

static int replace_by(int at, const char *tmp, const char *name, struct str data, struct stat *seen,
                      struct err *e)
{
    AUTO_FD fd = store_file_open(at, tmp, O_WRONLY | O_CREAT | O_EXCL, NULL);
    if (fd < 0)
        return store_errno(e, "create %s for %s", tmp, name);
    if (fd_write_all(fd, data.p, data.n) < 0 || date_after(fd, seen) < 0 || fsync(fd) < 0 ||
        renameat(at, tmp, at, name) < 0) {
        store_errno(e, "write %s", name);
        unlinkat(at, tmp, 0);
        return -1;
    }
    return store_dir_sync(at, e);
}

int store_file_replace(int at, const char *name, struct str data, struct err *e)
{
    char tmp[64];
    store_random_name(tmp, ".facteur-");
    return replace_by(at, tmp, name, data, NULL, e);
}

int store_file_replace_locked(int at, const char *name, struct str data, struct stat *seen, struct err *e)
{
    char tmp[STORE_NAME_MAX + 1];
    snprintf(tmp, sizeof tmp, "%s.tmp", name);
    unlinkat(at, tmp, 0);
    return replace_by(at, tmp, name, data, seen, e);
}

int store_file_move(int from_dir, const char *from, int to_dir, const char *to)
{
    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(from_dir, from, to_dir, to, 0) < 0)
        return -1;
    return unlinkat(from_dir, from, 0);
}

int store_dir_sync(int dir_fd, struct err *e)
{
    return fsync(dir_fd) < 0 ? store_errno(e, "fsync of a directory") : 0;
}

/* 1: nothing is there. */
static int is_dir(int at, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 1 : store_errno(e, "stat %s", name);
    return S_ISDIR(st.st_mode) ? 0 : err_temp(e, "%s: not a directory", name);
}

int store_dir_make(int at, const char *name, bool *made, struct err *e)
{
    if (made)
        *made = false;
    /* It is there nearly always, and a mkdir that fails has locked the parent against all others. */
    int r = is_dir(at, name, e);
    if (r != 1)
        return r;
    if (mkdirat(at, name, 0700) == 0) {
        if (made)
            *made = true;
        return 0;
    }
    if (errno != EEXIST)
        return store_errno(e, "mkdir %s", name);
    r = is_dir(at, name, e);
    return r == 1 ? err_temp(e, "%s: appears and vanishes again", name) : r;
}

int store_dir_each(int dir_fd, int (*fn)(void *, struct str, unsigned char), void *ctx, struct err *e)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        store_errno(e, "open directory");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    int r = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(d);
        if (!entry) {
            r = errno ? store_errno(e, "read directory") : 0;
            break;
        }
        struct str name = str_from(entry->d_name);
        if (str_eq(name, STR(".")) || str_eq(name, STR("..")))
            continue;
        if ((r = fn(ctx, name, entry->d_type)) != 0)
            break;
    }
    closedir(d);
    return r;
}

struct removal {
    int fd;
    unsigned depth;
    struct err *e;
};

static int remove_entry(void *ctx, struct str name, unsigned char type)
{
    struct removal *r = ctx;
    (void)type;
    if (unlinkat(r->fd, name.p, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return store_errno(r->e, "remove %s", name.p);
    if (r->depth == 0)
        return err_temp(r->e, "%s: directories nested too deep to remove", name.p);
    return store_dir_remove(r->fd, name.p, r->depth - 1, r->e);
}

int store_dir_remove(int at, const char *name, unsigned depth, struct err *e)
{
    AUTO_FD fd = store_dir_open(at, name);
    if (fd < 0)
        return errno == ENOENT ? 0 : store_errno(e, "open %s", name);
    struct removal r = {fd, depth, e};
    if (store_dir_each(fd, remove_entry, &r, e) != 0)
        return -1;
    if (unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return store_errno(e, "rmdir %s", name);
    return 0;
}

void store_random_name(char out[64], const char *prefix)
{
    uint64_t r;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r)
        abort();
    snprintf(out, 64, "%s%016llx", prefix, (unsigned long long)r);
}
