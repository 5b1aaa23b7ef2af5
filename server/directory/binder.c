/* A pool of connections that log users in. */
#include "directory/binder.h"
#include "base/clock.h"

#include <stdlib.h>

#define WAITING_MAX 1000
#define WAIT_UNCONNECTED_MS 2000
#define LOSSES_MAX 2 /* connections that may die under one of them; a server's end takes all */

struct op {
    struct op *next; /* in waiting or finished */
    struct binder *b;
    char *dn;
    struct secret password;
    binder_fn fn;
    void *arg;
    struct dirconn *conn; /* NULL: not sent */
    int msgid;
    unsigned losses;
    int64_t deadline;
    struct event *timer;
    struct bind_result result;
};

struct op_queue {
    struct op *first, **last;
    size_t n;
};

struct binder {
    struct event_base *base;
    struct conns *conns;
    struct op_queue waiting, finished;
    struct event *finish;
    size_t under_way;
    struct binder_counts counts;
};

static void queue_init(struct op_queue *q)
{
    *q = (struct op_queue){.last = &q->first};
}

static void queue_put(struct op_queue *q, struct op *o)
{
    o->next = NULL;
    *q->last = o;
    q->last = &o->next;
    q->n++;
}

static void queue_put_first(struct op_queue *q, struct op *o)
{
    o->next = q->first;
    if (!q->first)
        q->last = &o->next;
    q->first = o;
    q->n++;
}

static void queue_remove(struct op_queue *q, struct op *o)
{
    struct op **at = &q->first;
    while (*at && *at != o)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = o->next;
    if (!*at)
        q->last = at;
    q->n--;
}

static void op_free(struct op *o)
{
    secret_free(&o->password);
    event_free(o->timer);
    free(o->dn);
    free(o);
}

/* --- the end of a bind --- */

static void detach(struct op *o)
{
    if (o->conn) {
        o->conn->under_way = NULL;
        o->conn->load = 0;
        o->conn = NULL;
        o->b->under_way--;
    } else {
        queue_remove(&o->b->waiting, o);
    }
}

static void finish(struct op *o, const struct bind_result *r)
{
    struct binder *b = o->b;
    detach(o);
    secret_free(&o->password);
    event_del(o->timer);
    o->result = *r;
    b->counts.refused += r->verdict == VERDICT_NO;
    b->counts.failed += r->verdict == VERDICT_CANNOT_SAY;
    queue_put(&b->finished, o);
    event_active(b->finish, EV_TIMEOUT, 0);
}

static void cannot_say(struct op *o, const char *why)
{
    finish(o, &(struct bind_result){.verdict = VERDICT_CANNOT_SAY, .why = why});
}

/* --- sending --- */

static void set_timer(struct op *o, int64_t at)
{
    int64_t ms = at - clock_mono_ms();
    if (ms < 1)
        ms = 1;
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    event_add(o->timer, &tv);
}

static void op_send(struct op *o, struct dirconn *c)
{
    struct berval password = {o->password.n, o->password.p};
    LDAPControl policy = bind_result_control, *controls[] = {&policy, NULL};
    int code =
        ldap_sasl_bind(c->ld, o->dn, LDAP_SASL_SIMPLE, &password, controls, NULL, &o->msgid);
    if (code != LDAP_SUCCESS) {
        conns_lost(c, ldap_err2string(code));
        return;
    }
    queue_remove(&o->b->waiting, o);
    o->b->counts.binds++;
    o->b->under_way++;
    o->conn = c;
    c->under_way = o;
    c->load = 1;
    set_timer(o, o->deadline);
}

static void pump(struct binder *b)
{
    struct dirconn *c;
    while (b->waiting.first && (c = conns_least(b->conns, 1)))
        op_send(b->waiting.first, c);
}

static void on_finish(evutil_socket_t fd, short what, void *arg)
{
    struct binder *b = arg;
    struct op *o;
    (void)fd;
    (void)what;
    while ((o = b->finished.first)) {
        queue_remove(&b->finished, o);
        o->fn(o->arg, &o->result);
        op_free(o);
    }
    pump(b);
}

