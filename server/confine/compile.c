/*
 * confine-filters: prints policy.c's table as seccomp programs in C, for filter.c. Runs when Facteur is
 * built, so that starting a program costs no compiling and no library.
 */
#include "confine/policy.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static scmp_filter_ctx ctx;

static void check(int r, const char *what)
{
    if (r != 0) {
        fprintf(stderr, "confine-filters: %s: %s\n", what, strerror(-r));
        exit(1);
    }
}

static void rule(uint32_t action, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr >= 0)
        check(seccomp_rule_add(ctx, action, nr, 0), name);
}

static void rule_arg(uint32_t action, const char *name, struct scmp_arg_cmp arg)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr >= 0)
        check(seccomp_rule_add_array(ctx, action, nr, 1, &arg), name);
}

static void allow_groups(const struct policy *p)
{
    for (size_t i = 0; i < POLICY_GROUPS && p->groups[i]; i++)
        for (const char *const *name = p->groups[i]; *name; name++)
            rule(p->allows_all ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW, *name);
}

/* clone3 hides its flags behind a pointer; libc goes back to clone where it does not exist. */
static void allow_tasks(const struct policy *p)
{
    rule(SCMP_ACT_ERRNO(ENOSYS), "clone3");
    if (p->forks) {
        rule(SCMP_ACT_ALLOW, "clone");
        rule(SCMP_ACT_ALLOW, "fork");
        rule(SCMP_ACT_ALLOW, "vfork");
    } else {
        rule_arg(SCMP_ACT_ALLOW, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    }
}

/* What allow_tasks and allow_signals leave out, taken from a filter below this one. */
static void deny_company(void)
{
    rule_arg(SCMP_ACT_ERRNO(EPERM), "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    rule(SCMP_ACT_ERRNO(EPERM), "fork");
    rule(SCMP_ACT_ERRNO(EPERM), "vfork");
    /* Asking whether a process lives sends nothing: the holder of a lock may have died. */
    rule_arg(SCMP_ACT_ERRNO(EPERM), "kill", SCMP_A1(SCMP_CMP_NE, 0));
    rule_arg(SCMP_ACT_ERRNO(EPERM), "tgkill", SCMP_A0(SCMP_CMP_NE, POLICY_OWN_PID));
}

/* Our own process may always be ended: abort(3). */
static void allow_signals(const struct policy *p)
{
    if (p->signals) {
        rule(SCMP_ACT_ALLOW, "kill");
        rule(SCMP_ACT_ALLOW, "tgkill");
    } else {
        rule_arg(SCMP_ACT_ALLOW, "tgkill", SCMP_A0(SCMP_CMP_EQ, POLICY_OWN_PID));
    }
}

/* TCP Fast Open connects without connect(2): even a listener, once it was shut down, and to ports that
 * Landlock would refuse. The answer is that of a kernel without it, after which libunbound connects. */
static void allow_sending(void)
{
    static const struct {
        const char *name;
        unsigned flags;
    } calls[] = {{"sendto", 3}, {"sendmsg", 2}, {"sendmmsg", 3}};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        rule_arg(SCMP_ACT_ALLOW, calls[i].name,
                 SCMP_CMP(calls[i].flags, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, 0));
        rule_arg(SCMP_ACT_ERRNO(EOPNOTSUPP), calls[i].name,
                 SCMP_CMP(calls[i].flags, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
    }
}

/* Memory that is written is never run. */
static void allow_memory(const struct policy *p)
{
    static const char *const names[] = {"mmap", "mprotect"};
    for (size_t i = 0; i < 2; i++) {
        if (p->loads_code)
            rule(SCMP_ACT_ALLOW, names[i]);
        else
            rule_arg(SCMP_ACT_ALLOW, names[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
}

static void allow_by_argument(void)
{
    static const scmp_datum_t ioctls[] = {FIONREAD, FIONBIO, TCGETS};
    static const scmp_datum_t prctls[] = {PR_SET_NAME,          PR_GET_NAME,     PR_SET_NO_NEW_PRIVS,
                                          PR_GET_NO_NEW_PRIVS,  PR_SET_DUMPABLE, PR_GET_DUMPABLE,
                                          PR_SET_PDEATHSIG,     PR_CAPBSET_READ, PR_SET_VMA};
    for (size_t i = 0; i < sizeof ioctls / sizeof ioctls[0]; i++)
        rule_arg(SCMP_ACT_ALLOW, "ioctl", SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
    for (size_t i = 0; i < sizeof prctls / sizeof prctls[0]; i++)
        rule_arg(SCMP_ACT_ALLOW, "prctl", SCMP_A0(SCMP_CMP_EQ, prctls[i]));
    /* Asking about limits of our own process, not setting those of another. */
    rule_arg(SCMP_ACT_ALLOW, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));
}

static void print_program(const char *name)
{
    FILE *out = tmpfile();
    if (!out)
        check(-errno, "tmpfile");
    check(seccomp_export_bpf(ctx, fileno(out)), "export");
    fseek(out, 0, SEEK_SET);
    printf("static const struct sock_filter filter_%s[] = {\n", name);
    struct sock_filter f;
    while (fread(&f, sizeof f, 1, out) == 1)
        printf("    {0x%02x, %u, %u, 0x%08x},\n", f.code, f.jt, f.jf, f.k);
    printf("};\n");
    fclose(out);
}

/* Of the Internet's protocols these alone: Landlock counts the ports of no other (MPTCP, SCTP). */
static void allow_sockets(int family)
{
    static const scmp_datum_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP};
    int nr = seccomp_syscall_resolve_name("socket");
    for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
        check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 2, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family),
                               SCMP_A2(SCMP_CMP_EQ, protocols[i])), "socket");
}

static void compile(const struct policy *p)
{
    ctx = seccomp_init(p->allows_all ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    if (!ctx)
        check(-ENOMEM, "init");
    /* Sorted as a tree: a filter is run for every call. */
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    allow_groups(p);
    if (!p->allows_all) {
        allow_tasks(p);
        allow_signals(p);
        allow_sending();
        allow_memory(p);
        allow_by_argument();
        if (p->waits_to_connect)
            rule(SCMP_ACT_ERRNO(EINPROGRESS), "connect");
        for (size_t i = 0; i < POLICY_FAMILIES && p->families[i]; i++)
            allow_sockets(p->families[i]);
    }
    if (p->alone)
        deny_company();
    print_program(p->name);
    seccomp_release(ctx);
}

int main(void)
{
    printf("/* Made by confine-filters from policy.c. */\n");
    for (const struct policy *p = policies; p->name; p++)
        compile(p);
    return 0;
}
