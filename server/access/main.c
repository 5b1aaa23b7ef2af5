/* The access program: settings, listeners, status. */
#include "access/access.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 4

struct access_listener {
    struct access *access;
    unsigned number;
    enum service service;
    int fd;
    struct event *readable;
};

void access_settings_drop(struct access_settings *s)
{
    if (!s || --s->holders > 0)
        return;
    config_free(s->cfg);
    tls_server_drop(s->tls);
    free(s);
}

static int load_tls(struct tls_server *tls, const struct bundle *b, struct err *e)
{
    size_t at = 0;
    struct str name, bytes;
    while (bundle_next(b, &at, &name, &bytes))
        if (str_starts(name, STR("tls:")) &&
            tls_server_add(tls, str_skip(name, 4), bytes, e) != 0)
            return -1;
    return 0;
}

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct access *a = p->arg;
    struct tls_server *tls = tls_server_new(cfg->tls_min_protocol == 1);
    (void)reload;
    if (load_tls(tls, b, e) != 0) {
        tls_server_drop(tls);
        return -1;
    }
    access_settings_drop(a->settings);
    a->settings = MEM_NEW(struct access_settings);
    *a->settings = (struct access_settings){.holders = 1, .cfg = cfg, .tls = tls};
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

/* --- listeners --- */

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct access_listener *l = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int got = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (got < 0) {
            if (errno == EMFILE || errno == ENFILE)
                log_warning("accept", LZ("why", strerror(errno)));
            return;
        }
        client_accept(l->access, l->service, got);
    }
}

static struct str number_key(const unsigned *number)
{
    return (struct str){(const char *)number, sizeof *number};
}

static void listener_free(void *arg)
{
    struct access_listener *l = arg;
    event_free(l->readable);
    close(l->fd);
    free(l);
}

static void on_listener(struct program *p, unsigned number, enum service service, int fd)
{
    struct access *a = p->arg;
    struct access_listener *l = MEM_NEW(struct access_listener);
    *l = (struct access_listener){.access = a, .number = number, .service = service, .fd = fd};
    evutil_make_socket_nonblocking(fd);
    l->readable = event_new(p->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    event_add(l->readable, NULL);
    struct access_listener *old = map_put(a->listeners, number_key(&number), l);
    if (old)
        listener_free(old);
}

static void on_listener_close(struct program *p, unsigned number)
{
    struct access *a = p->arg;
    struct access_listener *l = map_take(a->listeners, number_key(&number));
    if (l)
        listener_free(l);
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
    }
}

static void on_status(struct program *p, struct buf *out)
{
    struct access *a = p->arg;
    buf_printf(out, "logging_in=%u relaying=%u logins=%llu failures=%llu", a->logging_in,
               a->relaying, (unsigned long long)a->logins, (unsigned long long)a->failures);
}

static int on_prepare(struct program *p, struct err *e)
{
    struct access *a = p->arg;
    (void)e;
    a->program = p;
    a->directory = rpc_new(p->base, ACCESS, DIRECTORY);
    a->listeners = map_new();
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
        .status = on_status,
    };
    struct access a = {0};
    int status = program_run(&ops, &a, argc, argv);
    rpc_free(a.directory);
    map_free(a.listeners, listener_free);
    map_free(a.waiting, NULL);
    access_settings_drop(a.settings);
    counters_close(a.counters);
    return status;
}
