/* confine/: every layer, each in a child of its own that reports by its exit status. */
#include "confine/confine.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_UID 64321u
#define OTHER_GID 64322u

/* In a child: the first expectation that fails ends it with its line. */
#define EXPECT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "# %s:%d: %s (%s)\n", __FILE__, __LINE__, #cond, strerror(errno));     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)
#define DENIED(call) (errno = 0, (call) == -1 && errno == EPERM)

static char place[] = "/tmp/facteur-confine-XXXXXX"; /* made in main, removed at its end */
static struct err err;

static bool child_is_content(void (*run)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        run();
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool is_root(const char *test)
{
    if (geteuid() != 0)
        printf("# %s: needs root, and this is none\n", test);
    return geteuid() == 0;
}

static char *in_place(char buf[256], const char *name)
{
    snprintf(buf, 256, "%s/%s", place, name);
    return buf;
}

static int make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static void leaves_no_core(void)
{
#ifndef FACTEUR_SANITIZERS
    EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
#endif
}

/* --- entering --- */

static void enter_empty_root(void)
{
    char root[256];
    struct rlimit core;
    struct confine c = {SMTP, OTHER_UID, OTHER_GID, in_place(root, "empty"), false};
    EXPECT(confine_enter(&c, &err) == 0);
    EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 && errno == ENOENT);
    EXPECT(make_file("/new") == -1);
    EXPECT(DENIED(setuid(0)));
    EXPECT(DENIED(setgid(0)));
    EXPECT(DENIED(setgroups(0, NULL)));
    EXPECT(DENIED(chroot("/")));
    EXPECT(getuid() == OTHER_UID && getegid() == OTHER_GID && getgroups(0, NULL) == 0);
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    EXPECT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
    leaves_no_core();
}

static void entering_leaves_no_way_back(void)
{
    if (is_root("entering"))
        CU_ASSERT(child_is_content(enter_empty_root));
}

static void enter_impossible(void)
{
    struct confine none = {SMTP, OTHER_UID, OTHER_GID, "/nowhere/at/all", false};
    EXPECT(confine_enter(&none, &err) == -1 && err.kind == ERR_PERMANENT);
    struct confine root_group = {SMTP, OTHER_UID, 0, NULL, false};
    EXPECT(confine_enter(&root_group, &err) == -1);
}

static void entering_fails_loudly(void)
{
    CU_ASSERT(child_is_content(enter_impossible));
}

static void enter_alone(void)
{
    uid_t before = getuid();
    struct confine c = {DIRECTORY, 0, 0, NULL, false};
    EXPECT(confine_enter(&c, &err) == 0);
    EXPECT(getuid() == before);
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    leaves_no_core(); /* here no change of ids has done it */
}

static void single_uid_stays(void)
{
    CU_ASSERT(child_is_content(enter_alone));
}

/* --- deliver --- */

static uint64_t status_mask(const char *name)
{
    FILE *f = fopen("/proc/thread-self/status", "re");
    char line[256];
    unsigned long long v = ~0ull;
    size_t n = strlen(name);
    EXPECT(f != NULL);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0)
            v = strtoull(line + n, NULL, 16);
    fclose(f);
    return v;
}

