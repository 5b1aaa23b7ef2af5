/* Keeping LDAP connections open. */
#include "directory/conns.h"
#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>

#define PAUSE_FIRST_MS 100
#define PAUSE_LAST_MS 5000
#define SETTLED_MS 1000 /* one that lived this long may be opened again at once */
#define BATCH 256       /* messages taken before others get their turn */
#define LOG_AGAIN_MS 60000

struct conns {
    struct servers_user user; /* first, so that one leads to the other */
    struct event_base *base;
    struct opener *opener;
    struct arena *arena;                   /* the settings' strings */
    struct ldapmap_conn_settings settings; /* as they were given */
    struct ldapmap_conn_settings in_use;   /* the same, as used; owns nothing */
    const char *what;
    const struct conns_ops *ops;
    void *arg;
    struct dirconn *v;
    size_t count, up, opening, probing;
    unsigned changes; /* of how the servers fare */
    bool sound;    /* the last attempt to open succeeded */
    bool dead;     /* freed while helpers are at work */
    int64_t pause; /* before the next attempt, milliseconds */
    struct event *timer;
    struct event *mover; /* when connections may want to move */
    char last_error[512];
    int64_t last_logged;
};

static void fill(struct conns *s);

static void settings_copy(struct conns *s, const struct ldapmap_conn_settings *from)
{
    struct ldapmap_conn_settings *to = &s->settings;
    *to = *from;
    to->bind_pw = secret_copy((struct str){from->bind_pw.p, from->bind_pw.n});
    for (size_t i = 0; i < from->server_count; i++)
        to->servers[i] = arena_str(s->arena, from->servers[i]);
    struct str *strings[] = {&to->bind_dn,          &to->tls_ca_cert_dir, &to->tls_ca_cert_file,
                             &to->tls_cert,         &to->tls_key,         &to->tls_random_file,
                             &to->tls_cipher_suite, &to->search_base,
                             &to->sasl_mechs,       &to->sasl_authz_id};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        *strings[i] = arena_str(s->arena, *strings[i]);
}

/* Every connection begins with a bind, an anonymous one where none is asked for, so that a server
 * that accepts connections and never answers is passed over for the next; and libldap does not
 * watch the socket of a connection that never carried a request. It would follow a referral by
 * connecting, blocking, in the middle of our event loop, and so must not. */
static void settings_adapt(struct conns *s)
{
    s->in_use = s->settings;
    s->in_use.chase_referrals = false;
    if (s->in_use.bind != LDAPMAP_BIND_NONE)
        return;
    s->in_use.bind = LDAPMAP_BIND_SIMPLE;
    s->in_use.bind_dn = (struct str){0};
    s->in_use.bind_pw = (struct secret){0};
}

static void destroy(struct conns *s)
{
    ldapmap_conn_wipe(&s->settings);
    arena_free(s->arena);
    free(s->v);
    free(s);
}

/* --- one connection --- */

/* Closing sends a goodbye, which must not wait for a server that does not read: the socket is
 * non-blocking. */
static void close_handle(LDAP *ld)
{
    ldap_unbind_ext(ld, NULL, NULL);
}

static void shut(struct dirconn *c)
{
    event_free(c->readable);
    c->readable = NULL;
    close_handle(c->ld);
    ldap_memfree(c->server);
    c->ld = NULL;
    c->server = NULL;
    c->leaving = false;
    c->set->up--;
}

static void schedule(struct conns *s)
{
    s->pause = s->pause ? s->pause * 2 : PAUSE_FIRST_MS;
    if (s->pause > PAUSE_LAST_MS)
        s->pause = PAUSE_LAST_MS;
    struct timeval tv = {s->pause / 1000, (s->pause % 1000) * 1000};
    event_add(s->timer, &tv);
}

void conns_lost(struct dirconn *c, const char *why)
{
    struct conns *s = c->set;
    if (!c->ld)
        return;
    log_warning("ldap-lost", LZ("for", s->what), LZ("why", why));
    bool settled = clock_mono_ms() - c->opened >= SETTLED_MS;
    shut(c);
    s->ops->down(c, s->arg);
    if (settled) {
        s->pause = 0;
        fill(s);
    } else if (!event_pending(s->timer, EV_TIMEOUT, NULL)) {
        schedule(s);
    }
}

void conns_silent(struct dirconn *c, const char *why)
{
    struct conns *s = c->set;
    if (c->ld && s->in_use.server_count > 1)
        servers_failed(opener_servers(s->opener), s->in_use.servers[c->place], why);
    conns_lost(c, why);
}

