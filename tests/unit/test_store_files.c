/* store/: homes, writing messages, delivery, locks, quota, watching; and what is in the way. */
#include "store/deliver.h"
#include "store/dotlock.h"
#include "store/home.h"
#include "store/maildir.h"
#include "store/quota.h"
#include "store/watch.h"
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- homes: as root for another uid, else for one's own ---- */

struct homes {
    struct fixture f;
    uid_t owner;
    char path[200];
};

static struct homes homes_new(void)
{
    struct homes h = {.f = fixture_new()};
    h.owner = h.f.uid;
    if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0 || chown(h.f.path, 0, 0) < 0))
        abort();
    chmod(h.f.path, 0755);
    return h;
}

static int make(struct homes *h, const char *rest, int *fd, struct err *e)
{
    snprintf(h->path, sizeof h->path, "%s/%s", h->f.path, rest);
    return store_home_make(h->f.path, str_from(h->path), h->owner, h->owner, fd, e);
}

/* Homes are opened by openat2(2), and nothing else will do. */
static bool no_openat2(void)
{
    return syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) < 0 && errno == ENOSYS &&
           unit_not_under_valgrind("this valgrind does not know openat2");
}

static void home_made(void)
{
    if (no_openat2())
        return;
    struct homes h = homes_new();
    struct err e;
    struct stat st;
    AUTO_FD fd = -1;
    CU_ASSERT_FATAL(make(&h, "example.org/a/alice", &fd, &e) == 0);
    CU_ASSERT(fstat(fd, &st) == 0 && st.st_uid == h.owner && (st.st_mode & 07777) == 0700);
    CU_ASSERT((fcntl(fd, F_GETFL) & O_PATH) != 0);
    CU_ASSERT(fstatat(h.f.fd, "example.org/a", &st, 0) == 0 && (st.st_mode & 07777) == 0755 &&
              st.st_uid == geteuid());
    CU_ASSERT(fixture_count(h.f.fd, ".") == 1 && fixture_count(h.f.fd, "example.org/a") == 1);
    AUTO_FD again = -1;
    CU_ASSERT(make(&h, "example.org/a/alice/", &again, &e) == 0);
    AUTO_FD open = -1;
    CU_ASSERT(store_home_open(h.f.path, str_from(h.path), h.owner, &open, &e) == 0);
    AUTO_FD none = -1;
    snprintf(h.path, sizeof h.path, "%s/example.org/bob", h.f.path);
    CU_ASSERT(store_home_open(h.f.path, str_from(h.path), h.owner, &none, &e) == 1 && none == -1);
    fixture_free(&h.f);
}

static void home_bad_paths(void)
{
    static const char *const bad[] = {"", "/", ".", "..", "a/../b", "a//b", "a/./b", "a/..", "x//"};
    struct homes h = homes_new();
    struct err e;
    int fd;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT(make(&h, bad[i], &fd, &e) == -1 && e.kind == ERR_TEMPORARY && fd == -1);
    CU_ASSERT(store_home_make(h.f.path, STR("/etc/x"), h.owner, h.owner, &fd, &e) == -1);
    CU_ASSERT(store_home_make(h.f.path, str_from(h.f.path), h.owner, h.owner, &fd, &e) == -1);
    CU_ASSERT(store_home_make(h.f.path, (struct str){0}, h.owner, h.owner, &fd, &e) == -1);
    snprintf(h.path, sizeof h.path, "%sx/a", h.f.path);
    CU_ASSERT(store_home_make(h.f.path, str_from(h.path), h.owner, h.owner, &fd, &e) == -1);
    CU_ASSERT(store_home_make("relative", STR("relative/a"), h.owner, h.owner, &fd, &e) == -1);
    CU_ASSERT(make(&h, "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", &fd, &e) == -1);
    snprintf(h.path, sizeof h.path, "%s/root", h.f.path);
    CU_ASSERT(store_home_make(h.f.path, str_from(h.path), 0, 0, &fd, &e) == -1);
    CU_ASSERT(store_home_make(h.f.path, str_from(h.path), (uid_t)-1, h.owner, &fd, &e) == -1);
    CU_ASSERT(store_home_make(h.f.path, str_from(h.path), h.owner, (gid_t)-1, &fd, &e) == -1);
    CU_ASSERT(fixture_count(h.f.fd, ".") == 0);
    fixture_free(&h.f);
}

