/*
 * The table of system calls. What is not in a program's lists answers EPERM, and the kernel logs it
 * where its audit log is on (type=1326). Names that this machine or libseccomp does not know are left
 * out; calls of another machine word (32 bit, x32) end the process.
 *
 * The master's children inherit its filter, so its list says what nobody may do.
 */
#include "confine/policy.h"

#include <stddef.h>
#include <sys/socket.h>

typedef const char *const calls[];

/* What every program does: memory, time, its own descriptors, messages. */
static calls ground = {
    "read", "write", "readv", "writev", "close", "close_range", "fstat", "newfstatat", "fstatfs",
    "lseek", "mremap", "munmap", "brk", "madvise", "rt_sigaction", "rt_sigprocmask",
    "rt_sigpending", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "poll", "ppoll", "select",
    "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "eventfd2", "pipe", "pipe2", "dup", "dup2", "dup3", "fcntl",
    "futex", "futex_waitv", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
    "gettimeofday", "time", "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4",
    "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getgroups",
    "getresuid", "getresgid", "getpgrp", "getpgid", "getsid", "getrandom", "exit", "exit_group",
    "restart_syscall", "sched_yield", "sched_getaffinity", "membarrier", "rseq", "set_robust_list",
    "get_robust_list", "set_tid_address", "getrlimit", "getrusage", "times", "sysinfo", "uname",
    "getcpu", "arch_prctl", "umask", "alarm", "setitimer", "getitimer", "mlock", "mlock2", "munlock",
    NULL,
};
static calls talk = { /* sendto, sendmsg: see compile.c */
    "recvmsg", "recvmmsg", "recvfrom", "shutdown", "getsockopt", "setsockopt", "getsockname",
    "getpeername", NULL,
};
/* Of libcurl. A datagram socket of a pair reaches other sockets, too. */
static calls make_pairs = {"socketpair", NULL};
static calls memory_files = {"memfd_create", "ftruncate", "fallocate", "sendfile", "pread64",
                             "pwrite64", "splice", "copy_file_range", NULL};
static calls files = {
    "open", "openat", "openat2", "creat", "stat", "lstat", "statx", "statfs", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents64", "getdents", "getcwd", "flock", "fsync",
    "fdatasync", "syncfs", "sync_file_range", "preadv", "pwritev", "preadv2", "pwritev2", "fadvise64",
    "readahead", "msync", "chdir", "fchdir", NULL,
};
static calls change_files = {
    "truncate", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir",
    "mkdirat", "rmdir", "chmod", "fchmod", "fchmodat", "utime", "utimes", "utimensat", NULL,
};
static calls give_files = {"chown", "fchown", "fchownat", "lchown", NULL};
static calls watch_files = {"inotify_init1", "inotify_add_watch", "inotify_rm_watch", NULL};
static calls restrict_self = {
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", NULL,
};
static calls become_owner = {
    "setresuid", "setresgid", "setgroups", "setuid", "seteuid", "setgid", "capget", "setrlimit",
    "setsid", "setpgid", NULL,
};
static calls take_connections = {"accept", "accept4", NULL};
static calls connect_out = {"connect", "bind", NULL};
static calls children = {"wait4", "waitid", NULL};

#ifdef FACTEUR_SANITIZERS
/* They read /proc, and trace their own process when it ends. */
static calls sanitizers = {
    "open", "openat", "readlink", "readlinkat", "ptrace", "process_vm_readv", "personality", "kcmp",
    "prctl", "clone", "wait4", "tgkill", "getdents", "getdents64", "sched_getparam", "sched_getscheduler",
    "pidfd_open", "stat", "access", "mmap", "mprotect", "prlimit64", "setrlimit", NULL,
};
#define GROUND ground, sanitizers
#define CHILDREN NULL
#define ALONE false
#else
#define GROUND ground
#define CHILDREN children
#define ALONE true
#endif

/* For nobody, the master included. */
static calls kernel = {
#ifndef FACTEUR_SANITIZERS
    "ptrace", "process_vm_readv", "personality", "kcmp",
#endif
    "process_vm_writev", "process_madvise", "mount", "umount", "umount2", "move_mount", "fsopen",
    "fsconfig", "fsmount", "fspick", "open_tree", "mount_setattr", "pivot_root", "swapon", "swapoff",
    "reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "bpf",
    "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "unshare", "setns", "acct",
    "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
    "sethostname", "setdomainname", "syslog", "vhangup", "iopl", "ioperm", "modify_ldt",
    "name_to_handle_at", "open_by_handle_at", "fanotify_init", "fanotify_mark", "pidfd_getfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "lookup_dcookie", "nfsservctl",
    "uselib", "move_pages", "migrate_pages", "mbind", NULL,
};

const struct policy policies[] = {
    {.name = "master", .groups = {kernel}, .allows_all = true},
    {.name = "smtp", .groups = {GROUND, talk, memory_files, take_connections}},
    {.name = "access", .groups = {GROUND, talk, memory_files, take_connections}},
    {.name = "directory",
     .groups = {GROUND, talk, memory_files, files, connect_out},
     .families = {AF_UNIX, AF_INET, AF_INET6},
     .loads_code = true}, /* the name service of libc */
    {.name = "relay",
     .groups = {GROUND, talk, make_pairs, memory_files, connect_out,
                restrict_self}, /* ports, when it is configured */
     .families = {AF_INET, AF_INET6}},
    {.name = "filter", /* its connections are made by the master */
     .groups = {GROUND, talk, make_pairs, memory_files},
     .waits_to_connect = true}, /* libcurl 7.88 connects what is connected, and asks whether it is */
    {.name = "queue",
     .groups = {GROUND, talk, memory_files, files, change_files, restrict_self}},
    {.name = "deliver",
     .groups = {GROUND, talk, memory_files, files, change_files, give_files, become_owner,
                restrict_self}},
    {.name = "session", /* the parent */
     .groups = {GROUND, talk, memory_files, files, change_files, give_files, watch_files,
                become_owner, restrict_self, children},
     .forks = true,
     .signals = true},
    {.name = "owner", /* a session, after it became the mailbox's owner: what its parent's list has
                       * beyond what it needs. Short, since the kernel compiles it for each login. */
     .groups = {give_files, become_owner, restrict_self, CHILDREN},
     .allows_all = true,
     .alone = ALONE},
    {.name = NULL},
};
