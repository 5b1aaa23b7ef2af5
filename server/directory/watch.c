/* Those who are logged in. */
#include "directory/watch.h"
#include "base/log.h"
#include "base/map.h"
#include "directory/directory.h"
#include "directory/login.h"

#include <stdlib.h>

#define AT_ONCE 16
#define AGAIN_S 5 /* after "cannot say" */

struct watched {
    struct watch *w;
    struct str login, name, dn; /* dn in normal form; all owned */
    uint32_t uid;
    size_t uses;
    bool due, asking;
};

struct watch {
    struct directory *d;
    struct map *users; /* uid and login → struct watched */
    struct event *again;
    size_t asking;
};

static struct str user_key(struct buf *b, struct str login, uint32_t uid)
{
    buf_printf(b, "%u ", (unsigned)uid);
    buf_str(b, login);
    return buf_view(b);
}

static void set_text(struct str *to, struct str from)
{
    char *copy = mem_strdup(from);
    free((char *)(uintptr_t)to->p);
    *to = (struct str){copy, from.n};
}

static void watched_free(void *arg)
{
    struct watched *u = arg;
    free((char *)(uintptr_t)u->login.p);
    free((char *)(uintptr_t)u->name.p);
    free((char *)(uintptr_t)u->dn.p);
    free(u);
}

static void forget_unused(struct watched *u)
{
    AUTO_BUF b = {0};
    if (u->uses > 0 || u->asking)
        return;
    map_take(u->w->users, user_key(&b, u->login, u->uid));
    watched_free(u);
}

static void set_dn(struct watched *u, struct str dn)
{
    AUTO_ARENA a = arena_new(512);
    set_text(&u->dn, name_dn(a, dn));
}

/* --- the end of a login --- */

static void end_login(struct watched *u, const char *why)
{
    struct directory *d = u->w->d;
    struct msg m = MSG_INIT(login_end);
    m.login_end.uid = u->uid;
    m.login_end.login = u->login;
    size_t grants = grants_end_login(d->grants, u->login, u->uid);
    log_info("login-ended", LS("login", u->login), LN("uid", u->uid), LZ("why", why),
             LN("submissions", grants));
    if (d->master)
        peer_send(d->master, &m);
    else
        channel_send(d->program->master, &m);
}

/* --- asking --- */

static void ask_due(struct watch *w);

static void on_checked(void *arg, const struct login_result *r)
{
    struct watched *u = arg;
    struct watch *w = u->w;
    w->asking--;
    u->asking = false;
    if (r->verdict == VERDICT_CANNOT_SAY) {
        u->due = u->uses > 0;
        if (u->due && !event_pending(w->again, EV_TIMEOUT, NULL))
            event_add(w->again, &(struct timeval){AGAIN_S, 0});
    } else if (u->uses > 0 && r->verdict == VERDICT_NO) {
        end_login(u, r->why);
    } else if (u->uses > 0 && r->box.m.uid != u->uid) {
        end_login(u, "the entry has another uid now");
    } else {
        set_dn(u, r->box.dn);
    }
    forget_unused(u);
    if (r->verdict != VERDICT_CANNOT_SAY)
        ask_due(w);
}

static void ask(struct watched *u)
{
    u->due = false;
    u->asking = true;
    u->w->asking++;
    login_check(u->w->d->set, u->name, on_checked, u);
}

static void ask_due(struct watch *w)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (w->d->set && w->asking < AT_ONCE &&
           map_next(w->users, &at, &key, &value)) {
        struct watched *u = value;
        if (u->due && !u->asking)
            ask(u);
    }
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ask_due(arg);
}

/* --- who is there --- */

void watch_add(struct watch *w, struct str login, uint32_t uid, struct str name, struct str dn)
{
    AUTO_BUF b = {0};
    struct str key = user_key(&b, login, uid);
    struct watched *u = map_get(w->users, key);
    if (!u) {
        u = MEM_NEW(struct watched);
        u->w = w;
        u->uid = uid;
        set_text(&u->login, login);
        map_put(w->users, key, u);
    }
    u->uses++;
    set_text(&u->name, name);
    if (dn.n)
        set_dn(u, dn);
    u->due = u->due || dn.n == 0;
    if (u->due)
        ask_due(w);
}

void watch_remove(struct watch *w, struct str login, uint32_t uid)
{
    AUTO_BUF b = {0};
    struct watched *u = map_get(w->users, user_key(&b, login, uid));
    if (!u || u->uses == 0)
        return;
    u->uses--;
    forget_unused(u);
}

void watch_changed(struct watch *w, struct str dn)
{
    AUTO_ARENA a = arena_new(512);
    struct str normal = name_dn(a, dn), key;
    size_t at = 0;
    void *value;
    while (map_next(w->users, &at, &key, &value)) {
        struct watched *u = value;
        if (normal.n == 0 || u->dn.n == 0 || str_eq(u->dn, normal))
            u->due = true;
    }
    ask_due(w);
}

size_t watch_count(const struct watch *w)
{
    return map_count(w->users);
}

/* --- life --- */

struct watch *watch_new(struct directory *d)
{
    struct watch *w = MEM_NEW(struct watch);
    w->d = d;
    w->users = map_new();
    w->again = evtimer_new(d->program->base, on_again, w);
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    map_free(w->users, watched_free);
    event_free(w->again);
    free(w);
}
