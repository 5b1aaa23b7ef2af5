/*
 * load login, idle and script: IMAP over TLS (and POP3 for login). Each session is a user of the list.
 */
#include "load.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct imap {
    const struct users *users;
    struct figures figures;
    int port;
    bool pop3, select;
    long left, open, wanted;
    const char *script;
};

/* The length of the literal that a line announces at its end; -1 for none. */
static long literal(const char *line, size_t len) {
    if (len < 3 || line[len - 1] != '}') {
        return -1;
    }
    size_t i = len - 1;
    while (i > 0 && isdigit((unsigned char)line[i - 1])) {
        i--;
    }
    return i == 0 || line[i - 1] != '{' || i == len - 1 ? -1 : strtol(line + i, NULL, 10);
}

/* Reads up to the tagged answer. */
static int answer(struct conn *conn) {
    bool fresh = true; /* this line begins a response, not what follows a literal */
    for (;;) {
        char *line;
        size_t len;
        if (conn_line(conn, &line, &len) != 0) {
            return -1;
        }
        if (fresh && len > 4 && strncmp(line, "a ", 2) == 0) {
            return strncmp(line + 2, "OK", 2) == 0 ? 0 : 1;
        }
        long more = literal(line, len);
        if (more >= 0 && conn_skip(conn, (size_t)more) != 0) {
            return -1;
        }
        fresh = more < 0;
    }
}

int imap_command(struct conn *conn, const char *command, size_t len) {
    return conn_write(conn, command, len) != 0 ? -1 : answer(conn);
}

int imap_login(struct conn *conn, struct loop *loop, int port, const struct user *user) {
    char *line;
    size_t len;
    if (conn_open(conn, loop, port) != 0 || conn_tls(conn) != 0 || conn_line(conn, &line, &len) != 0) {
        return -1;
    }
    return conn_printf(conn, "a LOGIN %s %s\r\n", user->login, user->password) != 0 ? -1 : answer(conn);
}

static bool pop3_ok(struct conn *conn) {
    char *line;
    size_t len;
    return conn_line(conn, &line, &len) == 0 && len > 0 && line[0] == '+';
}

static bool pop3_visit(struct conn *conn, struct loop *loop, int port, const struct user *user) {
    if (conn_open(conn, loop, port) != 0 || conn_tls(conn) != 0 || !pop3_ok(conn)) {
        return false;
    }
    return conn_printf(conn, "USER %s\r\n", user->login) == 0 && pop3_ok(conn) &&
           conn_printf(conn, "PASS %s\r\n", user->password) == 0 && pop3_ok(conn) &&
           conn_printf(conn, "QUIT\r\n") == 0 && pop3_ok(conn);
}

static void login_task(struct loop *loop, void *arg) {
    struct imap *imap = arg;
    while (imap->left > 0) {
        const struct user *user = &imap->users->list[(size_t)imap->left-- % imap->users->count];
        struct conn conn;
        double from = now_ms();
        bool fine;
        if (imap->pop3) {
            fine = pop3_visit(&conn, loop, imap->port, user);
        } else {
            fine = imap_login(&conn, loop, imap->port, user) == 0 &&
                   imap_command(&conn, "a LOGOUT\r\n", 10) == 0;
        }
        if (fine) {
            figures_add(&imap->figures, now_ms() - from);
        } else {
            figures_fail(&imap->figures, "login failed");
            imap->left = imap->figures.failed > 100 ? 0 : imap->left;
        }
        conn_close(&conn);
    }
}

int load_login(const struct options *options) {
    struct users users;
    users_read(&users, options);
    struct imap imap = {.users = &users,
                        .port = (int)option_number(options, "port", -1),
                        .pop3 = option_number(options, "pop3", 0) != 0,
                        .left = option_number(options, "count", 100)};
    struct loop loop;
    loop_init(&loop);
    long sessions = option_number(options, "sessions", 1);
    for (long i = 0; i < sessions; i++) {
        loop_spawn(&loop, login_task, &imap);
    }
    figures_begin(&imap.figures);
    loop_run(&loop);
    figures_end(&imap.figures);
    figures_print(&imap.figures, "");
    bool failed = imap.figures.failed > 0;
    figures_free(&imap.figures);
    free(users.list);
    loop_free(&loop);
    return failed;
}

