/* Signals that end a session; see stop.h. */
#include "session/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* For the signal handler, which nothing else can tell: the input, and one that has ended. */
static struct {
    volatile sig_atomic_t stopped, input, ended;
} term;

static void on_signal(int number)
{
    int saved = errno;
    term.stopped = number;
    dup2((int)term.ended, (int)term.input);
    errno = saved;
}

void session_stop_on_signal(int in_fd)
{
    struct sigaction act = {.sa_handler = on_signal};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return; /* then a signal ends the process as it always does */
    close(ends[1]);
    term.stopped = 0;
    term.input = in_fd;
    term.ended = ends[0];
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
}

int session_stopped(void)
{
    return term.stopped;
}