static void act_as_owner(void)
{
    char path[256];
    struct stat st;
    EXPECT(confine_act_as(OTHER_UID, OTHER_GID, &err) == 0);
    EXPECT(geteuid() == OTHER_UID && getegid() == OTHER_GID && getgroups(0, NULL) == 0);
    leaves_no_core();
    EXPECT(make_file(in_place(path, "theirs/file")) == 0);
    EXPECT(stat(path, &st) == 0 && st.st_uid == OTHER_UID && st.st_gid == OTHER_GID);
    EXPECT(make_file(in_place(path, "roots/file")) == -1 && errno == EACCES);
    EXPECT(confine_act_back(&err) == 0);
    EXPECT(geteuid() == 0 && getegid() == 0);
    leaves_no_core();
    EXPECT(make_file(in_place(path, "roots/file")) == 0);
    EXPECT(chown(path, OTHER_UID, OTHER_GID) == 0);
    EXPECT(open(path, O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES); /* not even root's eye */
    EXPECT(unlink(path) == 0);
}

static void deliver_keeps_three(void)
{
    struct confine c = {DELIVER, 0, 0, NULL, true};
    EXPECT(confine_enter(&c, &err) == 0 && confine_lock(DELIVER, &err) == 0);
    EXPECT(status_mask("CapPrm:") == 0xc1); /* CHOWN SETGID SETUID */
    EXPECT(status_mask("CapBnd:") == 0xc1);
    act_as_owner();
    act_as_owner();
    EXPECT(confine_act_as(0, OTHER_GID, &err) == -1);
    EXPECT(DENIED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(kill(getppid(), 0)));
}

static void deliver_acts_as_the_owner(void)
{
    char path[256];
    if (!is_root("deliver"))
        return;
    CU_ASSERT(mkdir(in_place(path, "theirs"), 0700) == 0 &&
              chown(path, OTHER_UID, OTHER_GID) == 0);
    CU_ASSERT(mkdir(in_place(path, "roots"), 0700) == 0);
    CU_ASSERT(child_is_content(deliver_keeps_three));
}

/* --- sessions --- */

static void live_beneath_home(void)
{
    char a[256], b[256];
    EXPECT(make_file(in_place(a, "home/one/new")) == 0);
    EXPECT(rename(a, in_place(b, "home/two/new")) == 0);
    EXPECT(truncate(b, 0) == 0);
    EXPECT(unlink(b) == 0);
    EXPECT(mkdir(in_place(a, "home/three"), 0700) == 0 && rmdir(a) == 0);
    EXPECT(DENIED(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(execl("/bin/true", "true", NULL)));
}

static bool has_landlock(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    if (version < 2)
        printf("# the kernel's Landlock is too old or missing: %ld\n", version);
    return version >= 2;
}

static void see_nothing_else(void)
{
    char a[256], b[256];
    EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
    EXPECT(open(in_place(a, "neighbour/file"), O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
    EXPECT(make_file(in_place(a, "neighbour/new")) == -1 && errno == EACCES);
    EXPECT(rename(in_place(a, "neighbour/file"), in_place(b, "home/one/file")) == -1);
    EXPECT(DENIED(symlink("/etc/passwd", in_place(a, "home/one/link")))); /* the filter comes first */
    EXPECT(DENIED(mkfifo(in_place(a, "home/one/fifo"), 0600)));
}

static void runs_no_memory(void)
{
#ifndef FACTEUR_SANITIZERS
    EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               MAP_FAILED && errno == EPERM);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(page != MAP_FAILED && DENIED(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
#endif
}

/* What its parent may do to become an owner, the owner may not. */
static void owner_is_locked_in(void)
{
    int pair[2];
    EXPECT(DENIED(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair)));
    EXPECT(DENIED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(chown(".", getuid(), getgid())));
    EXPECT(DENIED(setresuid(getuid(), getuid(), getuid())));
    EXPECT(DENIED(kill(getppid(), SIGCONT)));
    EXPECT(!DENIED(kill(getpid(), 0)));
    EXPECT(DENIED(execl("/bin/true", "true", NULL)));
#ifndef FACTEUR_SANITIZERS
    EXPECT(DENIED(fork()));
#endif
    runs_no_memory();
}

static void become_owner(void)
{
    char home[256];
    const char *const writable[] = {in_place(home, "home"), NULL};
    bool root = geteuid() == 0, walls = has_landlock(); /* an owner cannot ask */
    EXPECT(confine_become(OTHER_UID, OTHER_GID, writable, &err) == 0);
    EXPECT(!root || (getuid() == OTHER_UID && getgid() == OTHER_GID && DENIED(setuid(0))));
    leaves_no_core();
    live_beneath_home();
    owner_is_locked_in();
    if (walls)
        see_nothing_else();
}

static void become_from_locked_parent(void)
{
    struct confine c = {SESSION, 0, 0, NULL, true};
    EXPECT(confine_enter(&c, &err) == 0 && confine_lock(SESSION, &err) == 0);
    EXPECT(child_is_content(become_owner));
}

static void give(const char *name)
{
    char path[256];
    if (geteuid() == 0)
        CU_ASSERT(chown(in_place(path, name), OTHER_UID, OTHER_GID) == 0);
}

static void sessions_reach_their_home_only(void)
{
    static const char *const dirs[] = {"home", "home/one", "home/two", "neighbour"};
    char path[256];
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT(mkdir(in_place(path, dirs[i]), 0700) == 0);
        give(dirs[i]);
    }
    CU_ASSERT(make_file(in_place(path, "neighbour/file")) == 0);
    give("neighbour/file");
    CU_ASSERT(child_is_content(become_from_locked_parent));
}

static void become_without_home(void)
{
    const char *const nowhere[] = {"/nowhere/at/all", NULL};
    if (has_landlock())
        EXPECT(confine_become(OTHER_UID, OTHER_GID, nowhere, &err) == -1);
    EXPECT(geteuid() != 0 || confine_become(0, OTHER_GID, nowhere, &err) == -1);
}

static void sessions_need_a_home(void)
{
    CU_ASSERT(child_is_content(become_without_home));
}

/* --- filters --- */

static void *do_nothing(void *arg)
{
    return arg;
}

static int listening(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EXPECT(bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 1) == 0);
    return fd;
}

#define SENDS_NOT(call) (errno = 0, (call) == -1 && errno == EOPNOTSUPP)

/* TCP Fast Open would make a connection of any TCP socket that has none. */
static void sending_is_no_connecting(int tcp, int target)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    socklen_t n = sizeof to;
    struct iovec iov = {(char[]){"x"}, 1};
    struct mmsghdr m = {.msg_hdr = {&to, sizeof to, &iov, 1, NULL, 0, 0}};
    EXPECT(getsockname(target, (struct sockaddr *)&to, &n) == 0);
    EXPECT(SENDS_NOT(sendto(tcp, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, n)));
    EXPECT(SENDS_NOT(sendto(tcp, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, n)));
    EXPECT(SENDS_NOT(sendmsg(tcp, &m.msg_hdr, MSG_FASTOPEN)));
    EXPECT(SENDS_NOT(sendmmsg(tcp, &m, 1, MSG_FASTOPEN)));
}

static void lock_network_program(unsigned self)
{
    int l = listening(), target = listening(), pair[2];
    pthread_t t;
    EXPECT(confine_lock(self, &err) == 0);
    EXPECT(DENIED(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair)));
    EXPECT(DENIED(listen(l, 5)));
    EXPECT(DENIED(execl("/bin/true", "true", NULL)));
    EXPECT(DENIED(kill(getppid(), 0)));
    EXPECT(DENIED(setuid(getuid())));
    EXPECT(DENIED(rename("/nowhere/a", "/nowhere/b")));
    EXPECT(DENIED(syscall(SYS_bpf, 0, NULL, 0)));
    EXPECT(DENIED(unshare(CLONE_NEWUSER)));
    EXPECT(DENIED(syscall(SYS_getpriority, 0, 0))); /* in nobody's list: what is not named is denied */
    runs_no_memory();
#ifndef FACTEUR_SANITIZERS
    EXPECT(DENIED(open("/etc/passwd", O_RDONLY | O_CLOEXEC)));
    EXPECT(DENIED(fork()));
    EXPECT(DENIED(syscall(SYS_tgkill, getppid(), getppid(), 0)));
    EXPECT(DENIED(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)));
