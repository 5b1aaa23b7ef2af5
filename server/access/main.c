/* The access program: settings, listeners, status. */
#include "access/access.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct access *a = p->arg;
    (void)reload;
    return front_configure(&a->front, cfg, b, e);
}

static void on_link(struct program *p, unsigned peer, unsigned index, int fd)
{
    struct access *a = p->arg;
    if (peer == DIRECTORY)
        rpc_link(a->directory, index, fd);
    else
        close(fd);
}

static void on_accept(void *arg, enum service service, int fd, const struct addr *from)
{
    client_accept(arg, service, fd, from);
}

static void on_listener(struct program *p, unsigned number, enum service service, int fd)
{
    struct access *a = p->arg;
    front_listen(&a->front, number, service, fd);
}

static void on_listener_close(struct program *p, unsigned number)
{
    struct access *a = p->arg;
    front_unlisten(&a->front, number);
}

/* No descriptor was left for the session's stream; the session finds it closed and ends. */
static void on_unread(struct access *a, const struct msg *m)
{
    struct msg none = MSG_INIT(session_reply);
    none.session_reply.id = m->unread.id;
    none.session_reply.verdict = VERDICT_CANNOT_SAY;
    login_session_reply(a, &none);
}

static void on_message(struct program *p, struct msg *m)
{
    struct access *a = p->arg;
    if (m->type == MSG_session_reply)
        login_session_reply(a, m);
    else if (m->type == MSG_unread)
        on_unread(a, m);
    else
        front_message(&a->front, m);
}

static void on_status(struct program *p, struct buf *out)
{
    struct access *a = p->arg;
    buf_printf(out, "logging_in=%u relaying=%u logins=%llu failures=%llu", a->logging_in,
               a->relaying, (unsigned long long)a->logins, (unsigned long long)a->failures);
}

void access_client_ended(struct access *a)
{
    if (a->stopping && !a->clients)
        program_stop_in(a->program, FRONT_LAST_REPLIES_MS);
}

static bool on_stop(struct program *p)
{
    struct access *a = p->arg;
    if (a->stopping)
        return true;
    a->stopping = true;
    front_deafen(&a->front);
    program_stop_in(p, FRONT_LAST_MOMENT_MS);
    client_stop_all(a);
    access_client_ended(a);
    return true;
}

static int on_prepare(struct program *p, struct err *e)
{
    struct access *a = p->arg;
    (void)e;
    a->program = p;
    a->directory = rpc_new(p->base, ACCESS, DIRECTORY);
    front_start(&a->front, p->base, on_accept, a, &a->logging_in);
    a->waiting = map_new();
    a->room = mem_alloc(CONN_ROOM);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = ACCESS,
        .name = "facteur/access",
        .prepare = on_prepare,
        .configure = on_configure,
        .link = on_link,
        .listener = on_listener,
        .listener_close = on_listener_close,
        .message = on_message,
        .stop = on_stop,
        .status = on_status,
    };
    struct access a = {0};
    int status = program_run(&ops, &a, argc, argv);
    rpc_free(a.directory);
    front_free(&a.front);
    map_free(a.waiting, NULL);
    free(a.room);
    return status;
}
