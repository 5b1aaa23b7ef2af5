/* Files of the queue. */
#include "queue/spool.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/syncer.h"
#include "store/fs.h"
#include "store/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MS 3000
#define ORPHAN_S 3600
#define CHUNK (256 * 1024)
#define NAME_SIZE 24

static void message_name(char name[NAME_SIZE], uint64_t id)
{
    snprintf(name, NAME_SIZE, "%llx", (unsigned long long)id);
}

/* --- opening --- */

/* Ours, and closed to others: what waits here is people's mail. */
static int check_directory(int fd, const char *path, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_perm(e, "%s: %s", path, strerror(errno));
    if (st.st_uid != geteuid())
        return err_perm(e, "%s belongs to uid %u; mend it: chown %u %s", path, (unsigned)st.st_uid,
                        (unsigned)geteuid(), path);
    if (st.st_mode & 077)
        return err_perm(e, "%s is open to others; mend it: chmod 700 %s", path, path);
    return 0;
}

static int open_directory(int at, const char *path, int *fd, struct err *e)
{
    if (mkdirat(at, path, 0700) != 0 && errno != EEXIST)
        return err_perm(e, "making %s: %s", path, strerror(errno));
    *fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0)
        return err_perm(e, "%s: %s", path, strerror(errno));
    return check_directory(*fd, path, e);
}

/* One that was just killed may hold the lock for a moment. */
static int take_lock(struct queue_spool *s, struct err *e)
{
    int64_t end = clock_mono_ms() + LOCK_MS;
    s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock < 0)
        return err_perm(e, "lock: %s", strerror(errno));
    while (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_perm(e, "lock: %s", strerror(errno));
        if (clock_mono_ms() > end)
            return err_temp(e, "locked: another queue program uses this directory");
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return 0;
}

int queue_spool_open(const char *path, struct queue_spool *s, struct err *e)
{
    *s = (struct queue_spool){-1, -1, -1, -1, queue_syncer_new()};
    if (open_directory(AT_FDCWD, path, &s->dir, e) != 0) {
        queue_spool_close(s);
        return -1;
    }
    if (take_lock(s, e) == 0 && open_directory(s->dir, "messages", &s->messages, e) == 0 &&
        open_directory(s->dir, "spool", &s->spool, e) == 0 && store_dir_sync(s->dir, e) == 0)
        return 0;
    queue_spool_close(s);
    return err_prefix(e, "%s", path);
}

void queue_spool_close(struct queue_spool *s)
{
    fd_closep(&s->messages);
    fd_closep(&s->spool);
    fd_closep(&s->lock);
    fd_closep(&s->dir);
    queue_syncer_free(s->syncer);
    s->syncer = NULL;
}

/* --- messages on their way in --- */

