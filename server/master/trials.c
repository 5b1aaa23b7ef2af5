/*
 * Letting programs try their options in "facteurd -t": what the option table cannot say is parsed by
 * the directory program and the relay alone. Each is started with its user and its rights, is given
 * its bundle, says what is wrong with it, and ends.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 2000

/* The status of wait(2), with what it said. */
static int run(const struct material *m, enum kind k, struct buf *said)
{
    int status = 0, ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = spawn_trial(m, k, ends[1]);
    close(ends[1]);
    (void)fd_read_all(ends[0], said, TEXT_MAX);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return pid > 0 ? status : -1;
}

static void try_program(const struct material *m, enum kind k, struct findings *f)
{
    AUTO_BUF said = {0};
    int status = run(m, k, &said);
    if (said.n)
        finding_error(f, "%s", buf_z(&said));
    else if (status != 0)
        finding_error(f, "daemon_directory: %s cannot be started to try its options (status %d)",
                      kind_name(k), status);
}

void trials_run(const struct material *m, struct findings *f)
{
    static const enum kind kinds[] = {KIND_DIRECTORY, KIND_RELAY};
    if (f->errors) /* there are no bundles */
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        try_program(m, kinds[i], f);
}
