/* What surrounds a running master: its directories, its process file, the service manager. */
#include "master/master.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- directories --- */

static int make_directory(const char *path, mode_t mode, const struct identity *owner,
                          struct err *e)
{
    if (mkdir(path, mode) != 0)
        return errno == EEXIST ? 0 : err_perm(e, "mkdir %s: %s", path, strerror(errno));
    if (chmod(path, mode) != 0 || (owner->uid && chown(path, owner->uid, owner->gid) != 0)) {
        err_perm(e, "%s: %s", path, strerror(errno));
        rmdir(path);
        return -1;
    }
    return 0;
}

/* Nobody else's, and nobody else may write in it. */
static int check_own(const char *path, mode_t never, uid_t owner, struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return err_perm(e, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != owner || (st.st_mode & never))
        return err_perm(e, "%s: must be a directory of uid %u without mode bits %04o", path,
                        (unsigned)owner, (unsigned)never);
    return 0;
}

static int check_empty(const char *path, struct err *e)
{
    DIR *d = opendir(path);
    if (!d)
        return err_perm(e, "%s: %s", path, strerror(errno));
    unsigned n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n <= 2 ? 0 : err_perm(e, "%s: must be empty", path);
}

int life_directories(const struct material *m, char *empty_root, size_t n, struct err *e)
{
    static const struct identity nobody = {0, 0};
    const struct identity *queue = &m->user[KIND_QUEUE];
    AUTO_FREE char *run = mem_strdup(m->cfg->run_directory);
    AUTO_FREE char *spool = mem_strdup(m->cfg->queue_directory);
    if ((size_t)snprintf(empty_root, n, "%s/empty", run) >= n)
        return err_perm(e, "run_directory: is too long");
    if (make_directory(run, 0755, &nobody, e) != 0 || check_own(run, 0022, geteuid(), e) != 0)
        return -1;
    if (make_directory(empty_root, 0555, &nobody, e) != 0 ||
        check_own(empty_root, 0222, geteuid(), e) != 0 || check_empty(empty_root, e) != 0)
        return -1;
    if (make_directory(spool, 0700, queue, e) != 0)
        return -1;
    return check_own(spool, 0077, m->own_uids ? queue->uid : geteuid(), e);
}

/* --- process file --- */

static void pid_path(const struct material *m, char out[4096])
{
    snprintf(out, 4096, "%.*s/facteurd.pid", STR_FMT(m->cfg->run_directory));
}

static pid_t read_pid(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* The file we locked is still the one of that name: its last owner may have removed it meanwhile. */
static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int life_lock(const struct material *m, pid_t *running, struct err *e)
{
    char path[4096];
    pid_path(m, path);
    *running = 0;
    for (int tries = 0; tries < 10; tries++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0) {
            err_perm(e, "%s: %s", path, strerror(errno));
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            *running = read_pid(fd);
            close(fd);
            err_perm(e, "facteurd runs already, as process %d (%s)", (int)*running, path);
            return -1;
        }
        if (same_file(fd, path))
            return fd;
        close(fd);
    }
    err_perm(e, "%s: cannot be locked", path);
    return -1;
}

int life_write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n ? 0 : -1;
}

void life_unlock(const struct material *m, int fd)
{
    char path[4096];
    pid_path(m, path);
    unlink(path);
    close(fd);
}

bool life_running(const struct material *m)
{
    char path[4096];
    pid_path(m, path);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* --- the service manager --- */

void life_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof sa.sun_path)
        return;
    size_t n = strlen(path);
    memcpy(sa.sun_path, path, n);
    if (sa.sun_path[0] == '@')
        sa.sun_path[0] = '\0'; /* the abstract namespace */
    AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd < 0 ||
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa, length) < 0)
        log_warning("notify", LZ("socket", path), LZ("why", strerror(errno)));
}
