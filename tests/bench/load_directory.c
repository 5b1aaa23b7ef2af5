/*
 * load directory: questions to the directory program as smtp and access ask them, over a channel of its
 * own. A figure is the time of one question. Beside the time it tells the CPU time of the program.
 */
#include "load.h"
#include "tests/lib/ipc/testmaster.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX 256

struct asker {
    struct testmaster_child child;
    unsigned self;
    int fd;
    struct buf in;
    struct arena *arena;
    struct users users;
    struct figures figures;
    double *from; /* by question */
    long asked, done, count, window;
    bool binds;
};

/* Its log goes where the log of a server goes: into a file. */
static int log_to(const struct options *options) {
    int own = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    int log = open(option_text(options, "log", "/dev/null"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (own < 0 || log < 0 || dup2(log, STDERR_FILENO) < 0) {
        give_up("no log");
    }
    close(log);
    return own;
}

static void start_program(const struct options *options, struct asker *asker) {
    int own = log_to(options);
    int begun = testmaster_start(&asker->child, DIRECTORY, option_text(options, "program", NULL), 0, 0, 0);
    dup2(own, STDERR_FILENO);
    close(own);
    if (begun != 0 || testmaster_configure_directory(&asker->child, option_text(options, "conf", NULL), false) != 0) {
        give_up("the directory program does not start: %s", asker->child.error);
    }
    asker->fd = testmaster_link(&asker->child, asker->self, 0);
}

static bool is_connected(struct asker *asker) {
    static const char *const kinds[] = {"search_connections=", "bind_connections="};
    struct buf status = {0};
    bool all = true;
    testmaster_status(&asker->child, &status);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        unsigned up = 0, wanted = 1;
        char *at = strstr(buf_z(&status), kinds[i]);
        all = at != NULL && sscanf(at + strlen(kinds[i]), "%u/%u", &up, &wanted) == 2 && up == wanted && all;
    }
    buf_free(&status);
    return all;
}

static void wait_connected(struct asker *asker) {
    double until = now_ms() + 20000;
    while (!is_connected(asker)) {
        if (now_ms() > until) {
            give_up("the directory program finds no server");
        }
        usleep(20000);
    }
}

static double program_cpu(const struct asker *asker) {
    clockid_t clock;
    struct timespec spent;
    if (clock_getcpuclockid(asker->child.pid, &clock) != 0 || clock_gettime(clock, &spent) != 0) {
        give_up("the directory program has ended");
    }
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static void ask_one(struct asker *asker) {
    const struct user *user = &asker->users.list[(size_t)asker->asked % asker->users.count];
    struct err e = {0};
    struct msg login = MSG_INIT(auth_ask), recipient = MSG_INIT(resolve_ask);
    login.auth_ask.service = SERVICE_IMAPS;
    login.auth_ask.user = str_from(user->login);
    login.auth_ask.password = str_from(user->password);
    recipient.resolve_ask.address = str_from(user->address);
    struct msg *m = asker->binds ? &login : &recipient;
    msg_set_id(m, (uint64_t)++asker->asked);
    asker->from[asker->asked] = now_ms();
    if (channel_send_now(asker->fd, m, &e) != 0) {
        give_up("%s", e.log);
    }
}

static void take(struct asker *asker, const struct msg *m) {
    uint64_t id = msg_id(m);
    bool is_yes = asker->binds ? m->type == MSG_auth_reply && m->auth_reply.verdict == VERDICT_YES
                               : m->type == MSG_resolve_reply && m->resolve_reply.verdict == VERDICT_YES;
    if (id == 0 || id > (uint64_t)asker->asked) {
        give_up("an answer to no question");
    }
    if (!is_yes) {
        figures_fail(&asker->figures, "not yes");
    }
    if (m->type == MSG_resolve_reply && m->resolve_reply.more) {
        return;
    }
    figures_add(&asker->figures, now_ms() - asker->from[id]);
    asker->done++;
}

/* Waits for one answer, and takes all that are there. */
static void take_answers(struct asker *asker) {
    struct err e = {0};
    struct msg m;
    int patience = 60000, got;
    while ((got = channel_recv_now(asker->fd, DIRECTORY, asker->self, patience, &asker->in, asker->arena, &m, &e)) == 1) {
        take(asker, &m);
        arena_reset(asker->arena);
        patience = 0;
    }
    if (got == 0 || patience != 0) {
        give_up("the directory program says nothing: %s", e.log);
    }
}

static void run(struct asker *asker) {
    while (asker->done < asker->count) {
        while (asker->asked < asker->count && asker->asked - asker->done < asker->window) {
            ask_one(asker);
        }
        take_answers(asker);
    }
}

int load_directory(const struct options *options) {
    struct asker asker = {.window = option_number(options, "window", 20),
                          .count = option_number(options, "count", 1000),
                          .binds = option_number(options, "binds", 0) != 0};
    char extra[64];
    asker.self = asker.binds ? ACCESS : SMTP;
    asker.from = calloc((size_t)asker.count + 1, sizeof *asker.from);
    asker.arena = arena_new(4096);
    if (asker.window < 1 || asker.window > WINDOW_MAX || asker.from == NULL) {
        give_up("too large a window");
    }
    users_read(&asker.users, options);
    start_program(options, &asker);
    wait_connected(&asker);
    double before = program_cpu(&asker);
    figures_begin(&asker.figures);
    run(&asker);
    figures_end(&asker.figures);
    snprintf(extra, sizeof extra, ", \"program_cpu\": %.6f", program_cpu(&asker) - before);
    figures_print(&asker.figures, extra);
    close(asker.fd);
    testmaster_stop(&asker.child);
    bool failed = asker.figures.failed > 0;
    figures_free(&asker.figures);
    arena_free(asker.arena);
    buf_free(&asker.in);
    free(asker.users.list);
    free(asker.from);
    return failed;
}
