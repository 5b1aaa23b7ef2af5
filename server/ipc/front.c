/* Settings with certificates, listeners, and tables of counts. */
#include "ipc/front.h"
#include "base/log.h"
#include "base/map.h"
#include "ipc/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 8
#define REST_S 1
#define SPARE_SHARE 16 /* of all descriptors, for what is neither a client's nor owed to one */

_Static_assert(FRONT_LAST_MOMENT_MS + FRONT_LAST_REPLIES_MS < PROGRAM_END_MS, "killed before its end");

/* --- settings --- */

static int load_tls(struct tls_server *tls, const struct bundle *b, struct err *e)
{
    size_t at = 0;
    struct str name, bytes;
    while (bundle_next(b, &at, &name, &bytes))
        if (str_starts(name, STR("tls:")) && tls_server_add(tls, str_skip(name, 4), bytes, e) != 0)
            return -1;
    return 0;
}

int front_configure(struct front *f, struct config *cfg, const struct bundle *b, struct err *e)
{
    struct tls_server *tls = tls_server_new(cfg->tls_min_protocol == 1);
    if (load_tls(tls, b, e) != 0) {
        tls_server_drop(tls);
        return -1;
    }
    front_settings_drop(f->settings);
    f->settings = MEM_NEW(struct front_settings);
    *f->settings = (struct front_settings){.holders = 1, .cfg = cfg, .tls = tls};
    rates_configure(f->rates, cfg);
    return 0;
}

struct front_settings *front_settings_hold(struct front_settings *s)
{
    s->holders++;
    return s;
}

void front_settings_drop(struct front_settings *s)
{
    if (!s || --s->holders > 0)
        return;
    config_free(s->cfg);
    tls_server_drop(s->tls);
    free(s);
}

/* --- listeners --- */

struct front_listeners {
    struct event_base *base;
    struct front_settings *const *settings;
    behind_fn fn;
    void *arg;
    struct behind *behind;
    struct map *by_number;
    const unsigned *owed;
    rlim_t enough; /* descriptors, those that are owed among them */
};

struct listener {
    struct front_listeners *all;
    enum service service;
    int fd;
    struct event *readable, *rest;
};

static rlim_t enough_for_clients(void)
{
    struct rlimit r = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &r);
    return r.rlim_cur - r.rlim_cur / SPARE_SHARE;
}

/* Another program's process may have room for who comes now, and who is here already needs what is left. fd: the
 * lowest that was free, so about as many are taken. One client is always let in: he may be the last. */
static bool is_full(const struct front_listeners *all, int fd)
{
    return fd < 0 || (*all->owed > 0 && (rlim_t)fd + *all->owed >= all->enough);
}

static void rest(struct listener *l)
{
    struct timeval tv = {REST_S, 0};
    event_del(l->readable);
    event_add(l->rest, &tv);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    AUTO_FD next = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    if (is_full(l->all, next))
        rest(l);
    else
        event_add(l->readable, NULL);
}

static void begin(struct listener *l, int fd)
{
    struct front_listeners *all = l->all;
    const struct front_settings *now = *all->settings;
    if (now && behind_is_expected(now->cfg, l->service))
        behind_accept(all->behind, now->cfg, l->service, fd);
    else
        all->fn(all->arg, l->service, fd, NULL);
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)what;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int got = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (got < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_warning("accept", LZ("why", strerror(errno)));
                rest(l);
            }
            return;
        }
        begin(l, got);
        if (is_full(l->all, got)) {
            log_warning("accept", LZ("why", "the descriptors left are for the clients here"));
            rest(l);
            return;
        }
    }
}

static void listener_free(void *arg)
{
    struct listener *l = arg;
    event_free(l->readable);
    event_free(l->rest);
    close(l->fd);
    free(l);
}

static struct str number_key(const unsigned *number)
{
    return (struct str){(const char *)number, sizeof *number};
}

static void remove_listener(struct front_listeners *all, unsigned number)
{
    struct listener *old = map_take(all->by_number, number_key(&number));
    if (old)
        listener_free(old);
}

static void add_listener(struct front_listeners *all, unsigned number, enum service service, int fd)
{
    struct listener *l = MEM_NEW(struct listener);
    *l = (struct listener){.all = all, .service = service, .fd = fd};
    evutil_make_socket_nonblocking(fd);
    all->enough = enough_for_clients();
    l->readable = event_new(all->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->rest = evtimer_new(all->base, on_rested, l);
    event_add(l->readable, NULL);
    remove_listener(all, number);
    map_put(all->by_number, number_key(&number), l);
}

void front_listen(struct front *f, unsigned number, enum service service, int fd)
{
    if (f->listeners)
        add_listener(f->listeners, number, service, fd);
    else
        close(fd);
}

void front_unlisten(struct front *f, unsigned number)
{
    if (f->listeners)
        remove_listener(f->listeners, number);
}

void front_deafen(struct front *f)
{
    if (!f->listeners)
        return;
    map_free(f->listeners->by_number, listener_free);
    behind_free(f->listeners->behind);
    free(f->listeners);
    f->listeners = NULL;
}

/* --- the whole --- */

void front_start(struct front *f, struct event_base *base, behind_fn fn, void *arg,
                 const unsigned *owed)
{
    f->secrets = secret_pool_new();
    f->listeners = MEM_NEW(struct front_listeners);
    *f->listeners = (struct front_listeners){.base = base, .settings = &f->settings, .fn = fn,
                                             .arg = arg, .behind = behind_new(base, fn, arg),
                                             .by_number = map_new(), .owed = owed};
}

void front_message(struct front *f, const struct msg *m)
{
    if (m->type == MSG_counters) {
        counters_close(f->counters);
        f->counters = counters_open(m->fd);
        f->row = m->counters.index;
    } else if (m->type == MSG_rates) {
        rates_close(f->rates);
        f->rates = rates_open(m->fd);
        if (f->settings)
            rates_configure(f->rates, f->settings->cfg);
    }
}

void front_free(struct front *f)
{
    front_deafen(f);
    front_settings_drop(f->settings);
    counters_close(f->counters);
    rates_close(f->rates);
    secret_pool_free(f->secrets);
}