bool conns_is_silent(const struct dirconn *c, int64_t since)
{
    return server_last_heard(c->at) <= since;
}

/* A message, or a part of one, for which libldap keeps what has come. False: the connection is lost.
 * A notice of disconnection has message id 0 (RFC 4511 section 4.4.1). */
static bool take_message(struct dirconn *c)
{
    LDAPMessage *m = NULL;
    struct timeval none = {0, 0};
    int r = ldap_result(c->ld, LDAP_RES_ANY, LDAP_MSG_ONE, &none, &m);
    if (r == 0)
        return true;
    if (r < 0) {
        conns_lost(c, "the server closed the connection");
        return false;
    }
    c->last_heard = clock_mono_ms();
    server_heard(c->at, c->last_heard);
    if (ldap_msgid(m) == 0)
        conns_lost(c, "the server announced that it disconnects");
    else
        c->set->ops->message(c, c->set->arg, m);
    ldap_msgfree(m);
    return c->ld != NULL;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct dirconn *c = arg;
    (void)fd;
    (void)what;
    gather_readable(c->gather);
    for (int i = 0; i < BATCH; i++)
        if (!take_message(c) || !gather_has_more(c->gather))
            return;
    /* What is here already makes no socket readable. */
    event_active(c->readable, EV_READ, 0);
}

static void on_write_failed(void *arg)
{
    conns_lost(arg, "the server takes nothing more");
}

static int set_nonblocking(LDAP *ld)
{
    int fd = -1;
    if (ldap_get_option(ld, LDAP_OPT_DESC, &fd) != LDAP_OPT_SUCCESS || fd < 0)
        return -1;
    return evutil_make_socket_nonblocking(fd) == 0 ? fd : -1;
}

/* --- moving to another server --- */

/* The same for a connection as long as it lives. */
static uint64_t number_of(const struct dirconn *c)
{
    return (uint64_t)(uintptr_t)c;
}

/* When all are sick, none is better than another. */
static void look_at_place(struct dirconn *c)
{
    struct conns *s = c->set;
    struct servers *servers = opener_servers(s->opener);
    size_t order[LDAPMAP_SERVERS_MAX] = {0};
    if (!c->ld || s->in_use.server_count < 2)
        return;
    servers_order(servers, &s->in_use, number_of(c), order);
    c->leaving = order[0] != c->place &&
                 !server_is_sick(servers_find(servers, s->in_use.servers[order[0]]));
}

static void move(struct dirconn *c)
{
    struct conns *s = c->set;
    shut(c);
    s->ops->down(c, s->arg);
}

/* From a sound server to a better one they go one by one, so that some are always there. */
static void on_move(evutil_socket_t fd, short what, void *arg)
{
    struct conns *s = arg;
    (void)fd;
    (void)what;
    for (size_t i = 0; i < s->count; i++) {
        struct dirconn *c = &s->v[i];
        if (!c->ld || !c->leaving || c->load || (!server_is_sick(c->at) && s->opening))
            continue;
        move(c);
        fill(s);
    }
}

static void on_servers_changed(struct servers_user *u)
{
    struct conns *s = (struct conns *)u;
    s->changes++;
    for (size_t i = 0; i < s->count; i++)
        look_at_place(&s->v[i]);
    event_active(s->mover, EV_TIMEOUT, 0);
}

void conns_release(struct dirconn *c, size_t n)
{
    c->load -= n;
    if (c->leaving && c->load == 0)
        event_active(c->set->mover, EV_TIMEOUT, 0);
}

/* --- opening --- */

static void opened(struct dirconn *c, LDAP *ld, size_t place)
{
    struct conns *s = c->set;
    int fd = set_nonblocking(ld);
    c->gather =
        fd < 0 ? NULL : gather_new(ld, s->base, s->ops->gathers, on_write_failed, c);
    if (!c->gather) {
        close_handle(ld);
        schedule(s);
        return;
    }
    if (!s->sound)
        log_info("ldap-connected", LZ("for", s->what), LN("connections", s->count));
    s->sound = true;
    s->last_error[0] = 0;
    s->up++;
    c->ld = ld;
    c->place = place;
    c->at = servers_find(opener_servers(s->opener), s->in_use.servers[place]);
    ldap_get_option(ld, LDAP_OPT_URI, &c->server);
    c->opened = c->last_heard = clock_mono_ms();
    c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_add(c->readable, NULL);
    if (c->changes != s->changes) /* else it is where it can be: a better server refused it */
        look_at_place(c);
    s->ops->up(c, s->arg);
    fill(s);
    event_active(s->mover, EV_TIMEOUT, 0);
}

