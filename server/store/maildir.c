/* Making a Maildir++ whole, opening it, and clearing what crashed writers left in tmp/. */
#include "store/maildir.h"
#include "base/clock.h"
#include "store/folders.h"
#include "store/uidlist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define STALE_SECONDS (36 * 3600)

int store_maildir_complete(int dir_fd, struct err *e)
{
    static const char *const sub[] = {"tmp", "new", "cur"};
    bool made, any = false;
    for (size_t i = 0; i < 3; i++) {
        if (store_dir_make(dir_fd, sub[i], &made, e) != 0)
            return -1;
        any |= made;
    }
    return any ? store_dir_sync(dir_fd, e) : 0;
}

/* The folders that a new mailbox has, and their subscriptions. */
static int fill(int fd, struct err *e)
{
    static const char *const folder[] = {"Sent", "Drafts", "Trash", "Junk", "Archive"};
    AUTO_BUF text = BUF_MAX(4096);
    if (store_maildir_complete(fd, e) != 0 || store_uidlist_create(fd, fd, e) != 0)
        return -1;
    buf_str(&text, STR("V\t2\n\n"));
    for (size_t i = 0; i < sizeof folder / sizeof folder[0]; i++) {
        if (store_folder_create(fd, str_from(folder[i]), e) != 0)
            return -1;
        buf_printf(&text, "%s\n", folder[i]);
    }
    return store_file_replace(fd, "subscriptions", buf_view(&text), e);
}

/* Makes the maildir under a temporary name, complete, and renames it. EEXIST is fine. */
static int make(int home_path, const char *name, struct err *e)
{
    char tmp[64];
    AUTO_FD home = openat(home_path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (home < 0)
        return store_errno(e, "open the home");
    store_random_name(tmp, ".facteur-new-");
    if (mkdirat(home, tmp, 0700) < 0)
        return store_errno(e, "mkdir %s", tmp);
    AUTO_FD fd = store_dir_open(home, tmp);
    int r = fd < 0 ? store_errno(e, "open %s", tmp) : fill(fd, e);
    if (r == 0 && renameat2(home, tmp, home, name, RENAME_NOREPLACE) == 0)
        return store_dir_sync(home, e);
    if (r == 0 && errno != EEXIST)
        r = store_errno(e, "rename %s to %s", tmp, name);
    store_dir_remove(home, tmp, 3, NULL);
    return r;
}

int store_maildir_open(int home_fd, struct str name, bool create, int *fd, struct err *e)
{
    char z[STORE_NAME_MAX + 1];
    *fd = -1;
    if (name.n == 0 || name.n > STORE_NAME_MAX || name.p[0] == '.' || str_find(name, '/') >= 0 ||
        str_find(name, '\0') >= 0)
        return err_temp(e, "maildir name \"%.*s\": not one plain component", STR_FMT(name));
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    *fd = store_dir_open(home_fd, z);
    if (*fd < 0 && errno == ENOENT && create) {
        if (make(home_fd, z, e) != 0)
            return -1;
        *fd = store_dir_open(home_fd, z);
    }
    if (*fd < 0)
        return store_errno(e, "open maildir %s", z);
    if (store_maildir_complete(*fd, e) == 0)
        return 0;
    fd_closep(fd);
    return -1;
}

int64_t store_maildir_now(int dir_fd)
{
    const struct timespec touch[] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    struct stat st;
    if (utimensat(dir_fd, "tmp", touch, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(dir_fd, "tmp", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return clock_real_us() * 1000;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

struct cleaning {
    int fd;
    int64_t now;
};

static int clean_one(void *ctx, struct str name, unsigned char type)
{
    struct cleaning *c = ctx;
    struct stat st;
    (void)type;
    /* ctime: a file's mtime may be the date of an old message (RFC 3501 section 6.3.11) */
    if (fstatat(c->fd, name.p, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        st.st_ctime > c->now - STALE_SECONDS || st.st_mtime > c->now - STALE_SECONDS)
        return 0;
    if (S_ISDIR(st.st_mode) && str_starts(name, STR("facteur-gone-")))
        (void)store_dir_remove(c->fd, name.p, 2, NULL);
    if (S_ISREG(st.st_mode))
        unlinkat(c->fd, name.p, 0);
    return 0;
}

int store_maildir_clean(int dir_fd, int64_t now, struct err *e)
{
    AUTO_FD tmp = store_dir_open(dir_fd, "tmp");
    if (tmp < 0)
        return store_errno(e, "open tmp");
    struct cleaning c = {tmp, now};
    return store_dir_each(tmp, clean_one, &c, e);
}
