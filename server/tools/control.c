/* Asking the running facteurd. */
#include "tools/tools.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S 100 /* a stop or a reload takes its time */
#define ANSWER_LIMIT (4 * 1024 * 1024)

static int connect_to(const char *name, const struct config *cfg)
{
    const struct timeval limit = {ANSWER_S, 0};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int n = snprintf(sa.sun_path, sizeof sa.sun_path, "%.*s/control", STR_FMT(cfg->run_directory));
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    errno = ENAMETOOLONG;
    if (n >= (int)sizeof sa.sun_path || fd < 0 ||
        connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0) {
        tool_fail(name, "facteurd does not answer at %s: %s%s", sa.sun_path, strerror(errno),
                  errno == ENOENT || errno == ECONNREFUSED ? "; it does not run" : "");
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int r = fd;
    fd = -1;
    return r;
}

int tool_ask(const char *name, const char *file, const char *line, struct buf *answer)
{
    struct config *cfg;
    if (tool_config(name, file, &cfg) != 0)
        return -1;
    AUTO_FD fd = connect_to(name, cfg);
    config_free(cfg);
    if (fd < 0)
        return -1;
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0 ||
        fd_read_all(fd, answer, ANSWER_LIMIT) != 0) {
        tool_fail(name, "control socket: %s", strerror(errno));
        return -1;
    }
    return 0;
}

/* The answer is "ok" or "error: …"; the exit status. */
static int order(const char *name, const char *file, const char *line, int argc)
{
    AUTO_BUF answer = {0};
    if (argc != 1)
        return tool_fail(name, "takes no arguments");
    if (tool_ask(name, file, line, &answer) != 0)
        return 1;
    struct str text = str_trim(buf_view(&answer));
    if (str_eq(text, STR("ok")))
        return 0;
    return text.n ? tool_fail(name, "%.*s", STR_FMT(text))
                  : tool_fail(name, "facteurd closed the control socket without an answer");
}

int tool_reload(const char *file, int argc, char **argv)
{
    (void)argv;
    return order("reload", file, "reload", argc);
}

/* The answer ends when facteurd has. */
int tool_stop(const char *file, int argc, char **argv)
{
    (void)argv;
    return order("stop", file, "stop", argc);
}