static void on_up(struct dirconn *c, void *arg)
{
    (void)c;
    pump(arg);
}

/* A bind whose connection died is made anew: whether the server saw it does not matter. */
static void on_down(struct dirconn *c, void *arg)
{
    struct binder *b = arg;
    struct op *o = c->under_way;
    if (o && o->losses == LOSSES_MAX) {
        cannot_say(o, "connections were lost again and again");
    } else if (o) {
        o->losses++;
        detach(o);
        queue_put_first(&b->waiting, o);
    }
    /* Not now: the other connections may be dead too, and about to say so. */
    event_active(b->finish, EV_TIMEOUT, 0);
}

/* A bind cannot be abandoned (RFC 4511 section 4.11), so its connection goes with it. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct op *o = arg;
    struct dirconn *c = o->conn;
    (void)fd;
    (void)what;
    if (!c && conns_up(o->b->conns) && clock_mono_ms() < o->deadline) {
        set_timer(o, o->deadline);
        return;
    }
    cannot_say(o, c ? "no answer in time" : "no connection was free in time");
    if (c)
        conns_lost(c, "no answer in time");
}

static void on_message(struct dirconn *c, void *arg, LDAPMessage *m)
{
    struct op *o = c->under_way;
    if (!o || o->msgid != ldap_msgid(m) || ldap_msgtype(m) != LDAP_RES_BIND)
        return;
    struct bind_result r = bind_result_read(c->ld, m);
    finish(o, &r);
    pump(arg);
}

/* --- the binder --- */

struct binder *binder_new(struct event_base *base, struct opener *opener,
                          const struct ldapmap_conn_settings *settings, size_t connections)
{
    static const struct conns_ops ops = {on_up, on_message, on_down};
    struct binder *b = MEM_NEW(struct binder);
    b->base = base;
    queue_init(&b->waiting);
    queue_init(&b->finished);
    b->finish = evtimer_new(base, on_finish, b);
    b->conns = conns_new(base, opener, settings, connections, "bind", &ops, b);
    return b;
}

static void free_under_way(struct conns *conns)
{
    struct dirconn *c;
    for (size_t i = 0; (c = conns_at(conns, i)); i++)
        if (c->under_way)
            op_free(c->under_way);
}

static void queue_free(struct op_queue *q)
{
    while (q->first) {
        struct op *o = q->first;
        queue_remove(q, o);
        op_free(o);
    }
}

void binder_free(struct binder *b)
{
    if (!b)
        return;
    queue_free(&b->waiting);
    queue_free(&b->finished);
    free_under_way(b->conns);
    event_free(b->finish);
    conns_free(b->conns);
    free(b);
}

const struct ldapmap_conn_settings *binder_settings(const struct binder *b)
{
    return conns_settings(b->conns);
}

void binder_run(struct binder *b, struct str dn, struct secret *password, binder_fn fn, void *arg)
{
    struct op *o = MEM_NEW(struct op);
    int64_t now = clock_mono_ms();
    *o = (struct op){.b = b, .dn = mem_strdup(dn), .password = *password, .fn = fn, .arg = arg};
    *password = (struct secret){0};
    o->timer = evtimer_new(b->base, on_timer, o);
    o->deadline = now + (int64_t)binder_settings(b)->timeout * 1000;
    queue_put(&b->waiting, o);
    if (o->password.n == 0 || dn.n == 0)
        finish(o, &(struct bind_result){.verdict = VERDICT_NO, .why = "an empty password or name"});
    else if (b->waiting.n > WAITING_MAX)
        cannot_say(o, "too many logins wait already");
    else
        set_timer(o, conns_up(b->conns) ? o->deadline : now + WAIT_UNCONNECTED_MS);
    pump(b);
}

void binder_counts(const struct binder *b, struct binder_counts *out)
{
    *out = b->counts;
    out->connections = conns_count(b->conns);
    out->up = conns_up(b->conns);
    out->waiting = b->waiting.n;
    out->under_way = b->under_way;
}
