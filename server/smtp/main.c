/* The smtp program: settings, listeners, status, the end. */
#include "base/log.h"
#include "smtp/smtp.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 8
#define REST_S 1 /* when there are no descriptors left */
#define LAST_MOMENT_S 20 /* for messages on their way when the program stops */

struct listener {
    struct smtpd *smtpd;
    enum service service;
    int fd;
    struct event *readable, *rest;
};

struct settings *settings_hold(struct settings *s)
{
    s->holders++;
    return s;
}

void settings_drop(struct settings *s)
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
    struct smtpd *d = p->arg;
    struct tls_server *tls = tls_server_new(cfg->tls_min_protocol == 1);
    (void)reload;
    if (load_tls(tls, b, e) != 0) {
        tls_server_drop(tls);
        return -1;
    }
    settings_drop(d->settings);
    d->settings = MEM_NEW(struct settings);
    *d->settings = (struct settings){.holders = 1, .cfg = cfg, .tls = tls};
    return 0;
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
    else
        close(fd);
}

/* --- listeners --- */

/* The connection that cannot be accepted would wake us again at once. */
static void rest(struct listener *l)
{
    struct timeval tv = {REST_S, 0};
    log_warning("accept", LZ("why", strerror(errno)));
    event_del(l->readable);
    event_add(l->rest, &tv);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    event_add(l->readable, NULL);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int got = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (got < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                rest(l);
            return;
        }
        session_accept(l->smtpd, l->service, got);
    }
}

static struct str number_key(const unsigned *number)
{
    return (struct str){(const char *)number, sizeof *number};
}

static void listener_free(void *arg)
{
    struct listener *l = arg;
    event_free(l->readable);
    event_free(l->rest);
    close(l->fd);
    free(l);
}

static void on_listener(struct program *p, unsigned number, enum service service, int fd)
{
    struct smtpd *d = p->arg;
    struct listener *l = MEM_NEW(struct listener);
    *l = (struct listener){.smtpd = d, .service = service, .fd = fd};
    evutil_make_socket_nonblocking(fd);
    l->readable = event_new(p->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->rest = evtimer_new(p->base, on_rested, l);
    event_add(l->readable, NULL);
    struct listener *old = map_put(d->listeners, number_key(&number), l);
    if (old)
        listener_free(old);
}

static void on_listener_close(struct program *p, unsigned number)
{
    struct smtpd *d = p->arg;
    struct listener *l = map_take(d->listeners, number_key(&number));
    if (l)
        listener_free(l);
}

/* --- the rest of the master's messages --- */

static void on_message(struct program *p, struct msg *m)
{
    struct smtpd *d = p->arg;
    if (m->type != MSG_counters)
        return;
    counters_close(d->counters);
    d->counters = counters_open(m->fd);
    d->row = m->counters.index;
}

static void on_status(struct program *p, struct buf *out)
{
    struct smtpd *d = p->arg;
    buf_printf(out, "sessions=%zu connections=%llu messages=%llu refusals=%llu memory=%llu",
               d->session_count, (unsigned long long)d->connections,
               (unsigned long long)d->messages, (unsigned long long)d->refusals,
               (unsigned long long)d->memory);
    buf_printf(out, " logins=%llu login_failures=%llu", (unsigned long long)d->logins,
               (unsigned long long)d->login_failures);
}

static void on_last_moment(evutil_socket_t fd, short what, void *arg)
{
    struct smtpd *d = arg;
    (void)fd;
    (void)what;
    program_stop(d->program, 0);
}

void smtpd_session_ended(struct smtpd *d)
{
    /* A moment more, so that the last replies leave. */
    struct timeval tv = {0, 200000};
    if (d->last_moment && d->session_count == 0)
        event_add(d->last_moment, &tv);
}

static bool on_stop(struct program *p)
{
    struct smtpd *d = p->arg;
    struct timeval tv = {LAST_MOMENT_S, 0};
    if (d->last_moment)
        return true;
    map_free(d->listeners, listener_free);
    d->listeners = map_new();
    d->last_moment = evtimer_new(p->base, on_last_moment, d);
    event_add(d->last_moment, &tv);
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
    d->listeners = map_new();
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
    if (d->listeners)
        map_free(d->listeners, listener_free);
    if (d->last_moment)
        event_free(d->last_moment);
    settings_drop(d->settings);
    counters_close(d->counters);
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