int queue_spool_blank(struct queue_spool *s, struct err *e)
{
    int fd = openat(s->spool, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    /* A file system without O_TMPFILE. */
    char name[64];
    store_random_name(name, "blank.");
    fd = openat(s->spool, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_temp(e, "spool: %s", strerror(errno));
    unlinkat(s->spool, name, 0);
    return fd;
}

int queue_spool_room(const struct queue_spool *s, uint64_t size, struct err *e)
{
    return store_disk_check(s->dir, size, e);
}

static bool no_room(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

static int write_bytes(int to, struct str bytes, bool *full, struct err *e)
{
    if (fd_write_all(to, bytes.p, bytes.n) == 0)
        return 0;
    *full = no_room(errno);
    return err_temp(e, "writing the message: %s", strerror(errno));
}

static int copy_bytes(int to, int from, uint64_t size, bool *full, struct err *e)
{
    AUTO_FREE char *chunk = mem_alloc(CHUNK);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        if (fd_pread_all(from, chunk, n, (off_t)at) != 0)
            return err_temp(e, "reading the message at %llu of %llu bytes: %s",
                            (unsigned long long)at, (unsigned long long)size, strerror(errno));
        if (write_bytes(to, (struct str){chunk, n}, full, e) != 0)
            return -1;
        at += n;
    }
    return 0;
}

int queue_spool_copy(struct queue_spool *s, uint64_t id, struct str prefix, int body_fd,
                     uint64_t size, struct queue_copy *why, struct err *e)
{
    struct stat st;
    char name[NAME_SIZE];
    *why = (struct queue_copy){false, false};
    if (fstat(body_fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_temp(e, "the message is not a file");
    message_name(name, id);
    int fd = openat(s->messages, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        *why = (struct queue_copy){no_room(errno), errno == EEXIST};
        return err_temp(e, "message file %s: %s", name, strerror(errno));
    }
    if (write_bytes(fd, prefix, &why->full, e) == 0 &&
        copy_bytes(fd, body_fd, size - prefix.n, &why->full, e) == 0)
        return fd;
    close(fd);
    queue_spool_remove(s, id);
    return -1;
}

int queue_spool_write(struct queue_spool *s, uint64_t id, struct str bytes, bool *full,
                      struct err *e)
{
    char name[NAME_SIZE];
    message_name(name, id);
    int fd = openat(s->messages, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    *full = fd < 0 && no_room(errno);
    if (fd < 0)
        return err_temp(e, "message file %s: %s", name, strerror(errno));
    if (fd_write_all(fd, bytes.p, bytes.n) == 0)
        return fd;
    *full = no_room(errno);
    err_temp(e, "message file %s: %s", name, strerror(errno));
    close(fd);
    queue_spool_remove(s, id);
    return -1;
}

int queue_spool_sync(struct queue_spool *s, const int *fds, size_t n, bool *full, struct err *e)
{
    AUTO_FREE int *all = mem_array(n + 1, sizeof *all);
    if (n == 0)
        return 0;
    /* All writing starts before the first wait, so that one journal commit serves them all. */
    for (size_t i = 0; i < n; i++) {
        sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
        all[i] = fds[i];
    }
    all[n] = s->messages; /* their names */
    if (queue_syncer_run(s->syncer, all, n + 1) == 0)
        return 0;
    *full = no_room(errno);
    return err_temp(e, "message files: fsync: %s", strerror(errno));
}

/* --- messages that wait --- */

int queue_spool_read(struct queue_spool *s, uint64_t id, uint64_t size, bool *missing,
                     struct err *e)
{
    struct stat st;
    char name[NAME_SIZE];
    message_name(name, id);
    int fd = openat(s->messages, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *missing = fd < 0 && errno == ENOENT;
    if (fd < 0)
        return err_temp(e, "message file %s: %s", name, strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size)
        return fd;
    close(fd);
    return err_temp(e, "message file %s: not the %llu bytes that were taken", name,
                    (unsigned long long)size);
}

void queue_spool_remove(struct queue_spool *s, uint64_t id)
{
    char name[NAME_SIZE];
    message_name(name, id);
    if (unlinkat(s->messages, name, 0) != 0 && errno != ENOENT)
        log_warning("queue-unlink", LZ("queue_id", name), LZ("why", strerror(errno)));
}

/* --- cleaning --- */

struct cleaning {
    struct queue_spool *s;
    queue_spool_known known;
    void *ctx;
    unsigned removed;
};

static bool parse_name(struct str name, uint64_t *id)
{
    *id = 0;
    if (name.n == 0 || name.n > 16 || name.p[0] == '0')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        ptrdiff_t digit = str_find(STR("0123456789abcdef"), name.p[i]);
        if (digit < 0)
            return false;
        *id = *id << 4 | (uint64_t)digit;
    }
    return true;
}

static int clean_message(void *arg, struct str name, unsigned char type)
{
    struct cleaning *c = arg;
    struct stat st;
    uint64_t id;
    (void)type;
    if (!parse_name(name, &id)) {
        log_warning("queue-unknown-file", LS("name", name));
        return 0;
    }
    /* Young ones stay: a person may be putting a saved queue back, files first. */
    if (c->known(c->ctx, id) || fstatat(c->s->messages, name.p, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        st.st_mtime > clock_real_us() / 1000000 - ORPHAN_S)
        return 0;
    if (unlinkat(c->s->messages, name.p, 0) == 0)
        c->removed++;
    return 0;
}

static int clean_blank(void *arg, struct str name, unsigned char type)
{
    struct cleaning *c = arg;
    (void)type;
    if (str_starts(name, STR("blank.")))
        unlinkat(c->s->spool, name.p, 0);
    return 0;
}

void queue_spool_clean(struct queue_spool *s, queue_spool_known known, void *ctx)
{
    struct cleaning c = {s, known, ctx, 0};
    struct err e = {0};
    if (store_dir_each(s->messages, clean_message, &c, &e) != 0 ||
        store_dir_each(s->spool, clean_blank, &c, &e) != 0)
        log_warning("queue-clean", LZ("why", e.log));
    if (c.removed)
        log_info("queue-clean", LN("removed", c.removed));
}
