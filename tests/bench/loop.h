/*
 * The load generator's ground: tasks that read like blocking code and run on one epoll loop, each with
 * a stack of its own; connections with or without TLS; lines; options; figures. One thread in all.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

struct loop {
    int epoll;
    unsigned tasks;       /* alive */
    struct task *now;     /* the one that runs */
    struct task *ready;   /* those that have not run yet */
    struct task **last;
    struct task *ended;   /* its stack is given back by the loop */
    void *context;        /* of the loop itself */
    SSL_CTX *tls;
    int patience_ms;      /* how long nothing may happen; a minute at first */
};

void loop_init(struct loop *loop);
void loop_free(struct loop *loop);
/* Adds a task; it starts when the loop runs. arg belongs to the caller. */
void loop_spawn(struct loop *loop, void (*run)(struct loop *, void *), void *arg);
/* Runs until every task has returned. Ends the program when nothing happens for too long. */
void loop_run(struct loop *loop);
/* From inside a task: sleeps until its connection has something to say. */
void loop_pause(struct loop *loop);

struct conn {
    struct loop *loop;
    int fd;
    SSL *ssl;             /* NULL without TLS */
    bool drained;         /* the last read took all there was: the next one waits first */
    char *in;             /* bytes read and not yet taken: in[begin..end) */
    size_t begin, end, size;
    uint64_t received;
};

/* All return 0, or -1 when the connection is gone; conn_close is right after either. */
int conn_open(struct conn *conn, struct loop *loop, int port);
int conn_tls(struct conn *conn);
int conn_write(struct conn *conn, const char *data, size_t len);
int conn_printf(struct conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line without its end, with a 0 after it; valid until the next call. */
int conn_line(struct conn *conn, char **line, size_t *len);
int conn_skip(struct conn *conn, size_t len);
void conn_close(struct conn *conn);

/* Options of the command line: name=value. A missing one without default ends the program. */
struct options {
    int count;
    char **words;
};
const char *option_text(const struct options *options, const char *name, const char *fallback);
long option_number(const struct options *options, const char *name, long fallback);

struct user {
    char login[64], password[64], address[128];
};
/* The lines "login password address" of the file that the option users names. */
struct users {
    struct user *list;
    size_t count;
};
void users_read(struct users *users, const struct options *options);

/* Figures: milliseconds, one an operation. */
struct figures {
    double *ms;
    size_t count, size;
    uint64_t failed;
    char first_failure[160];
    double started, seconds;
};
double now_ms(void);
void figures_begin(struct figures *figures);
void figures_add(struct figures *figures, double ms);
void figures_fail(struct figures *figures, const char *text);
void figures_end(struct figures *figures);
/* One line of JSON; extra is "" or begins with a comma. */
void figures_print(struct figures *figures, const char *extra);
void figures_free(struct figures *figures);

__attribute__((format(printf, 1, 2), noreturn)) void give_up(const char *format, ...);

#endif
