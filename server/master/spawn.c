/* Starting a program: a clean process, one channel, nothing else. */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANNEL_FD 3
#define ENV_MAX 6
#define TEXT_MAX 1024

struct recipe {
    char path[4096];
    char numbers[3][16]; /* index, uid, gid */
    const char *argv[16];
    char text[ENV_MAX][TEXT_MAX];
    char *env[ENV_MAX + 1];
};

static const char *log_name(void)
{
    static const char *const names[] = {"stderr", "syslog", "journal"};
    return names[log_target()];
}

static void fill_arguments(const struct child *c, struct recipe *r)
{
    const struct material *mat = c->m->now;
    const struct identity *id = &mat->user[c->kind];
    size_t n = 0;
    snprintf(r->path, sizeof r->path, "%.*s/%s", STR_FMT(mat->cfg->daemon_directory),
             kind_name(c->kind));
    snprintf(r->numbers[0], 16, "%u", c->index);
    snprintf(r->numbers[1], 16, "%u", (unsigned)id->uid);
    snprintf(r->numbers[2], 16, "%u", (unsigned)id->gid);
    const char *const fixed[] = {r->path, "--index", r->numbers[0], "--uid", r->numbers[1],
                                 "--gid", r->numbers[2], "--log", log_name()};
    for (; n < sizeof fixed / sizeof fixed[0]; n++)
        r->argv[n] = fixed[n];
    if (mat->own_uids && kind_has_empty_root(c->kind)) {
        r->argv[n++] = "--root";
        r->argv[n++] = c->m->empty_root;
    }
}

/* The environment of whoever started us ends here; the time zone, for syslog's dates, and the
 * sanitizers' settings are all that passes. Leaks cannot be looked for behind another uid. */
static void fill_environment(const struct child *c, struct recipe *r)
{
    static const char *const passed[] = {"TZ", "UBSAN_OPTIONS", "ASAN_OPTIONS", "LSAN_OPTIONS"};
    size_t n = 0;
    snprintf(r->text[n++], TEXT_MAX, "LANG=C.UTF-8");
    /* What malloc keeps in a thread's cache, malloc_trim() cannot give back: 80 KiB of a waiting session. */
    if (c->kind == KIND_SESSION)
        snprintf(r->text[n++], TEXT_MAX, "GLIBC_TUNABLES=glibc.malloc.tcache_count=0");
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        const char *value = getenv(passed[i]);
        bool leaks = c->m->now->own_uids && strcmp(passed[i], "ASAN_OPTIONS") == 0;
        if (value || leaks)
            snprintf(r->text[n++], TEXT_MAX, "%s=%s%s", passed[i], value ? value : "",
                     leaks ? ":detect_leaks=0" : "");
    }
    for (size_t i = 0; i < n; i++)
        r->env[i] = r->text[i];
}

static void arrange_descriptors(int channel_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    if (channel_fd == CHANNEL_FD)
        fcntl(channel_fd, F_SETFD, 0);
    else
        dup2(channel_fd, CHANNEL_FD);
    close_range(CHANNEL_FD + 1, ~0u, 0);
}

/* In the child; only calls that are safe between fork and exec. */
static void become_program(const struct recipe *r, int channel_fd)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    arrange_descriptors(channel_fd);
    setpgid(0, 0);
    umask(077);
    if (chdir("/") == 0)
        execve(r->path, (char *const *)r->argv, r->env);
    _exit(127);
}

pid_t spawn_child(const struct child *c, int channel_fd)
{
    struct recipe r = {0};
    fill_arguments(c, &r);
    fill_environment(c, &r);
    pid_t pid = fork();
    if (pid == 0)
        become_program(&r, channel_fd);
    if (pid > 0)
        setpgid(pid, pid); /* here too, so that it is done whoever runs first */
    return pid;
}
