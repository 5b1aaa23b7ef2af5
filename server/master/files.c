/* Files that the configuration names, and who else could read or change them. */
#include "master/material.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT (1024 * 1024)

/* Root's files are root's; those of a trial are the caller's or root's. */
static bool owner_is_right(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

static bool group_may_read(const struct material *m, gid_t gid)
{
    return gid == 0 || gid == getegid() || (m->own_uids && gid == m->user[KIND_DIRECTORY].gid);
}

static bool mode_is_right(const struct material *m, const struct stat *st, bool secret)
{
    if (!secret)
        return !(st->st_mode & 022);
    return !(st->st_mode & 037) && (!(st->st_mode & 040) || group_may_read(m, st->st_gid));
}

/* "root:facteur-directory", or the caller's own name. */
static void right_owner(const struct material *m, bool secret, char *out, size_t n)
{
    char room[16384];
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    if (m->own_uids && !secret) {
        snprintf(out, n, "root");
    } else if (m->own_uids) {
        getgrgid_r(m->user[KIND_DIRECTORY].gid, &gr, room, sizeof room, &group);
        snprintf(out, n, "root:%s", group ? group->gr_name : "root");
    } else {
        getpwuid_r(geteuid(), &pw, room, sizeof room, &user);
        snprintf(out, n, "%s", user ? user->pw_name : "you");
    }
}

static int judge(const struct material *m, const char *option, const char *path,
                 const struct stat *st, bool secret, struct findings *f)
{
    char owner[128];
    if (!S_ISREG(st->st_mode)) {
        finding_error(f, "%s: %s: is no regular file", option, path);
        return -1;
    }
    bool group_bad = secret && (st->st_mode & 040) && !group_may_read(m, st->st_gid);
    bool owner_bad = !owner_is_right(st) || group_bad;
    bool mode_bad = !mode_is_right(m, st, secret);
    if (!owner_bad && !mode_bad)
        return 0;
    right_owner(m, secret, owner, sizeof owner);
    AUTO_BUF mend = {0};
    if (owner_bad)
        buf_printf(&mend, "chown %s %s && ", owner, path);
    buf_printf(&mend, "chmod %s %s", secret ? "0640" : "go-w", path);
    finding_error(f, "%s: %s: belongs to %u:%u with mode %04o, %s: %s", option, path,
                  (unsigned)st->st_uid, (unsigned)st->st_gid, (unsigned)st->st_mode & 07777,
                  secret ? "and holds a secret" : "so that others could change it", buf_z(&mend));
    return -1;
}

/* Opens it, and looks at what was opened; where it cannot be opened, at its name. */
static int open_judged(const struct material *m, const char *option, const char *path, bool secret,
                       struct findings *f)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int why = errno;
    if ((fd >= 0 ? fstat(fd, &st) : stat(path, &st)) != 0) {
        finding_error(f, "%s: %s: %s", option, path, strerror(errno));
        fd_closep(&fd);
        return -1;
    }
    if (judge(m, option, path, &st, secret, f) != 0)
        fd_closep(&fd);
    else if (fd < 0)
        finding_error(f, "%s: %s: %s", option, path, strerror(why));
    return fd;
}

int file_read(const struct material *m, const char *option, const char *path, bool secret,
              struct buf *out, struct findings *f)
{
    AUTO_FD fd = open_judged(m, option, path, secret, f);
    if (fd < 0)
        return -1;
    size_t before = out->n;
    if (fd_read_all(fd, out, before + FILE_LIMIT) != 0) {
        finding_error(f, "%s: %s: %s", option, path, strerror(errno));
        return -1;
    }
    return 0;
}

void file_check(const struct material *m, const char *option, const char *path, bool secret,
                struct findings *f)
{
    int fd = open_judged(m, option, path, secret, f);
    fd_closep(&fd);
}
