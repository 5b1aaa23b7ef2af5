/* What the master does to start a program, for tests. */
#include "tests/lib/ipc/testmaster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "testmaster: %s: %s\n", what, why);
    return -1;
}

static void run_child(const char *binary, int fd, unsigned index, uid_t uid, gid_t gid)
{
    char number[3][16];
    snprintf(number[0], sizeof number[0], "%u", index);
    snprintf(number[1], sizeof number[1], "%u", (unsigned)uid);
    snprintf(number[2], sizeof number[2], "%u", (unsigned)gid);
    if (fd == 3)
        fcntl(fd, F_SETFD, 0);
    else
        dup2(fd, 3);
    close_range(4, ~0u, 0);
    execl(binary, binary, "--index", number[0], "--uid", number[1], "--gid", number[2], "--log",
          "stderr", (char *)NULL);
    complain(binary, strerror(errno));
    _exit(127);
}

int testmaster_start(struct testmaster_child *c, unsigned self, const char *binary, unsigned index,
                     uid_t uid, gid_t gid)
{
    int fds[2];
    *c = (struct testmaster_child){.self = self, .fd = -1};
    if (channel_pair(fds) != 0)
        return complain("channel", strerror(errno));
    c->pid = fork();
    if (c->pid == 0)
        run_child(binary, fds[1], index, uid, gid);
    close(fds[1]);
    if (c->pid < 0) {
        close(fds[0]);
        return complain("fork", strerror(errno));
    }
    c->fd = fds[0];
    return 0;
}

struct buf testmaster_bundle(struct str conf)
{
    struct buf b = {0};
    bundle_add(&b, STR("facteur.conf"), conf);
    return b;
}

/* The next message of that type; others (late ones) are dropped. */
static int await(struct testmaster_child *c, enum msg_type type, struct buf *bytes,
                 struct arena *arena, struct msg *m)
{
    struct err e = {0};
    for (;;) {
        int r = channel_recv_now(c->fd, c->self, MASTER, WAIT_MS, bytes, arena, m, &e);
        if (r != 1)
            return complain(msg_name(type), r == 0 ? "the program went away" : e.log);
        if (m->type == type)
            return 0;
        fd_closep(&m->fd);
    }
}

int testmaster_configure(struct testmaster_child *c, const struct buf *bundle, bool reload)
{
    struct err e = {0};
    struct msg m = MSG_INIT(configure), reply;
    AUTO_BUF bytes = {0};
    AUTO_ARENA arena = arena_new(1024);
    m.configure.reload = reload;
    m.fd = bundle_memfd(bundle);
    int r = channel_send_now(c->fd, &m, &e);
    close(m.fd);
    snprintf(c->error, sizeof c->error, "%s", r == 0 ? "the program went away" : e.log);
    if (r != 0 || await(c, MSG_ready, &bytes, arena, &reply) != 0)
        return -1;
    snprintf(c->error, sizeof c->error, "%.*s", STR_FMT(reply.ready.error));
    return reply.ready.error.n ? -1 : 0;
}

/* --- the directory program --- */

static int add_file(struct buf *bundle, struct str path)
{
    AUTO_BUF name = {0};
    AUTO_BUF bytes = {0};
    FILE *f = fopen((buf_str(&name, path), buf_z(&name)), "r");
    if (!f || fd_read_all(fileno(f), &bytes, 1 << 20) != 0) {
        perror(name.p);
        return -1;
    }
    fclose(f);
    AUTO_BUF piece = {0};
    buf_printf(&piece, "map:%s", name.p);
    bundle_add(bundle, buf_view(&piece), buf_view(&bytes));
    return 0;
}

static int add_maps(struct buf *bundle, const struct config *cfg)
{
    for (size_t i = 0; i < config_option_count; i++) {
        struct str rest = cfg->value[i], piece;
        if (strcmp(config_options[i].type, "MAP") != 0)
            continue;
        while (str_token(&rest, ", \t", &piece))
            if (str_starts(piece, STR("ldap:")) && add_file(bundle, str_skip(piece, 5)) != 0)
                return -1;
    }
    return 0;
}

int testmaster_configure_directory(struct testmaster_child *c, const char *conf, bool reload)
{
    struct config *cfg;
    struct err e = {0};
    if (config_load(conf, &cfg, &e) != 0) {
        fprintf(stderr, "testmaster: %s\n", e.log);
        return -1;
    }
    AUTO_BUF text = {0};
    config_export(cfg, DIRECTORY, &text);
    AUTO_BUF bundle = testmaster_bundle(buf_view(&text));
    int r = add_maps(&bundle, cfg);
    config_free(cfg);
    return r == 0 ? testmaster_configure(c, &bundle, reload) : -1;
}

static int send_link(struct testmaster_child *c, unsigned peer, unsigned index, int fd)
{
    struct err e = {0};
    struct msg m = MSG_INIT(link);
    m.link.peer = peer;
    m.link.index = index;
    m.fd = fd;
    return channel_send_now(c->fd, &m, &e) == 0 ? 0 : complain("link", e.log);
}

int testmaster_link(struct testmaster_child *c, unsigned peer, unsigned index)
{
    int fds[2];
    if (channel_pair(fds) != 0)
        return complain("channel", strerror(errno));
    int r = send_link(c, peer, index, fds[1]);
    close(fds[1]);
    if (r != 0)
        fd_closep(&fds[0]);
    return fds[0];
}

int testmaster_join(struct testmaster_child *x, unsigned x_index, struct testmaster_child *y,
                    unsigned y_index)
{
    int fds[2];
    if (channel_pair(fds) != 0)
        return complain("channel", strerror(errno));
    int r = send_link(x, y->self, y_index, fds[0]);
    if (r == 0)
        r = send_link(y, x->self, x_index, fds[1]);
    close(fds[0]);
    close(fds[1]);
    return r;
}

void testmaster_status(struct testmaster_child *c, struct buf *out)
{
    struct err e = {0};
    struct msg m = MSG_INIT(status_ask), reply;
    AUTO_BUF bytes = {0};
    AUTO_ARENA arena = arena_new(1024);
    m.status_ask.id = 1;
    if (channel_send_now(c->fd, &m, &e) == 0 &&
        await(c, MSG_status_reply, &bytes, arena, &reply) == 0)
        buf_str(out, reply.status_reply.text);
}

int testmaster_stop(struct testmaster_child *c)
{
    int status = -1;
    if (c->pid <= 0)
        return status;
    fd_closep(&c->fd);
    for (int ms = 0; ms < 10000; ms += 10) {
        if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
            c->pid = 0;
            return status;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    kill(c->pid, SIGKILL);
    waitpid(c->pid, &status, 0);
    c->pid = 0;
    return status;
}

unsigned testmaster_program(struct str name)
{
    for (unsigned bit = MASTER; bit <= FILTER; bit <<= 1)
        if (str_eq(name, str_from(program_name(bit))))
            return bit;
    return 0;
}
