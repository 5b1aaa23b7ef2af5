/*
 * System call filters (seccomp): a table of groups of calls, and for each program the groups it is
 * denied. What is denied answers EPERM, so that a library that only tries goes on without it.
 *
 * Calls that this libseccomp or this machine does not know are left out; those of another machine
 * word (32 bit, x32) end the process, as libseccomp does by itself.
 */
#include "confine/layers.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/socket.h>
#include <unistd.h>

/* The sanitizers read /proc and trace their own process when it ends. */
#ifdef FACTEUR_SANITIZERS
#define UNLESS_SANITIZED(...)
#else
#define UNLESS_SANITIZED(...) __VA_ARGS__
#endif

typedef const char *const calls[];

static calls kernel = {
    UNLESS_SANITIZED("ptrace", "process_vm_readv", "personality", "kcmp", )
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
static calls open_files = {
    UNLESS_SANITIZED("open", "openat", "readlink", "readlinkat", ) "openat2", "creat", NULL,
};
static calls change_paths = {
    "truncate", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "chmod", "fchmodat",
    "fchmodat2", "chown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat",
    "setxattr", "lsetxattr", "removexattr", "lremovexattr", "chdir", "inotify_add_watch", NULL,
};
static calls make_sockets = {"socket", "connect", NULL};
static calls take_connections = {"bind", "listen", "accept", "accept4", NULL};
static calls offer_ports = {"bind", "listen", NULL};
/* bind is left: the resolver takes a random port for each question (RFC 5452 section 9.2). */
static calls hear_connections = {"listen", "accept", "accept4", NULL};
static calls other_sockets = {NULL}; /* stands for socket(2) of any but the Internet's families */
static calls run_programs = {"execve", "execveat", NULL};
static calls fork_children = {"fork", "vfork", NULL};
static calls signal_others = {
    "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_send_signal", NULL,
};
static calls change_rights = {
    "setuid",    "setgid",   "setreuid", "setregid", "setresuid", "setresgid",
    "setgroups", "setfsuid", "setfsgid", "capset",   "chroot",    NULL,
};

#define GROUPS_MAX 10

static const struct policy {
    unsigned program;
    const char *const *denied[GROUPS_MAX];
} policies[] = {
    {MASTER, {kernel}},
    {SMTP,
     {kernel, open_files, change_paths, make_sockets, offer_ports, run_programs, fork_children,
      signal_others, change_rights}},
    {ACCESS,
     {kernel, open_files, change_paths, make_sockets, offer_ports, run_programs, fork_children,
      signal_others, change_rights}},
    {DIRECTORY,
     {kernel, take_connections, run_programs, fork_children, signal_others, change_rights}},
    {RELAY,
     {kernel, open_files, change_paths, hear_connections, other_sockets, run_programs, fork_children,
      signal_others, change_rights}},
    {FILTER, /* its connections are made by the master */
     {kernel, open_files, change_paths, make_sockets, take_connections, run_programs, fork_children,
      signal_others, change_rights}},
    {QUEUE,
     {kernel, make_sockets, take_connections, run_programs, fork_children, signal_others,
      change_rights}},
    {DELIVER,
     {kernel, make_sockets, take_connections, run_programs, fork_children, signal_others}},
    {SESSION, {kernel, make_sockets, take_connections, run_programs}}, /* the parent forks */
};

static int deny(scmp_filter_ctx ctx, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    return nr < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
}

static int deny_group(scmp_filter_ctx ctx, const char *const *names)
{
    int r = 0;
    for (; *names && r == 0; names++)
        r = deny(ctx, *names);
    return r;
}

/* clone without CLONE_THREAD is a fork; clone3 hides its flags behind a pointer, and libc goes back
 * to clone where it does not exist. Signals to threads of our own process stay possible: abort(3). */
static int deny_processes(scmp_filter_ctx ctx)
{
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
#ifndef FACTEUR_SANITIZERS
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
#endif
    return r;
}

static int deny_foreign_signals(scmp_filter_ctx ctx)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
}

static int deny_socket(scmp_filter_ctx ctx, struct scmp_arg_cmp families)
{
    return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, families);
}

static int deny_other_sockets(scmp_filter_ctx ctx)
{
    int r = deny_socket(ctx, SCMP_A0(SCMP_CMP_LT, AF_INET));
    for (scmp_datum_t family = AF_INET + 1; family < AF_INET6 && r == 0; family++)
        r = deny_socket(ctx, SCMP_A0(SCMP_CMP_EQ, family));
    return r == 0 ? deny_socket(ctx, SCMP_A0(SCMP_CMP_GT, AF_INET6)) : r;
}

static int fill(scmp_filter_ctx ctx, const struct policy *p)
{
    int r = 0;
    for (size_t i = 0; i < GROUPS_MAX && p->denied[i] && r == 0; i++) {
        r = deny_group(ctx, p->denied[i]);
        if (r == 0 && p->denied[i] == fork_children)
            r = deny_processes(ctx);
        if (r == 0 && p->denied[i] == signal_others)
            r = deny_foreign_signals(ctx);
        if (r == 0 && p->denied[i] == other_sockets)
            r = deny_other_sockets(ctx);
    }
    return r;
}

static int load(const struct policy *p)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return -ENOMEM;
    /* Over all threads, and sorted as a tree: a filter is run for every call. */
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = fill(ctx, p);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    return r;
}

int confine_lock(unsigned self, struct err *e)
{
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        if (policies[i].program != self)
            continue;
        int r = load(&policies[i]);
        return r == 0 ? 0 : err_perm(e, "system call filter: %s", strerror(-r));
    }
    return err_perm(e, "no system call filter for program %u", self);
}
