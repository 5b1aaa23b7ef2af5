/* The sessions that run. */
#include "master/live.h"
#include "base/map.h"
#include "master/master.h"

#include <stdlib.h>

struct session {
    uint32_t uid;
    char *login, *name;
};

struct live {
    struct master *m;
    struct map *by_pid;
};

static struct str pid_key(const uint32_t *pid)
{
    return (struct str){(const char *)pid, sizeof *pid};
}

static void session_free(void *arg)
{
    struct session *s = arg;
    free(s->login);
    free(s->name);
    free(s);
}

static void send_to(struct live *l, enum kind kind, const struct msg *m)
{
    for (size_t i = 0; i < l->m->children; i++)
        if (l->m->child[i].kind == kind && l->m->child[i].state == CHILD_READY)
            child_send(&l->m->child[i], m);
}

static void tell_began(struct live *l, const struct session *s)
{
    struct msg m = MSG_INIT(login_began);
    m.login_began.uid = s->uid;
    m.login_began.login = str_from(s->login);
    m.login_began.name = str_from(s->name);
    send_to(l, KIND_DIRECTORY, &m);
}

static void tell_over(struct live *l, const struct session *s)
{
    struct msg m = MSG_INIT(login_over);
    m.login_over.uid = s->uid;
    m.login_over.login = str_from(s->login);
    send_to(l, KIND_DIRECTORY, &m);
}

void live_began(struct live *l, uint32_t pid, uint32_t uid, struct str login, struct str name)
{
    struct session *s = MEM_NEW(struct session);
    *s = (struct session){uid, mem_strdup(login), mem_strdup(name)};
    struct session *before = map_put(l->by_pid, pid_key(&pid), s);
    if (before) /* the system gave the number away again before its end was told */
        session_free(before);
    tell_began(l, s);
}

void live_over(struct live *l, uint32_t pid)
{
    struct session *s = map_take(l->by_pid, pid_key(&pid));
    if (!s)
        return;
    tell_over(l, s);
    session_free(s);
}

void live_all_over(struct live *l)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(l->by_pid, &at, &key, &value))
        tell_over(l, value);
    map_free(l->by_pid, session_free);
    l->by_pid = map_new();
}

void live_tell_all(struct live *l)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(l->by_pid, &at, &key, &value))
        tell_began(l, value);
}

void live_end_user(struct live *l, struct str login, uint32_t uid)
{
    size_t at = 0, n = 0;
    struct str key;
    void *value;
    while (map_next(l->by_pid, &at, &key, &value)) {
        const struct session *s = value;
        struct msg m = MSG_INIT(session_stop);
        if (s->uid != uid || !str_eq(str_from(s->login), login))
            continue;
        memcpy(&m.session_stop.pid, key.p, sizeof m.session_stop.pid);
        send_to(l, KIND_SESSION, &m);
        n++;
    }
    log_info("sessions-ended", LS("login", login), LN("uid", uid), LN("sessions", n));
}

struct live *live_new(struct master *m)
{
    struct live *l = MEM_NEW(struct live);
    *l = (struct live){m, map_new()};
    return l;
}

void live_free(struct live *l)
{
    map_free(l->by_pid, session_free);
    free(l);
}