static void home_in_the_way(void)
{
    if (no_openat2())
        return;
    struct homes h = homes_new();
    struct err e;
    int fd;
    CU_ASSERT_FATAL(symlinkat("/tmp", h.f.fd, "link") == 0 && mkfifoat(h.f.fd, "fifo", 0666) == 0);
    fixture_put(h.f.fd, "file", "x");
    CU_ASSERT(make(&h, "link", &fd, &e) == -1 && strstr(e.log, "symbolic link"));
    CU_ASSERT(make(&h, "link/deeper", &fd, &e) == -1 && strstr(e.log, "link"));
    CU_ASSERT(make(&h, "fifo", &fd, &e) == -1 && strstr(e.log, "fifo"));
    CU_ASSERT(make(&h, "file/deeper", &fd, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT_FATAL(mkdirat(h.f.fd, "open", 0777) == 0 && fchmodat(h.f.fd, "open", 0777, 0) == 0);
    CU_ASSERT(make(&h, "open/alice", &fd, &e) == -1 && strstr(e.log, "writable by others"));
    CU_ASSERT(make(&h, "open", &fd, &e) == -1);
    if (getuid() == 0) { /* an owner may not keep another's home inside his own */
        CU_ASSERT_FATAL(make(&h, "alice", &fd, &e) == 0);
        close(fd);
        CU_ASSERT(make(&h, "alice/bob", &fd, &e) == -1 && strstr(e.log, "belongs to somebody else"));
        h.owner++;
        CU_ASSERT(make(&h, "alice", &fd, &e) == -1 && strstr(e.log, "belongs to uid"));
    }
    fixture_free(&h.f);
}

static void home_base_behind_a_link(void)
{
    if (no_openat2())
        return;
    struct homes h = homes_new();
    struct err e;
    char base[128];
    int fd = -1;
    CU_ASSERT_FATAL(mkdirat(h.f.fd, "disk", 0755) == 0 && symlinkat("disk", h.f.fd, "vmail") == 0);
    snprintf(base, sizeof base, "%s/vmail", h.f.path);
    snprintf(h.path, sizeof h.path, "%s/vmail/alice", h.f.path);
    CU_ASSERT(store_home_make(base, str_from(h.path), h.owner, h.owner, &fd, &e) == 0);
    CU_ASSERT(fixture_count(h.f.fd, "disk") == 1);
    close(fd);
    CU_ASSERT(fchmodat(h.f.fd, "disk", 0777, 0) == 0);
    CU_ASSERT(store_home_make(base, str_from(h.path), h.owner, h.owner, &fd, &e) == -1 &&
              strstr(e.log, "writable by others"));
    fixture_free(&h.f);
}

/* Eight processes make the same home at once. */
static void home_race(void)
{
    if (no_openat2())
        return;
    struct homes h = homes_new();
    struct err e;
    int fd, status, good = 0;
    for (int i = 0; i < 8; i++)
        if (fork() == 0)
            _exit(make(&h, "example.org/racer", &fd, &e) == 0 ? 0 : 1);
    for (int i = 0; i < 8; i++)
        good += wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CU_ASSERT(good == 8);
    CU_ASSERT(fixture_count(h.f.fd, ".") == 1 && fixture_count(h.f.fd, "example.org") == 1);
    fixture_free(&h.f);
}

/* ---- messages ---- */

static void write_pieces(struct store_writer *w, const char *text, size_t piece)
{
    struct str rest = str_from(text);
    while (rest.n) {
        CU_ASSERT(store_writer_write(w, str_head(rest, piece), NULL) == 0);
        rest = str_skip(rest, piece);
    }
}

static void writer_line_ends(void)
{
    static const char text[] = "a\r\nb\nc\rd\r\r\n\r\n\r";
    static const char want[] = "a\nb\nc\rd\r\n\n\r";
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    char path[300];
    AUTO_FD root = fixture_maildir(&f);
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct store_writer w;
        struct err e;
        uint64_t size, vsize;
        CU_ASSERT_FATAL(store_writer_begin(&w, root, &e) == 0);
        write_pieces(&w, text, piece);
        w.date = 1234567890;
        CU_ASSERT_FATAL(store_writer_finish(&w, &e) == 0 &&
                        store_writer_place(&w, false, STORE_SEEN, 1u << 3, &e) == 0);
        CU_ASSERT(w.size == strlen(want) && w.vsize == strlen(want) + 3);
        snprintf(path, sizeof path, "cur/%s:2,Sd", w.base);
        UNIT_STR(fixture_get(root, path, &b), want);
        struct stat st;
        AUTO_FD fd = store_file_open(root, path, O_RDONLY, &st);
        CU_ASSERT(st.st_mtime == 1234567890 && (st.st_mode & 07777) == 0600);
        CU_ASSERT(store_message_count(fd, &size, &vsize, &e) == 0 && size == w.size && vsize == w.vsize);
    }
    CU_ASSERT(fixture_count(root, "tmp") == 0);
}

static void writer_name(void)
{
    FIXTURE f = fixture_new();
    struct store_writer w;
    struct store_name n;
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    CU_ASSERT_FATAL(store_writer_begin(&w, root, &e) == 0 &&
                    store_writer_write(&w, STR("x\r\ny\r\n"), &e) == 0 &&
                    store_writer_commit_new(&w, &e) == 0);
    CU_ASSERT(store_name_parse(str_from(w.base), &n) && n.size == 4 && n.vsize == 6);
    CU_ASSERT(fixture_count(root, "new") == 1 && fixture_count(root, "tmp") == 0);
    struct store_writer copy;
    AUTO_FD new = store_dir_open(root, "new");
    CU_ASSERT_FATAL(store_writer_link(&copy, root, new, w.base, &e) == 0 &&
                    store_writer_place(&copy, true, 0, 0, &e) == 0);
    CU_ASSERT(strcmp(copy.base, w.base) != 0 && copy.size == 4 && copy.vsize == 6);
    CU_ASSERT(store_writer_link(&copy, root, new, "gone", &e) == 1);
    CU_ASSERT(fixture_count(root, "new") == 2 && fixture_count(root, "tmp") == 0);
}

static void writer_faults(void)
{
    FIXTURE f = fixture_new();
    struct store_writer w;
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    CU_ASSERT_FATAL(store_writer_begin(&w, root, &e) == 0);
    w.max = 10;
    CU_ASSERT(store_writer_write(&w, STR("0123456789"), &e) == 0);
    CU_ASSERT(store_writer_write(&w, STR("x"), &e) == -1 && e.kind == ERR_PERMANENT && e.client[0]);
    store_writer_abort(&w);
    CU_ASSERT(fixture_count(root, "tmp") == 0);
    CU_ASSERT_FATAL(store_writer_begin(&w, root, &e) == 0 && fchmodat(root, "new", 0500, 0) == 0);
    CU_ASSERT(store_writer_commit_new(&w, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT(fixture_count(root, "tmp") == 0 && fixture_count(root, "new") == 0);
    fixture_mode(root, "new", 0700);
    CU_ASSERT_FATAL(fchmodat(root, "tmp", 0500, 0) == 0);
    CU_ASSERT(store_writer_begin(&w, root, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT_FATAL(unlinkat(root, "tmp", AT_REMOVEDIR) == 0);
    CU_ASSERT(store_writer_begin(&w, root, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT_FATAL(symlinkat("/tmp", root, "tmp") == 0);
    CU_ASSERT(store_maildir_complete(root, &e) == -1 && strstr(e.log, "tmp: not a directory"));
    CU_ASSERT_FATAL(unlinkat(root, "new", AT_REMOVEDIR) == 0 && mkfifoat(root, "new", 0600) == 0);
    CU_ASSERT(store_maildir_complete(root, &e) == -1 && e.kind == ERR_TEMPORARY);
}

static void maildir_whole(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    static const char *const part[] = {"cur", "new", "tmp", ".Sent/maildirfolder", ".Trash/cur",
                                       ".Junk/new", ".Drafts/tmp", ".Archive/dovecot-uidlist",
                                       "subscriptions", "dovecot-uidlist"};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        CU_ASSERT(faccessat(root, part[i], F_OK, 0) == 0);
    CU_ASSERT(fixture_count(f.fd, ".") == 1);
    int fd;
    for (const char *const *bad = (const char *const[]){"", ".", "..", "a/b", NULL}; *bad; bad++)
        CU_ASSERT(store_maildir_open(f.fd, str_from(*bad), true, &fd, &e) == -1);
    CU_ASSERT(store_maildir_open(f.fd, STR("none"), false, &fd, &e) == -1);
    CU_ASSERT_FATAL(symlinkat("mailbox", f.fd, "link") == 0);
    CU_ASSERT(store_maildir_open(f.fd, STR("link"), true, &fd, &e) == -1 && e.kind == ERR_TEMPORARY);
}

static void tmp_cleaned(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD tmp = store_dir_open(root, "tmp");
    fixture_put(tmp, "fresh", "x");
    fixture_put(tmp, "old-message-being-written", "x");
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    utimensat(tmp, "old-message-being-written", old, 0);
    int64_t now = time(NULL);
    CU_ASSERT(store_maildir_clean(root, now, &e) == 0);
    CU_ASSERT(fixture_count(root, "tmp") == 2); /* ctime is fresh: an old date is no sign of age */
    CU_ASSERT(store_maildir_clean(root, now + 36 * 3600 - 5, &e) == 0);
    CU_ASSERT(fixture_count(root, "tmp") == 2);
    CU_ASSERT_FATAL(mkdirat(tmp, "facteur-gone-1", 0700) == 0 && mkdirat(tmp, "facteur-gone-1/cur", 0700) == 0 &&
                    mkdirat(tmp, "somebody's", 0700) == 0);
    fixture_put(tmp, "facteur-gone-1/cur/1.a:2,", "x");
    CU_ASSERT(store_maildir_clean(root, now + 36 * 3600 + 5, &e) == 0);
    CU_ASSERT(fixture_count(root, "tmp") == 1 && faccessat(tmp, "somebody's", F_OK, 0) == 0);
}

/* ---- delivery ---- */

static int body(const char *text)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    return fd;
}

static void delivery(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_delivered d;
    struct err e;
    char path[300];
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD fd = body("Subject: x\r\n\r\nhello\r\n");
    CU_ASSERT_FATAL(store_deliver(root, STR("Return-Path: <>\r\n"), fd, 21, &d, &e) == 0);
    snprintf(path, sizeof path, "new/%s", d.base);
    UNIT_STR(fixture_get(root, path, &b), "Return-Path: <>\nSubject: x\n\nhello\n");
    CU_ASSERT(d.size == 34 && d.vsize == 38);
    CU_ASSERT(lseek(fd, 0, SEEK_CUR) == 21); /* the offset that others share is not used */
    CU_ASSERT(store_deliver(root, STR(""), fd, 22, &d, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT(store_deliver(root, STR(""), -1, 5, &d, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT(fixture_count(root, "new") == 1 && fixture_count(root, "tmp") == 0);
}

/* Four processes deliver 50 messages each. */
static void delivery_at_once(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    int status, good = 0;
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD fd = body("x\r\n");
    for (int i = 0; i < 4; i++) {
        if (fork() != 0)
            continue;
        for (int k = 0; k < 50; k++)
            if (store_deliver(root, STR(""), fd, 3, NULL, &e) != 0)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 4; i++)
        good += wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CU_ASSERT(good == 4 && fixture_count(root, "new") == 200 && fixture_count(root, "tmp") == 0);
}

/* ---- locks ---- */

static void locks(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_dotlock l, other;
    struct err e;
    char text[300], host[256];
    gethostname(host, sizeof host);
    CU_ASSERT_FATAL(store_dotlock_take(&l, f.fd, "x", 120, true, &e) == 0);
    snprintf(text, sizeof text, "%d:%s", getpid(), host);
    UNIT_STR(fixture_get(f.fd, "x.lock", &b), text);
    CU_ASSERT(store_dotlock_held(&l));
    store_dotlock_drop(&l);
    CU_ASSERT(!store_dotlock_held(&l) && fixture_count(f.fd, ".") == 0);
    /* held by another host, untouched for longer than the limit */
    fixture_put(f.fd, "x.lock", "1:elsewhere");
    CU_ASSERT(store_dotlock_take(&other, f.fd, "x", 2, true, &e) == 0); /* waits three seconds */
    store_dotlock_drop(&other);
}

static void lock_timeout(void)
{
    FIXTURE f = fixture_new();
    struct store_dotlock l;
    struct err e;
    char text[300], host[256];
    gethostname(host, sizeof host);
    pid_t holder = fork();
    if (holder == 0) {
        pause();
        _exit(0);
    }
    snprintf(text, sizeof text, "%d:%s", holder, host);
    fixture_put(f.fd, "x.lock", text);
    struct timespec old[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = time(NULL) - 500}};
    utimensat(f.fd, "x.lock", old, 0);
    CU_ASSERT(store_dotlock_take(&l, f.fd, "x", 0, true, &e) == -1 && e.kind == ERR_TEMPORARY && e.client[0]);
    store_dotlock_drop(&l);
    CU_ASSERT(faccessat(f.fd, "x.lock", F_OK, 0) == 0);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    CU_ASSERT(store_dotlock_take(&l, f.fd, "x", 0, true, &e) == 0);
    store_dotlock_drop(&l);
}

/* Here the machine has only just started, as after a power cut. False: the kernel does not let us say so. */
static bool just_started(void)
{
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    if ((getuid() == 0 && seteuid(0) < 0) ||
        (unshare(CLONE_NEWTIME) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWTIME) < 0))
        return false;
    FILE *offsets = fopen("/proc/self/timens_offsets", "w");
    return offsets && fprintf(offsets, "boottime -%ld 0\n", (long)up.tv_sec) > 0 && fclose(offsets) == 0;
}

/* What the child at the end of it says: 0 taken, 1 held, 2 cannot be tried. */
static int take_after_start(int dir_fd, int stale_seconds)
{
    int status = 0;
    pid_t first = fork();
    if (first == 0) {
        if (!just_started())
            _exit(2);
        pid_t child = fork(); /* the namespace is its children's */
        if (child == 0) {
            struct store_dotlock l;
            struct err e;
            _exit(store_dotlock_take(&l, dir_fd, "x", stale_seconds, true, &e) == 0 ? 0 : 1);
        }
        waitpid(child, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    waitpid(first, &status, 0);
    return WEXITSTATUS(status);
}

/* The number of one who died with the machine may be anybody's when it is up again. */
static void lock_before_start(void)
{
    FIXTURE f = fixture_new();
    char text[300], host[256];
    gethostname(host, sizeof host);
    snprintf(text, sizeof text, "%d:%s", getpid(), host);
    fixture_put(f.fd, "x.lock", text);
    sleep(2);
    int result = take_after_start(f.fd, 2);
    if (result == 2)
        puts("# no time namespaces: a lock from before the start is not tried");
    CU_ASSERT(result != 1);
}

/* Its holder died before he wrote his pid. What it guards is used by others meanwhile, so that alone tells. */
static void lock_without_pid(void)
{
    FIXTURE f = fixture_new();
    struct store_dotlock l;
    struct err e;
    fixture_put(f.fd, "x", "");
    fixture_put(f.fd, "x.lock", "");
    pid_t user = fork();
    while (user == 0 && utimensat(f.fd, "x", NULL, 0) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    CU_ASSERT(store_dotlock_take(&l, f.fd, "x", 30, true, &e) == 0); /* waits eleven seconds */
    store_dotlock_drop(&l);
    kill(user, SIGKILL);
    waitpid(user, NULL, 0);
}

static void lock_replaces(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_dotlock l;
    struct err e;
    fixture_put(f.fd, "x", "old");
    fixture_put(f.fd, "x.tmp", "left by somebody who died");
    CU_ASSERT_FATAL(store_dotlock_take(&l, f.fd, "x", 120, false, &e) == 0);
    CU_ASSERT(store_dotlock_replace(&l, STR("new"), &e) == 0);
    UNIT_STR(fixture_get(f.fd, "x", &b), "new");
    store_dotlock_drop(&l);
    CU_ASSERT(fixture_count(f.fd, ".") == 1);
    CU_ASSERT(store_dotlock_replace(&l, STR("newer"), &e) == -1 && e.kind == ERR_TEMPORARY);
    UNIT_STR(fixture_get(f.fd, "x", &b), "new");
}

/* ---- quota ---- */

static void quota(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_usage u;
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    fixture_put(root, "cur/1.a,S=100,W=110:2,S", "x");
    fixture_put(root, ".Trash/new/2.b", "12345");
    fixture_put(root, ".Sent/cur/.hidden", "12345");
    CU_ASSERT(store_quota_check(root, 0, 1000, NULL, &e) == STORE_ROOM);
    UNIT_STR(fixture_get(root, "maildirsize", &b), "(none)");
    CU_ASSERT(store_quota_check(root, 1000, 895, &u, &e) == STORE_ROOM && u.bytes == 105 && u.messages == 2);
    UNIT_STR(fixture_get(root, "maildirsize", &b), "1000S\n105 2\n");
    CU_ASSERT(store_quota_check(root, 1000, 896, &u, &e) == STORE_FULL && e.kind == ERR_PERMANENT && e.client[0]);
    CU_ASSERT(store_quota_add(root, 800, 1, &e) == 0 && store_quota_add(root, -5, -1, &e) == 0);
    UNIT_STR(fixture_get(root, "maildirsize", &b), "1000S\n105 2\n800 1\n-5 -1\n");
    CU_ASSERT(store_quota_check(root, 1000, 101, &u, &e) == STORE_FULL && u.bytes == 900);
    CU_ASSERT(store_quota_check(root, 2000, 101, &u, &e) == STORE_ROOM && u.bytes == 105); /* new limit */
}

static void quota_stale(void)
{
    FIXTURE f = fixture_new();
    struct store_usage u;
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    static const char *const bad[] = {"", "x\n", "1000S\n105", "1000S\n-5 -1\n", "1000S\n1 2 \nx y\n",
                                      "1000S\n99999999999999999999 1\n", "1000Q\n1 1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fixture_put(root, "maildirsize", bad[i]);
        CU_ASSERT(store_quota_check(root, 1000, 1, &u, &e) == STORE_ROOM && u.bytes == 0);
    }
    fixture_put(root, "maildirsize", "10S,1000C\n10 1\n");
    CU_ASSERT(store_quota_check(root, 10, 1, &u, &e) == STORE_FULL);
    struct timespec old[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = time(NULL) - 901}};
    utimensat(root, "maildirsize", old, 0);
    CU_ASSERT(store_quota_check(root, 10, 1, &u, &e) == STORE_ROOM && u.bytes == 0);
    AUTO_BUF big = {0};
    buf_str(&big, STR("1000S\n0 0\n"));
    while (big.n <= 5120)
        buf_str(&big, STR("1 0\n"));
    fixture_put(root, "maildirsize", buf_z(&big));
    CU_ASSERT(store_quota_check(root, 1000, 1, &u, &e) == STORE_ROOM && u.bytes == 0);
    unlinkat(root, "maildirsize", 0);
    CU_ASSERT(store_quota_add(root, 5, 1, &e) == 0 && faccessat(root, "maildirsize", F_OK, 0) != 0);
    CU_ASSERT_FATAL(mkfifoat(root, "maildirsize", 0600) == 0);
    CU_ASSERT(store_quota_check(root, 10, 1, &u, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT(store_disk_check(root, UINT64_MAX / 2, &e) == -1 && e.kind == ERR_TEMPORARY && e.client[0]);
}

/* ---- halves of a rename ---- */

static void tell_event(int fd, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
    struct {
        struct inotify_event event;
        char name[16];
    } e = {.event = {.wd = wd, .mask = mask, .cookie = cookie, .len = sizeof e.name}};
    snprintf(e.name, sizeof e.name, "%s", name);
    CU_ASSERT_FATAL(write(fd, &e, sizeof e) == (ssize_t)sizeof e);
}

/* What comes in new/ meanwhile does not make a rename in cur/ whole. */
static void half_renames(void)
{
    int fds[2];
    CU_ASSERT_FATAL(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    struct store_watch w = {.fd = fds[0], .cur_wd = 1, .new_wd = 2};
    tell_event(fds[1], 1, IN_MOVED_FROM, 7, "a:2,");
    tell_event(fds[1], 2, IN_MOVED_TO, 8, "b");
    CU_ASSERT(store_watch_touched(&w) && w.moving == 7 && w.new_touched);
    tell_event(fds[1], 1, IN_MOVED_TO, 7, "a:2,S");
    CU_ASSERT(store_watch_touched(&w) && w.moving == 0 && w.pending == 2);
    tell_event(fds[1], 1, IN_MOVED_FROM, 9, "a:2,S");
    store_watch_clear(&w);
    CU_ASSERT(w.moving == 0 && w.pending == 0 && !w.new_touched);
    buf_free(&w.names);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"a rename of which half was told is not a loss", half_renames},
        {"a home is made", home_made},
        {"homes outside the base are refused", home_bad_paths},
        {"what is in the way of a home is named", home_in_the_way},
        {"the base may lie behind a link", home_base_behind_a_link},
        {"a race for one home has no loser", home_race},
        {"line ends and sizes, in pieces", writer_line_ends},
        {"names and links", writer_name},
        {"writing that fails leaves nothing", writer_faults},
        {"a maildir is made whole", maildir_whole},
        {"tmp is cleaned by age", tmp_cleaned},
        {"delivery", delivery},
        {"delivery by several at once", delivery_at_once},
        {"lock files", locks},
        {"a living holder is not robbed", lock_timeout},
        {"a lock from before the machine's start is not the living one's", lock_before_start},
        {"a lock without a pid is not waited for as long", lock_without_pid},
        {"a file is replaced while its lock is held", lock_replaces},
        {"quota", quota},
        {"quota counts anew", quota_stale},
        {NULL, NULL}};
    return unit_main("store-files", tests);
}
