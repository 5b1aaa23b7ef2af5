/* The preloaded side of fault.h. It runs inside confined programs: no descriptor is kept, nothing is
 * allocated, and the shared file is mapped before main() begins. FACTEUR_FAULT names it. */
#include "fault.h"
#include "opens.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static struct fault_shared *shared;
static unsigned me = FAULT_PROGRAMS;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static long raw(long number, long a, long b, long c, long d, long e)
{
    long (*call)(long, ...) = (long (*)(long, ...))real("syscall");
    return call(number, a, b, c, d, e);
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FACTEUR_FAULT");
    int fd = path ? (int)raw(SYS_openat, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0) : -1;
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return;
    struct fault_shared *s = p;
    for (unsigned i = 0; i < FAULT_PROGRAMS; i++)
        if (strcmp(s->names[i], program_invocation_short_name) == 0)
            me = i;
    if (me < FAULT_PROGRAMS)
        shared = s;
}

/* At once and without any cleaning up. No filter of system calls refuses this one, as they do kill(). */
static _Noreturn void die(void)
{
    for (;;)
        raw(SYS_exit_group, 128 + SIGKILL, 0, 0, 0, 0);
}

static bool chosen(enum fault_call call, uint64_t number)
{
    return atomic_load(&shared->armed) && shared->call == call && shared->at == number &&
           strcmp(shared->program, program_invocation_short_name) == 0;
}

/* True: the call shall fail with errno set. *after: the program dies when the call is done. */
static bool strikes(enum fault_call call, bool *after)
{
    *after = false;
    if (!shared)
        return false;
    if (atomic_load(&shared->frozen))
        die();
    uint64_t number = atomic_fetch_add(&shared->counts[me][call], 1) + 1;
    if (!chosen(call, number))
        return false;
    if (shared->action == FAULT_POWER)
        atomic_store(&shared->frozen, 1);
    atomic_store(&shared->fired, 1);
    if (shared->action == FAULT_KILL || shared->action == FAULT_POWER)
        die();
    *after = shared->action == FAULT_KILL_AFTER;
    errno = (int)shared->error;
    return shared->action == FAULT_FAIL;
}

static struct fault_event *event_new(enum fault_call call)
{
    uint64_t i = atomic_fetch_add(&shared->events, 1);
    struct fault_event *e = i < FAULT_EVENTS ? &shared->event[i] : NULL;
    if (e)
        e->call = call;
    return e;
}

static void name_set(char *to, const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(to, FAULT_NAME, "%s", slash ? slash + 1 : path);
}

/* The inode of the directory that path lies in. */
static uint64_t dir_of(int at, const char *path)
{
    char dir[4096];
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (!slash)
        return (at == AT_FDCWD ? fstatat(AT_FDCWD, ".", &st, 0) : fstat(at, &st)) == 0 ? st.st_ino : 0;
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof dir)
        return 0;
    memcpy(dir, path, length);
    dir[length] = '\0';
    return fstatat(at, dir, &st, 0) == 0 ? st.st_ino : 0;
}

static void event_ready(struct fault_event *e)
{
    if (e)
        atomic_store(&e->ready, 1);
}

/* --- bytes --- */

static enum fault_call write_kind(int fd, struct stat *st)
{
    if (!shared || fstat(fd, st) != 0)
        return FAULT_CALLS;
    return S_ISREG(st->st_mode) ? FAULT_WRITE : S_ISSOCK(st->st_mode) ? FAULT_SEND : FAULT_CALLS;
}

static void wrote(const struct stat *st, off_t from, ssize_t n)
{
    int saved = errno;
    bool ours = n > 0 && from >= 0 && st->st_dev == shared->device;
    struct fault_event *e = ours ? event_new(FAULT_WRITE) : NULL;
    if (e) {
        e->inode = st->st_ino;
        e->size = (uint64_t)st->st_size;
        e->end = (uint64_t)(from + n);
        event_ready(e);
    }
    errno = saved;
}

static off_t place(int fd, const struct stat *st)
{
    int flags = fcntl(fd, F_GETFL);
    return flags & O_APPEND ? st->st_size : lseek(fd, 0, SEEK_CUR);
}

/* OFFSET: where in a regular file the bytes go; a failing write leaves half of them behind, as a full
 * disk does. */
#define WRITES(fd, OFFSET, CALL, HALF)                                                             \
    struct stat st;                                                                                \
    bool after = false;                                                                            \
    enum fault_call kind = write_kind(fd, &st);                                                    \
    bool fails = kind != FAULT_CALLS && strikes(kind, &after);                                     \
    off_t from = kind == FAULT_WRITE ? (OFFSET) : -1;                                              \
    if (fails && kind == FAULT_WRITE) {                                                            \
        int error = errno;                                                                         \
        wrote(&st, from, HALF);                                                                    \
        errno = error;                                                                             \
    }                                                                                              \
    ssize_t done = fails ? -1 : (CALL);                                                            \
    if (kind == FAULT_WRITE)                                                                       \
        wrote(&st, from, done);                                                                    \
    if (after)                                                                                     \
        die();                                                                                     \
    return done

