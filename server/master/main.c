/*
 * facteurd: the master of the suite. Runs as root with a handful of capabilities, or as an ordinary
 * user where the configuration says single_uid.
 */
#include "confine/confine.h"
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    const char *file;
    bool check, foreground;
};

static int usage(void)
{
    fputs("usage: facteurd [-c FILE] [-f | -t | -V]\n"
          "  -c FILE  the configuration; default " SYSCONFDIR "/facteur/facteur.conf\n"
          "  -f       stay in the foreground\n"
          "  -t       check the configuration and all it names, and end\n"
          "  -V       print the version\n",
          stderr);
    return 2;
}

/* Standard descriptors that are closed would be taken by files of ours. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    fd_closep(&fd);
}

/* --- check --- */

static void check_ports(const struct material *m, struct findings *f)
{
    struct ports p = {NULL, 0};
    struct err e = {0};
    ports_want(m->cfg, &p, f);
    if (f->errors == 0 && !life_running(m) && ports_open(&p, NULL, 0, &e) != 0)
        finding_error(f, "%s", e.log);
    ports_close_others(&p, NULL);
    ports_free(&p);
}

/* The material, or NULL with everything that is wrong on standard error. */
static struct material *load(const struct options *o)
{
    struct findings f = {0};
    struct material *m = material_load(o->file, o->check, &f);
    if (m) {
        material_check_places(m, &f);
        if (o->check) {
            tables_check(m, &f);
            check_ports(m, &f);
            trials_run(m, &f);
        }
    }
    fputs(buf_z(&f.text), stderr);
    if (f.errors) {
        material_free(m);
        m = NULL;
    }
    findings_free(&f);
    return m;
}

static int check(const struct options *o)
{
    struct material *m = load(o);
    if (!m)
        return 1;
    printf("%s: good\n", m->file);
    material_free(m);
    return 0;
}

/* --- background --- */

struct starter {
    int ready[2];  /* one byte when the server stands */
    int errors[2]; /* what it says on standard error until then; -1: that is a file, and stays */
};

static bool errors_go_to_file(void)
{
    struct stat st;
    return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

static void pass_errors(int fd)
{
    char room[4096];
    ssize_t n = read(fd, room, sizeof room);
    if (n > 0)
        fd_write_all(STDERR_FILENO, room, (size_t)n);
}

/* The one who called sees what the start says, and learns by the exit status whether the server
 * stands; nothing of its own stays open behind it. */
static int wait_for_server(const struct starter *s)
{
    struct pollfd p[2] = {{s->ready[0], POLLIN, 0}, {s->errors[0], POLLIN, 0}};
    char byte;
    while (!p[0].revents) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 1;
        if (p[1].revents & POLLIN)
            pass_errors(s->errors[0]);
        else if (p[1].revents)
            p[1].fd = -1;
    }
    if (s->errors[0] >= 0)
        fcntl(s->errors[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 64; i++)
        pass_errors(s->errors[0]);
    return read(s->ready[0], &byte, 1) == 1 ? 0 : 1;
}

static int background_child(struct starter *s)
{
    AUTO_FD null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    close(s->ready[0]);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (s->errors[1] >= 0)
        dup2(s->errors[1], STDERR_FILENO);
    fd_closep(&s->errors[0]);
    fd_closep(&s->errors[1]);
    return s->ready[1];
}

/* -1: we are the server, and *ready_fd is set; else the exit status of the one who called. */
static int background(int *ready_fd)
{
    struct starter s = {{-1, -1}, {-1, -1}};
    if (pipe2(s.ready, O_CLOEXEC) != 0 || (!errors_go_to_file() && pipe2(s.errors, O_CLOEXEC) != 0)) {
        perror("facteurd: pipe");
        return 1;
    }
    pid_t pid = fork();
    if (pid < 0) {
        perror("facteurd: fork");
        return 1;
    }
    if (pid == 0) {
        *ready_fd = background_child(&s);
        return -1;
    }
    close(s.ready[1]);
    fd_closep(&s.errors[1]);
    return wait_for_server(&s);
}

/* --- the whole --- */

static int serve(const struct options *o)
{
    int ready_fd = -1;
    struct material *m = load(o);
    if (!m)
        return 1;
    if (!o->foreground) {
        int r = background(&ready_fd);
        if (r >= 0) {
            material_free(m);
            return r;
        }
    }
    log_open((enum log_target)m->cfg->log_target, "facteur/master", -1);
    log_verbose(m->cfg->debug);
    return master_run(m, ready_fd);
}

static int confine(void)
{
    struct confine c = {.self = MASTER, .keep_privilege = true};
    struct err e = {0};
    if (confine_enter(&c, &e) == 0 && confine_lock(MASTER, &e) == 0)
        return 0;
    fprintf(stderr, "error: %s\n", e.log);
    return -1;
}

static int take_options(int argc, char **argv, struct options *o)
{
    int c;
    while ((c = getopt(argc, argv, "c:tfV")) != -1) {
        if (c == 'c')
            o->file = optarg;
        else if (c == 't')
            o->check = true;
        else if (c == 'f')
            o->foreground = true;
        else if (c == 'V')
            return puts(PACKAGE_STRING) < 0;
        else
            return usage();
    }
    return optind == argc ? -1 : usage();
}

int main(int argc, char **argv)
{
    struct options o = {.file = SYSCONFDIR "/facteur/facteur.conf"};
    int r = take_options(argc, argv, &o);
    if (r >= 0)
        return r;
    fill_standard_descriptors();
    umask(022);
    if (sodium_init() < 0 || confine() != 0)
        return 1;
    return o.check ? check(&o) : serve(&o);
}