#endif
    EXPECT(accept4(l, NULL, NULL, SOCK_CLOEXEC) == -1 && errno == EAGAIN);
    EXPECT(shutdown(l, SHUT_RD) == 0);
    sending_is_no_connecting(l, target);
    EXPECT(memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING) >= 0);
    EXPECT(pthread_create(&t, NULL, do_nothing, NULL) == 0 && pthread_join(t, NULL) == 0);
    EXPECT(syscall(SYS_tgkill, getpid(), gettid(), 0) == 0);
}

static void lock_smtp(void)
{
    lock_network_program(SMTP);
}

static void lock_access(void)
{
    lock_network_program(ACCESS);
}

static void lock_directory(void)
{
    int l = listening();
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof sa;
    EXPECT(confine_lock(DIRECTORY, &err) == 0);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(c >= 0 && getsockname(l, (struct sockaddr *)&sa, &n) == 0);
    EXPECT(connect(c, (struct sockaddr *)&sa, n) == 0);
    EXPECT(DENIED(accept4(l, NULL, NULL, SOCK_CLOEXEC)));
    EXPECT(DENIED(listen(c, 1)));
    EXPECT(DENIED(execl("/bin/true", "true", NULL)));
}

static void lock_queue(void)
{
    char path[256];
    const char *const spool[] = {in_place(path, "empty"), NULL};
    EXPECT(confine_paths(spool, &err) == 0 && confine_lock(QUEUE, &err) == 0);
    EXPECT(DENIED(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    if (has_landlock())
        EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
    EXPECT(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
}

static int try_port(int listener)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof sa;
    AUTO_FD c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(c >= 0 && getsockname(listener, (struct sockaddr *)&sa, &n) == 0);
    return connect(c, (struct sockaddr *)&sa, n) == 0 ? 0 : errno;
}

static uint16_t port_of(int listener)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof sa;
    EXPECT(getsockname(listener, (struct sockaddr *)&sa, &n) == 0);
    return ntohs(sa.sin_port);
}

static void *try_from_thread(void *arg)
{
    return try_port(*(int *)arg) == EACCES ? arg : NULL;
}

static void lock_relay(void)
{
    int one = listening(), two = listening(), three = listening();
    uint16_t ports[] = {port_of(one), port_of(two)};
    struct confine c = {RELAY, 0, 0, NULL, false};
    bool held = false;
    pthread_t t;
    void *refused = NULL;
    EXPECT(confine_enter(&c, &err) == 0 && confine_lock(RELAY, &err) == 0);
    EXPECT(DENIED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP)));
    EXPECT(DENIED(socket(AF_INET, SOCK_SEQPACKET | SOCK_CLOEXEC, IPPROTO_SCTP)));
    EXPECT(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP) >= 0 || errno == EAFNOSUPPORT);
    EXPECT(try_port(three) == 0);
    EXPECT(confine_ports(ports, 2, &held, &err) == 0);
    if (!held) {
        printf("# the kernel's Landlock knows no ports\n");
        return;
    }
    EXPECT(try_port(one) == 0 && try_port(two) == 0 && try_port(three) == EACCES);
    sending_is_no_connecting(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), three);
    EXPECT(pthread_create(&t, NULL, try_from_thread, &three) == 0 && pthread_join(t, &refused) == 0);
    EXPECT(refused == &three);
    EXPECT(confine_ports(ports + 1, 1, &held, &err) == 0 && held);
    EXPECT(try_port(one) == EACCES && try_port(two) == 0);
}

