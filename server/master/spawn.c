/* Starting a program: a clean process, one channel, nothing else. */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIVEN_FD 3
#define ENV_MAX 7
#define TEXT_MAX 1024

struct recipe {
    char path[4096];
    char numbers[3][16]; /* index, uid, gid */
    const char *argv[16];
    size_t args;
    char text[ENV_MAX][TEXT_MAX];
    char *env[ENV_MAX + 1];
};

static const char *log_name(void)
{
    static const char *const names[] = {"stderr", "syslog", "journal"};
    return names[log_target()];
}

static void fill_arguments(struct recipe *r, const struct material *mat, enum kind k, unsigned index)
{
    const struct identity *id = &mat->user[k];
    size_t n = 0;
    snprintf(r->path, sizeof r->path, "%.*s/%s", STR_FMT(mat->cfg->daemon_directory), kind_name(k));
    snprintf(r->numbers[0], 16, "%u", index);
    snprintf(r->numbers[1], 16, "%u", (unsigned)id->uid);
    snprintf(r->numbers[2], 16, "%u", (unsigned)id->gid);
    const char *const fixed[] = {r->path, "--index", r->numbers[0], "--uid", r->numbers[1],
                                 "--gid", r->numbers[2], "--log", log_name()};
    for (; n < sizeof fixed / sizeof fixed[0]; n++)
        r->argv[n] = fixed[n];
    r->args = n;
}

static void add_argument(struct recipe *r, const char *argument)
{
    r->argv[r->args++] = argument;
}

/* The environment of whoever started us ends here; the time zone, for syslog's dates, and the
 * sanitizers' settings are all that passes. Leaks cannot be looked for behind another uid. */
static void fill_environment(struct recipe *r, const struct material *mat, enum kind k)
{
    static const char *const passed[] = {"TZ", "UBSAN_OPTIONS", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"};
    size_t n = 0;
    snprintf(r->text[n++], TEXT_MAX, "LANG=C.UTF-8");
    /* What malloc keeps in a thread's cache, malloc_trim() cannot give back: 80 KiB of a waiting session. */
    if (k == KIND_SESSION)
        snprintf(r->text[n++], TEXT_MAX, "GLIBC_TUNABLES=glibc.malloc.tcache_count=0");
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        const char *value = getenv(passed[i]);
        bool leaks = mat->own_uids && strcmp(passed[i], "ASAN_OPTIONS") == 0;
        if (value || leaks)
            snprintf(r->text[n++], TEXT_MAX, "%s=%s%s", passed[i], value ? value : "",
                     leaks ? ":detect_leaks=0" : "");
    }
    for (size_t i = 0; i < n; i++)
        r->env[i] = r->text[i];
}

/* given: what the program gets as descriptor 3; out: what it says something on, -1: nothing. */
static void arrange_descriptors(int given, int out)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    if (null >= 0 || out >= 0)
        dup2(out >= 0 ? out : null, STDOUT_FILENO);
    if (given == GIVEN_FD)
        fcntl(given, F_SETFD, 0);
    else
        dup2(given, GIVEN_FD);
    close_range(GIVEN_FD + 1, ~0u, 0);
}

/* What the master would hear, told here, would still reach it: libevent's handler writes to a socket of both. */
static void forget_handlers(void)
{
    sigset_t none;
    struct sigaction act;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &act) == 0 && act.sa_handler != SIG_IGN)
            signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child; only calls that are safe between fork and exec. */
static void become_program(const struct recipe *r, int given, int out)
{
    forget_handlers();
    arrange_descriptors(given, out);
    setpgid(0, 0);
    umask(077);
    if (chdir("/") == 0)
        execve(r->path, (char *const *)r->argv, r->env);
    _exit(127);
}

static pid_t begin(const struct recipe *r, int given, int out)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        become_program(r, given, out);
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    if (pid > 0)
        setpgid(pid, pid); /* here too, so that it is done whoever runs first */
    return pid;
}

pid_t spawn_child(const struct child *c, int channel_fd)
{
    const struct material *mat = c->m->now;
    struct recipe r = {0};
    fill_arguments(&r, mat, c->kind, c->index);
    if (mat->own_uids && kind_has_empty_root(c->kind)) {
        add_argument(&r, "--root");
        add_argument(&r, c->m->empty_root);
    }
    fill_environment(&r, mat, c->kind);
    return begin(&r, channel_fd, -1);
}

pid_t spawn_trial(const struct material *mat, enum kind k, int out)
{
    struct recipe r = {0};
    fill_arguments(&r, mat, k, 0);
    add_argument(&r, "--check");
    fill_environment(&r, mat, k);
    return begin(&r, mat->bundle[k], out);
}