ssize_t write(int fd, const void *p, size_t n)
{
    WRITES(fd, place(fd, &st), REAL(write)(fd, p, n), REAL(write)(fd, p, n / 2));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    WRITES(fd, at, REAL(pwrite)(fd, p, n, at), REAL(pwrite)(fd, p, n / 2, at));
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    WRITES(fd, at, REAL(pwrite)(fd, p, n, at), REAL(pwrite)(fd, p, n / 2, at));
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    WRITES(fd, place(fd, &st), REAL(writev)(fd, v, n), REAL(writev)(fd, v, n / 2));
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    WRITES(fd, -1, REAL(sendmsg)(fd, m, flags), 0);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    WRITES(fd, -1, REAL(send)(fd, p, n, flags), 0);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t l)
{
    WRITES(fd, -1, REAL(sendto)(fd, p, n, flags, to, l), 0);
}

int ftruncate(int fd, off_t size)
{
    struct stat st = {0};
    bool after = false;
    if (write_kind(fd, &st) == FAULT_WRITE && strikes(FAULT_WRITE, &after))
        return -1;
    int done = REAL(ftruncate)(fd, size);
    if (shared && done == 0 && size > st.st_size)
        wrote(&st, st.st_size, size - st.st_size);
    if (after)
        die();
    return done;
}

ssize_t copy_file_range(int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags)
{
    WRITES(out, out_at ? *out_at : place(out, &st),
           REAL(copy_file_range)(in, in_at, out, out_at, n, flags), 0);
}

ssize_t sendfile(int out, int in, off_t *at, size_t n)
{
    WRITES(out, place(out, &st), REAL(sendfile)(out, in, at, n), 0);
}

/* --- syncing --- */

static struct fault_event *sync_event(int fd)
{
    struct stat st;
    struct fault_event *e = NULL;
    if (shared && fstat(fd, &st) == 0 && st.st_dev == shared->device)
        e = event_new(FAULT_FSYNC);
    if (e)
        e->inode = st.st_ino;
    return e;
}

static int sync_call(int fd, int (*call)(int))
{
    bool after;
    if (strikes(FAULT_FSYNC, &after))
        return -1;
    int done = call(fd);
    if (done == 0)
        event_ready(sync_event(fd));
    if (after)
        die();
    return done;
}

int fsync(int fd)
{
    return sync_call(fd, REAL(fsync));
}

int fdatasync(int fd)
{
    return sync_call(fd, REAL(fdatasync));
}

/* Of bytes without what tells where they lie: nothing that a power cut has to spare. */
int sync_file_range(int fd, off_t from, off_t n, unsigned flags)
{
    bool after;
    if (strikes(FAULT_FSYNC, &after))
        return -1;
    int done = REAL(sync_file_range)(fd, from, n, flags);
    if (after)
        die();
    return done;
}

/* --- names --- */

