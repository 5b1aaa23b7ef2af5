/* The access program: settings, listeners, status. */
#include "access/access.h"
#include "base/log.h"

#include <unistd.h>

#define LAST_MOMENT_MS 4000 /* for sessions to say goodbye when the program stops */
#define LAST_REPLIES_MS 200

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct access *a = p->arg;
    (void)reload;
    if (front_settings_replace(&a->settings, cfg, b, e) != 0)
        return -1;
    rates_configure(a->rates, cfg);
    return 0;
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
    front_listeners_add(a->listeners, number, service, fd);
}

static void on_listener_close(struct program *p, unsigned number)
{
    struct access *a = p->arg;
    front_listeners_remove(a->listeners, number);
}

/* --- other messages of the master --- */

static void on_message(struct program *p, struct msg *m)
{
    struct access *a = p->arg;
    if (m->type == MSG_session_reply) {
        login_session_reply(a, m);
    } else if (m->type == MSG_counters) {
        counters_close(a->counters);
        a->counters = counters_open(m->fd);
        a->row = m->counters.index;
    } else if (m->type == MSG_rates) {
        rates_close(a->rates);
        a->rates = rates_open(m->fd);
        if (a->settings)
            rates_configure(a->rates, a->settings->cfg);
    }
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
        program_stop_in(a->program, LAST_REPLIES_MS);
}

static bool on_stop(struct program *p)
{
    struct access *a = p->arg;
    if (a->stopping)
        return true;
    a->stopping = true;
    front_listeners_free(a->listeners);
    a->listeners = front_listeners_new(p->base, &a->settings, on_accept, a);
    program_stop_in(p, LAST_MOMENT_MS);
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
    a->listeners = front_listeners_new(p->base, &a->settings, on_accept, a);
    a->waiting = map_new();
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
    front_listeners_free(a.listeners);
    map_free(a.waiting, NULL);
    front_settings_drop(a.settings);
    counters_close(a.counters);
    rates_close(a.rates);
    return status;
}