static void open_failed(struct conns *s, const struct err *e)
{
    int64_t now = clock_mono_ms();
    s->sound = false;
    if (strcmp(s->last_error, e->log) != 0 || now - s->last_logged > LOG_AGAIN_MS) {
        log_error("ldap-connect", LZ("for", s->what), LZ("why", e->log));
        memcpy(s->last_error, e->log, sizeof s->last_error);
        s->last_logged = now;
    }
    if (!event_pending(s->timer, EV_TIMEOUT, NULL))
        schedule(s);
}

/* True: the set is no more. */
static bool end_if_dead(struct conns *s, LDAP *ld)
{
    if (!s->dead)
        return false;
    if (ld)
        close_handle(ld);
    if (s->opening + s->probing == 0)
        destroy(s);
    return true;
}

static void on_opened(void *arg, LDAP *ld, size_t place, const struct err *e)
{
    struct dirconn *c = arg;
    struct conns *s = c->set;
    c->opening = false;
    s->opening--;
    if (end_if_dead(s, ld))
        return;
    if (ld)
        opened(c, ld, place);
    else
        open_failed(s, e);
}

/* A connection to a server that was sick is welcome where one is missing. */
static void on_probed(void *arg, LDAP *ld, size_t place, const struct err *e)
{
    struct conns *s = arg;
    (void)e;
    s->probing--;
    if (end_if_dead(s, ld) || !ld)
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (!s->v[i].ld && !s->v[i].opening) {
            opened(&s->v[i], ld, place);
            return;
        }
    }
    close_handle(ld);
}

static void on_probe_wanted(struct servers_user *u, size_t place)
{
    struct conns *s = (struct conns *)u;
    s->probing++;
    opener_probe(s->opener, &s->in_use, place, on_probed, s);
}

/* --- the set --- */

/* Opens what is missing: all at once while the servers answer, else one try at a time. */
static void fill(struct conns *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct dirconn *c = &s->v[i];
        if (c->ld || c->opening)
            continue;
        if (!s->sound && s->opening > 0)
            return;
        c->opening = true;
        c->changes = s->changes;
        s->opening++;
        opener_open(s->opener, &s->in_use, number_of(c), on_opened, c);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    fill(arg);
}

struct conns *conns_new(struct event_base *base, struct opener *opener,
                        const struct ldapmap_conn_settings *settings, size_t count,
                        const char *what, const struct conns_ops *ops, void *arg)
{
    struct conns *s = MEM_NEW(struct conns);
    *s = (struct conns){.base = base,
                        .opener = opener,
                        .count = count,
                        .what = what,
                        .ops = ops,
                        .arg = arg};
    s->arena = arena_new(1024);
    settings_copy(s, settings);
    settings_adapt(s);
    s->v = mem_array(count, sizeof *s->v);
    for (size_t i = 0; i < count; i++)
        s->v[i].set = s;
    s->timer = evtimer_new(base, on_timer, s);
    s->mover = evtimer_new(base, on_move, s);
    s->user = (struct servers_user){.settings = &s->in_use,
                                    .changed = on_servers_changed,
                                    .probe = on_probe_wanted};
    servers_join(opener_servers(opener), &s->user);
    fill(s);
    return s;
}

void conns_free(struct conns *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].ld)
            shut(&s->v[i]);
    event_free(s->timer);
    event_free(s->mover);
    servers_leave(&s->user);
    s->dead = true;
    if (s->opening + s->probing == 0)
        destroy(s);
}

const struct ldapmap_conn_settings *conns_settings(const struct conns *s)
{
    return &s->settings;
}

size_t conns_count(const struct conns *s)
{
    return s->count;
}

struct dirconn *conns_at(struct conns *s, size_t i)
{
    return i < s->count ? &s->v[i] : NULL;
}

size_t conns_up(const struct conns *s)
{
    return s->up;
}

struct dirconn *conns_least(struct conns *s, size_t below)
{
    struct dirconn *best = NULL, *leaving = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct dirconn *c = &s->v[i], **to = c->leaving ? &leaving : &best;
        if (c->ld && !(c->leaving && server_is_sick(c->at)) &&
            c->load < (*to ? (*to)->load : below))
            *to = c;
    }
    return best ? best : leaving;
}
