/* Taking, checking and leaving lock files. */
#include "store/dotlock.h"
#include "store/maildir.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A lock younger than this is not looked into: its holder may not have written its pid yet. */
#define YOUNG_SECONDS 2
/* Who says his pid does so at once. Where all do, a lock that has none after this long was left by somebody who
 * died between both steps. */
#define PID_SECONDS 10

static void host_name(char out[256])
{
    if (gethostname(out, 255) < 0)
        out[0] = '\0';
    out[255] = '\0';
}

/* The pid in the lock when it is one of this host; -1 otherwise. */
static pid_t lock_pid(int dir_fd, const char *path)
{
    char host[256];
    AUTO_BUF b = BUF_MAX(1024);
    struct str text, pid_text;
    uint32_t pid;
    AUTO_FD fd = store_file_open(dir_fd, path, O_RDONLY, NULL);
    if (fd < 0 || !buf_room(&b, 600))
        return -1;
    ssize_t n = pread(fd, b.p, 600, 0);
    if (n <= 0)
        return -1;
    text = str_trim((struct str){b.p, (size_t)n});
    ptrdiff_t colon = str_find(text, ':');
    host_name(host);
    if (colon < 0 || !str_eq(str_skip(text, (size_t)colon + 1), str_from(host)))
        return -1;
    pid_text = str_head(text, (size_t)colon);
    if (str_u32(pid_text, &pid) < 0 || pid == 0 || pid > INT32_MAX)
        return -1;
    return (pid_t)pid;
}

static int64_t last_change(const struct stat *st, int64_t now)
{
    return st->st_mtime <= now && st->st_mtime > st->st_ctime ? st->st_mtime : st->st_ctime;
}

static bool is_young(const struct stat *st, int64_t now)
{
    return st->st_mtime >= now - YOUNG_SECONDS && st->st_mtime <= now;
}

/* Whether the holder of this lock is dead, by the rules Dovecot goes by, and by PID_SECONDS. */
static bool is_stale(const struct store_dotlock *l, const struct stat *st, int stale_seconds, bool all_say)
{
    struct stat target;
    int64_t now = clock_real_us() / 1000000;
    if (is_young(st, now))
        return false;
    now = store_maildir_now(l->dir_fd) / 1000000000;
    if (is_young(st, now))
        return false;
    pid_t pid = lock_pid(l->dir_fd, l->path);
    int64_t changed = last_change(st, now);
    bool before_boot = now > changed + stale_seconds && now > changed + clock_up_us() / 1000000;
    if (pid == getpid() || (pid > 0 && before_boot))
        return true; /* left by an earlier process of this number */
    if (pid > 0)
        return kill(pid, 0) < 0 && errno == ESRCH;
    if (all_say && st->st_size == 0 && now > changed + PID_SECONDS)
        return true;
    if (fstatat(l->dir_fd, l->target, &target, AT_SYMLINK_NOFOLLOW) == 0 &&
        last_change(&target, now) > changed)
        changed = last_change(&target, now);
    return now > changed + stale_seconds;
}

/* Removes exactly the lock that was judged stale: it is moved aside first, and put back when it turns
 * out to be a fresh one that another waiter has just taken. Where that cannot be, a third one holds it,
 * and the fresh one's owner finds out when it looks. */
static void take_over(const struct store_dotlock *l, const struct stat *stale)
{
    char aside[64];
    struct stat st;
    store_random_name(aside, ".facteur-stale-");
    if (renameat(l->dir_fd, l->path, l->dir_fd, aside) < 0)
        return;
    if (fstatat(l->dir_fd, aside, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (st.st_ino != stale->st_ino || st.st_dev != stale->st_dev))
        (void)!linkat(l->dir_fd, aside, l->dir_fd, l->path, 0);
    unlinkat(l->dir_fd, aside, 0);
}

static int write_pid(struct store_dotlock *l)
{
    char host[256], text[300];
    host_name(host);
    int n = snprintf(text, sizeof text, "%ld:%s", (long)getpid(), host);
    return fd_write_all(l->fd, text, (size_t)n);
}

/* 0 when created, 1 when somebody holds it, -1 and errno. */
static int try_create(struct store_dotlock *l)
{
    struct stat st;
    l->fd = openat(l->dir_fd, l->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (l->fd < 0)
        return errno == EEXIST ? 1 : -1;
    if (fstat(l->fd, &st) < 0 || write_pid(l) < 0) {
        int code = errno;
        unlinkat(l->dir_fd, l->path, 0);
        fd_closep(&l->fd);
        errno = code;
        return -1;
    }
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    return 0;
}

int store_dotlock_take(struct store_dotlock *l, int dir_fd, const char *name, int stale_seconds,
                       bool all_say, struct err *e)
{
    *l = (struct store_dotlock)STORE_DOTLOCK_NONE;
    l->dir_fd = dir_fd;
    snprintf(l->target, sizeof l->target, "%s", name);
    snprintf(l->path, sizeof l->path, "%s.lock", name);
    int64_t deadline = clock_mono_ms() + (stale_seconds + 2) * 1000;
    for (long wait_ms = 2;; wait_ms = wait_ms < 100 ? wait_ms * 2 : 100) {
        struct stat st;
        int r = try_create(l);
        if (r == 0)
            return 0;
        if (r < 0)
            return store_errno(e, "lock %s", l->path);
        if (fstatat(dir_fd, l->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            is_stale(l, &st, stale_seconds, all_say)) {
            take_over(l, &st);
            continue;
        }
        if (clock_mono_ms() >= deadline) {
            err_temp(e, "%s: another program holds the lock", l->path);
            return err_client(e, "The mailbox is locked by another program, try again later");
        }
        nanosleep(&(struct timespec){.tv_nsec = wait_ms * 1000000}, NULL);
    }
}

bool store_dotlock_held(const struct store_dotlock *l)
{
    struct stat st;
    return l->fd >= 0 && fstatat(l->dir_fd, l->path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_ino == l->ino && st.st_dev == l->dev;
}

void store_dotlock_drop(struct store_dotlock *l)
{
    if (store_dotlock_held(l))
        unlinkat(l->dir_fd, l->path, 0);
    fd_closep(&l->fd);
}

int store_dotlock_replace(struct store_dotlock *l, struct str data, struct err *e)
{
    if (!store_dotlock_held(l))
        return err_temp(e, "%s: the lock was taken over by another program", l->path);
    return store_file_replace_locked(l->dir_fd, l->target, data, NULL, e);
}
