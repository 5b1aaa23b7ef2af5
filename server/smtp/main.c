/* The smtp program: settings, listeners, status, the end. */
#include "base/log.h"
#include "smtp/smtp.h"

#include <time.h>
#include <unistd.h>

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct smtpd *d = p->arg;
    (void)reload;
    return front_configure(&d->front, cfg, b, e);
}

static void on_link(struct program *p, unsigned peer, unsigned index, int fd)
{
    struct smtpd *d = p->arg;
    if (peer == DIRECTORY)
        rpc_link(d->directory, index, fd);
    else if (peer == DELIVER)
        rpc_link(d->deliver, index, fd);
    else if (peer == QUEUE)
        rpc_link(d->queue, index, fd);
    else if (peer == FILTER)
        rpc_link(d->filter, index, fd);
    else if (peer == RELAY)
        rpc_link(d->relay, index, fd);
    else
        close(fd);
}

static void on_accept(void *arg, enum service service, int fd, const struct addr *from)
{
    session_accept(arg, service, fd, from);
}

static void on_listener(struct program *p, unsigned number, enum service service, int fd)
{
    struct smtpd *d = p->arg;
    front_listen(&d->front, number, service, fd);
}

static void on_listener_close(struct program *p, unsigned number)
{
    struct smtpd *d = p->arg;
    front_unlisten(&d->front, number);
}

static void on_message(struct program *p, struct msg *m)
{
    struct smtpd *d = p->arg;
    front_message(&d->front, m);
}

static void on_status(struct program *p, struct buf *out)
{
    struct smtpd *d = p->arg;
    buf_printf(out, "sessions=%u connections=%llu messages=%llu refusals=%llu memory=%llu",
               d->session_count, (unsigned long long)d->connections,
               (unsigned long long)d->messages, (unsigned long long)d->refusals,
               (unsigned long long)d->memory);
    buf_printf(out, " logins=%llu login_failures=%llu", (unsigned long long)d->logins,
               (unsigned long long)d->login_failures);
}

void smtpd_session_ended(struct smtpd *d)
{
    if (d->stopping && d->session_count == 0)
        program_stop_in(d->program, FRONT_LAST_REPLIES_MS);
}

static bool on_stop(struct program *p)
{
    struct smtpd *d = p->arg;
    if (d->stopping)
        return true;
    d->stopping = true;
    front_deafen(&d->front);
    program_stop_in(p, FRONT_LAST_MOMENT_MS);
    for (struct session *s = d->sessions, *next; s; s = next) {
        next = s->next;
        session_stop(s);
    }
    smtpd_session_ended(d);
    return true;
}

static int on_prepare(struct program *p, struct err *e)
{
    struct smtpd *d = p->arg;
    (void)e;
    tzset(); /* the zone file cannot be read later */
    d->program = p;
    d->directory = rpc_new(p->base, SMTP, DIRECTORY);
    d->deliver = rpc_new(p->base, SMTP, DELIVER);
    d->queue = rpc_new(p->base, SMTP, QUEUE);
    d->filter = rpc_new(p->base, SMTP, FILTER);
    d->relay = rpc_new(p->base, SMTP, RELAY);
    front_start(&d->front, p->base, on_accept, d, &d->session_count);
    return 0;
}

static void on_end(struct program *p)
{
    struct smtpd *d = p->arg;
    while (d->sessions)
        session_cut(d->sessions);
    rpc_free(d->directory);
    rpc_free(d->deliver);
    rpc_free(d->queue);
    rpc_free(d->filter);
    rpc_free(d->relay);
    front_free(&d->front);
    probed_free(d);
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = SMTP,
        .name = "facteur/smtp",
        .prepare = on_prepare,
        .configure = on_configure,
        .link = on_link,
        .listener = on_listener,
        .listener_close = on_listener_close,
        .message = on_message,
        .stop = on_stop,
        .status = on_status,
        .end = on_end,
    };
    struct smtpd d = {0};
    return program_run(&ops, &d, argc, argv);
}
