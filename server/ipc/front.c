/* Settings with certificates, and listeners. */
#include "ipc/front.h"
#include "base/log.h"
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 8
#define REST_S 1

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

int front_settings_replace(struct front_settings **current, struct config *cfg,
                           const struct bundle *b, struct err *e)
{
    struct tls_server *tls = tls_server_new(cfg->tls_min_protocol == 1);
    if (load_tls(tls, b, e) != 0) {
        tls_server_drop(tls);
        return -1;
    }
    front_settings_drop(*current);
    *current = MEM_NEW(struct front_settings);
    **current = (struct front_settings){.holders = 1, .cfg = cfg, .tls = tls};
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
};

struct listener {
    struct front_listeners *all;
    enum service service;
    int fd;
    struct event *readable, *rest;
};

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
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                rest(l);
            return;
        }
        begin(l, got);
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

struct front_listeners *front_listeners_new(struct event_base *base,
                                            struct front_settings *const *settings, behind_fn fn,
                                            void *arg)
{
    struct front_listeners *l = MEM_NEW(struct front_listeners);
    *l = (struct front_listeners){.base = base, .settings = settings, .fn = fn, .arg = arg,
                                  .behind = behind_new(base, fn, arg), .by_number = map_new()};
    return l;
}

void front_listeners_free(struct front_listeners *l)
{
    if (!l)
        return;
    map_free(l->by_number, listener_free);
    behind_free(l->behind);
    free(l);
}

static struct str number_key(const unsigned *number)
{
    return (struct str){(const char *)number, sizeof *number};
}

void front_listeners_remove(struct front_listeners *l, unsigned number)
{
    struct listener *old = map_take(l->by_number, number_key(&number));
    if (old)
        listener_free(old);
}

void front_listeners_add(struct front_listeners *all, unsigned number, enum service service, int fd)
{
    struct listener *l = MEM_NEW(struct listener);
    *l = (struct listener){.all = all, .service = service, .fd = fd};
    evutil_make_socket_nonblocking(fd);
    l->readable = event_new(all->base, fd, EV_READ | EV_PERSIST, on_acceptable, l);
    l->rest = evtimer_new(all->base, on_rested, l);
    event_add(l->readable, NULL);
    front_listeners_remove(all, number);
    map_put(all->by_number, number_key(&number), l);
}