static void moved(enum fault_call call, int from_at, const char *from, int to_at, const char *to,
                  uint64_t kept)
{
    struct stat st;
    int saved = errno;
    struct fault_event *e = event_new(call);
    if (e) {
        e->dir = from ? dir_of(from_at, from) : 0;
        e->to_dir = to ? dir_of(to_at, to) : 0;
        e->kept = kept;
        if (from)
            name_set(e->name, from);
        if (to)
            name_set(e->to_name, to);
        if (to && fstatat(to_at, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
            e->inode = st.st_ino;
        event_ready(e);
    }
    errno = saved;
}

/* A rename that replaces a file leaves the old one beside it under a number of its own, so that the
 * rename can be taken back. 0: it replaced nothing. */
static uint64_t keep_replaced(int at, const char *to)
{
    char kept[4096];
    const char *slash = strrchr(to, '/');
    int dir = slash ? (int)(slash - to) + 1 : 0;
    int saved = errno;
    uint64_t number = atomic_fetch_add(&shared->kept, 1) + 1;
    snprintf(kept, sizeof kept, "%.*s.fault-%llu", dir, to, (unsigned long long)number);
    bool done = REAL(linkat)(at, to, at, kept, 0) == 0;
    errno = saved;
    return done ? number : 0;
}

#define MOVES(KIND, FROM_AT, FROM, TO_AT, TO, CALL)                                                \
    bool after;                                                                                    \
    if (strikes(KIND, &after))                                                                     \
        return -1;                                                                                 \
    uint64_t kept = shared && (KIND) == FAULT_RENAME ? keep_replaced(TO_AT, TO) : 0;               \
    int done = (CALL);                                                                             \
    if (shared && done == 0)                                                                       \
        moved(KIND, FROM_AT, FROM, TO_AT, TO, kept);                                                \
    if (after)                                                                                     \
        die();                                                                                     \
    return done

int rename(const char *from, const char *to)
{
    MOVES(FAULT_RENAME, AT_FDCWD, from, AT_FDCWD, to, REAL(rename)(from, to));
}

int renameat(int a, const char *from, int b, const char *to)
{
    MOVES(FAULT_RENAME, a, from, b, to, REAL(renameat)(a, from, b, to));
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    MOVES(FAULT_RENAME, a, from, b, to, REAL(renameat2)(a, from, b, to, flags));
}

int link(const char *from, const char *to)
{
    MOVES(FAULT_LINK, AT_FDCWD, NULL, AT_FDCWD, to, REAL(link)(from, to));
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    MOVES(FAULT_LINK, a, NULL, b, to, REAL(linkat)(a, from, b, to, flags));
}

int unlink(const char *path)
{
    MOVES(FAULT_UNLINK, AT_FDCWD, path, AT_FDCWD, NULL, REAL(unlink)(path));
}

int unlinkat(int at, const char *path, int flags)
{
    MOVES(FAULT_UNLINK, at, path, at, NULL, REAL(unlinkat)(at, path, flags));
}

/* --- opening --- */

static bool exists(int at, const char *path)
{
    struct stat st;
    int saved = errno;
    bool there = fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    errno = saved;
    return there;
}

static int opens(int at, const char *path, uint64_t flags, int (*call)(void *), void *how)
{
    bool after = false;
    bool creates = (flags & O_CREAT) != 0 && shared;
    bool is_new = creates && !exists(at, path);
    if (creates && strikes(FAULT_OPEN, &after))
        return -1;
    int fd = call(how);
    if (is_new && fd >= 0)
        moved(FAULT_OPEN, at, NULL, at, path, 0);
    if (after)
        die();
    return fd;
}

struct plain_open {
    int at, flags;
    const char *path;
    mode_t mode;
};

static int open_plain(void *how)
{
    struct plain_open *o = how;
    return (int)raw(SYS_openat, o->at, (long)o->path, o->flags, o->mode, 0);
}

static int opens_plain(int at, const char *path, int flags, mode_t mode)
{
    struct plain_open o = {at, flags | O_LARGEFILE, path, mode};
    return opens(at, path, (uint64_t)o.flags, open_plain, &o);
}

static int open_how(void *how)
{
    long *a = how;
    return (int)raw(SYS_openat2, a[0], a[1], a[2], a[3], 0);
}

long syscall(long number, ...)
{
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2)
        return opens((int)a[0], (const char *)a[1], ((const struct open_how *)a[2])->flags, open_how, a);
    return raw(number, a[0], a[1], a[2], a[3], a[4]);
}

/* --- what takes a descriptor or a process --- */

#define TAKES(KIND, CALL)                                                                          \
    bool after;                                                                                    \
    if (strikes(KIND, &after))                                                                     \
        return -1;                                                                                 \
    int done = (CALL);                                                                             \
    if (after && ((KIND) != FAULT_FORK || done > 0)) /* a child lives on */                         \
        die();                                                                                     \
    return done

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
    TAKES(FAULT_ACCEPT, REAL(accept4)(fd, from, n, flags));
}

int memfd_create(const char *name, unsigned flags)
{
    TAKES(FAULT_MEMFD, REAL(memfd_create)(name, flags));
}

pid_t fork(void)
{
    TAKES(FAULT_FORK, REAL(fork)());
}

/* --- SQLite --- */

struct sqlite3;
struct sqlite3_stmt;
int sqlite3_step(struct sqlite3_stmt *s);
const char *sqlite3_sql(struct sqlite3_stmt *s);
int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                 void *arg, char **error);

#define SQLITE_FULL 13

static _Thread_local bool in_exec; /* which steps by itself, and takes its result from elsewhere */

static bool is_commit(const char *sql)
{
    return sql && strncasecmp(sql, "COMMIT", 6) == 0;
}

int sqlite3_step(struct sqlite3_stmt *s)
{
    bool after = false;
    if (shared && !in_exec && is_commit(REAL(sqlite3_sql)(s)) && strikes(FAULT_COMMIT, &after))
        return SQLITE_FULL;
    int done = REAL(sqlite3_step)(s);
    if (after)
        die();
    return done;
}

int sqlite3_exec(struct sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                 void *arg, char **error)
{
    bool after = false;
    if (shared && is_commit(sql) && strikes(FAULT_COMMIT, &after))
        return SQLITE_FULL;
    in_exec = true;
    int done = REAL(sqlite3_exec)(db, sql, row, arg, error);
    in_exec = false;
    if (after)
        die();
    return done;
}

/* --- memory; a sanitizer brings its own --- */
#ifndef FAULT_NO_MALLOC

static bool memory_fails(void)
{
    bool after;
    bool fails = strikes(FAULT_MALLOC, &after);
    if (after)
        die();
    return fails;
}

void *malloc(size_t size)
{
    return memory_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return memory_fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return memory_fails() ? NULL : __libc_realloc(p, size);
}
#endif
