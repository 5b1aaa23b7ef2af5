/* The sessions that run. */
#include "master/live.h"
#include "base/map.h"
#include "master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

struct session {
    uint32_t pid, uid;
    bool adopted; /* its parent died: it is our own child */
    char *login, *name, *client;
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
    free(s->client);
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

void live_began(struct live *l, uint32_t pid, uint32_t uid, struct str login, struct str name,
                struct str client)
{
    struct session *s = MEM_NEW(struct session);
    *s = (struct session){.pid = pid, .uid = uid, .login = mem_strdup(login), .name = mem_strdup(name),
                          .client = mem_strdup(client)};
    struct session *before = map_put(l->by_pid, pid_key(&pid), s);
    if (before) /* the system gave the number away again before its end was told */
        session_free(before);
    tell_began(l, s);
}

bool live_over(struct live *l, uint32_t pid, uint32_t *uid)
{
    struct session *s = map_take(l->by_pid, pid_key(&pid));
    if (!s)
        return false;
    *uid = s->uid;
    tell_over(l, s);
    session_free(s);
    return true;
}

size_t live_count(const struct live *l, uint32_t uid, struct str client)
{
    size_t at = 0, n = 0;
    struct str key;
    void *value;
    while (map_next(l->by_pid, &at, &key, &value)) {
        const struct session *s = value;
        n += s->uid == uid && str_eq(str_from(s->client), client);
    }
    return n;
}

/* Also when it has ended, until it is reaped: so its number is still its own. */
static bool is_our_child(uint32_t pid)
{
    siginfo_t info;
    return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void live_adopt(struct live *l, void (*fn)(void *arg, uint32_t uid), void *arg)
{
    size_t at = 0, n = 0;
    struct str key;
    void *value;
    uint32_t uid;
    while (map_next(l->by_pid, &at, &key, &value)) {
        struct session *s = value;
        s->adopted = is_our_child(s->pid);
        n += s->adopted;
        if (!s->adopted && live_over(l, s->pid, &uid))
            fn(arg, uid);
    }
    if (n)
        log_info("sessions-adopted", LN("sessions", n));
}

static void signal_adopted(const struct session *s, int number)
{
    if (kill((pid_t)s->pid, number) != 0)
        log_error("session-stop", LN("pid", s->pid), LZ("why", strerror(errno)));
}

void live_stop_adopted(struct live *l)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(l->by_pid, &at, &key, &value))
        if (((const struct session *)value)->adopted)
            signal_adopted(value, SIGTERM);
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
        m.session_stop.pid = s->pid;
        if (s->adopted)
            signal_adopted(s, SIGHUP);
        else
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