static void lock_filter(void)
{
    int target = listening(), tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof sa;
    EXPECT(tcp >= 0 && getsockname(target, (struct sockaddr *)&sa, &n) == 0);
    EXPECT(confine_lock(FILTER, &err) == 0);
    EXPECT(DENIED(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(DENIED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    EXPECT(connect(tcp, (struct sockaddr *)&sa, n) == -1 && errno == EINPROGRESS);
    sending_is_no_connecting(tcp, target);
    EXPECT(getpeername(tcp, (struct sockaddr *)&sa, &n) == -1 && errno == ENOTCONN);
    EXPECT(DENIED(bind(tcp, (struct sockaddr *)&sa, n)));
    EXPECT(DENIED(execl("/bin/true", "true", NULL)));
    runs_no_memory();
}

static void filters_deny_by_program(void)
{
    CU_ASSERT(child_is_content(lock_smtp));
    CU_ASSERT(child_is_content(lock_access));
    CU_ASSERT(child_is_content(lock_directory));
    CU_ASSERT(child_is_content(lock_queue));
    CU_ASSERT(child_is_content(lock_relay));
    CU_ASSERT(child_is_content(lock_filter));
    CU_ASSERT(confine_lock(0, &err) == -1);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"entering leaves no way back", entering_leaves_no_way_back},
        {"entering fails loudly", entering_fails_loudly},
        {"single_uid stays who it is", single_uid_stays},
        {"deliver acts as the owner", deliver_acts_as_the_owner},
        {"sessions reach their home only", sessions_reach_their_home_only},
        {"sessions need a home", sessions_need_a_home},
        {"filters deny by program", filters_deny_by_program},
        {NULL, NULL},
    };
    char path[300];
    if (!mkdtemp(place) || chmod(place, 0755) != 0 || mkdir(in_place(path, "empty"), 0555) != 0)
        return 99;
    int r = unit_main("confine", tests);
    snprintf(path, sizeof path, "rm -rf '%s'", place);
    return system(path) == 0 ? r : 99;
}