/* Logs in, goes idle, and waits; the last one to arrive tells, and ends it all with standard input. */
static void idle_task(struct loop *loop, void *arg) {
    struct imap *imap = arg;
    struct conn conn;
    char *line;
    size_t len;
    const struct user *user = &imap->users->list[(size_t)imap->left-- % imap->users->count];
    bool fine = imap_login(&conn, loop, imap->port, user) == 0 &&
                (!imap->select || imap_command(&conn, "a SELECT INBOX\r\n", 16) == 0) &&
                conn_printf(&conn, "a IDLE\r\n") == 0 && conn_line(&conn, &line, &len) == 0 &&
                line[0] == '+';
    if (!fine) {
        give_up("session %ld of %ld did not become idle", imap->open + 1, imap->wanted);
    }
    if (++imap->open == imap->wanted) {
        puts("ready");
        fflush(stdout);
        while (getchar() != EOF) {
        }
        exit(0);
    }
    /* A few log in at once; each that holds still lets the next one begin. */
    if (imap->left > 0) {
        loop_spawn(loop, idle_task, imap);
    }
    while (conn_line(&conn, &line, &len) == 0) {
    }
    give_up("an idle session was closed");
}

int load_idle(const struct options *options) {
    struct users users;
    users_read(&users, options);
    long count = option_number(options, "count", 100);
    struct imap imap = {.users = &users,
                        .port = (int)option_number(options, "port", -1),
                        .select = option_number(options, "select", 1) != 0,
                        .left = count,
                        .wanted = count};
    struct rlimit files = {.rlim_cur = (rlim_t)count + 100, .rlim_max = (rlim_t)count + 100};
    struct rlimit now;
    getrlimit(RLIMIT_NOFILE, &now);
    if (now.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files) != 0) {
        files.rlim_max = files.rlim_cur = now.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct loop loop;
    loop_init(&loop);
    for (long i = 0; i < 20 && i < count; i++) {
        loop_spawn(&loop, idle_task, &imap);
    }
    loop_run(&loop);
    return 1;
}

static void script_line(struct imap *imap, struct conn *conn, char *line) {
    char *command = strchr(line, '\t');
    if (command == NULL) {
        give_up("a script line has no tab: %s", line);
    }
    *command++ = '\0';
    char *all = malloc(strlen(command) + 8);
    int len = sprintf(all, "a %s\r\n", command);
    uint64_t before = conn->received;
    double from = now_ms();
    int result = imap_command(conn, all, (size_t)len);
    double took = now_ms() - from;
    free(all);
    printf("{\"name\": \"%s\", \"ms\": %.3f, \"bytes\": %llu, \"result\": \"%s\"}\n", line, took,
           (unsigned long long)(conn->received - before),
           result == 0 ? "ok" : result > 0 ? "no" : "gone");
    fflush(stdout);
    if (result < 0) {
        exit(1);
    }
    figures_add(&imap->figures, took);
}

static void script_task(struct loop *loop, void *arg) {
    struct imap *imap = arg;
    struct conn conn;
    if (imap_login(&conn, loop, imap->port, imap->users->list) != 0) {
        give_up("login failed");
    }
    FILE *file = strcmp(imap->script, "-") == 0 ? stdin : fopen(imap->script, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    while (file != NULL && (len = getline(&line, &size, file)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        script_line(imap, &conn, line);
    }
    if (file == NULL) {
        give_up("cannot read %s", imap->script);
    }
    free(line);
    if (file != stdin) {
        fclose(file);
    }
    conn_close(&conn);
}

int load_script(const struct options *options) {
    struct users users;
    users_read(&users, options);
    struct imap imap = {.users = &users,
                        .port = (int)option_number(options, "port", -1),
                        .script = option_text(options, "file", "-")};
    struct loop loop;
    loop_init(&loop);
    loop.patience_ms = 15 * 60 * 1000; /* a command over a million messages takes its time */
    loop_spawn(&loop, script_task, &imap);
    loop_run(&loop);
    figures_free(&imap.figures);
    free(users.list);
    loop_free(&loop);
    return 0;
}
