/* Questions to the directory servers: waiting, sending, losing, ending. */
#include "directory/errands.h"
#include "base/clock.h"

#include <stdlib.h>

#define WAIT_UNCONNECTED_MS 2000
#define LOSSES_MAX 2 /* connections that may die under one of them; a server's end takes all */
#define SLOTS 64

struct list {
    struct errand *first, *last;
    size_t n;
};

/* What is under way on one connection, by message id. */
struct slots {
    struct errand *first[SLOTS];
};

struct errands {
    struct event_base *base;
    struct conns *conns;
    const struct errand_ops *ops;
    struct list lists[3]; /* by state; what is over waits for deliver */
    struct event *deliver;
    struct event *timer;
    int64_t timer_at; /* 0: not set */
    uint64_t sent;
};

/* --- lists --- */

static struct list *list_of(struct errand *e)
{
    return &e->all->lists[e->state];
}

static void list_add(struct list *l, struct errand *e)
{
    e->next = NULL;
    e->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = e;
    l->last = e;
    l->n++;
}

static void list_add_first(struct list *l, struct errand *e)
{
    e->prev = NULL;
    e->next = l->first;
    *(l->first ? &l->first->prev : &l->last) = e;
    l->first = e;
    l->n++;
}

static void list_take(struct list *l, struct errand *e)
{
    *(e->prev ? &e->prev->next : &l->first) = e->next;
    *(e->next ? &e->next->prev : &l->last) = e->prev;
    l->n--;
}

static struct errand **slot_of(struct dirconn *c, int msgid)
{
    struct slots *slots = c->under_way;
    return &slots->first[(unsigned)msgid % SLOTS];
}

/* Out of its list, and off its connection. */
static void take(struct errand *e)
{
    list_take(list_of(e), e);
    if (e->state != ERRAND_SENT)
        return;
    struct errand **at = slot_of(e->conn, e->msgid);
    while (*at != e)
        at = &(*at)->same;
    *at = e->same;
    conns_release(e->conn, 1);
}

/* --- time --- */

static void look_at(struct errands *all, int64_t at)
{
    if (all->timer_at && all->timer_at <= at)
        return;
    all->timer_at = at;
    int64_t ms = at - clock_mono_ms();
    if (ms < 1)
        ms = 1;
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    event_add(all->timer, &tv);
}

static bool has_other_servers(const struct errands *all)
{
    return conns_settings(all->conns)->server_count > 1;
}

/* --- the end --- */

void errands_end(struct errand *e)
{
    take(e);
    e->state = ERRAND_OVER;
    list_add(list_of(e), e);
    event_active(e->all->deliver, EV_TIMEOUT, 0);
}

static void fail(struct errand *e, int code, const char *why)
{
    e->all->ops->failed(e, code, why);
    errands_end(e);
}

/* --- sending --- */

static bool is_connection_fault(int code)
{
    return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_TIMEOUT ||
           code == LDAP_UNAVAILABLE || code == LDAP_BUSY;
}

static void mark_sent(struct errand *e, struct dirconn *c, int msgid)
{
    struct errand **slot = slot_of(c, msgid);
    take(e);
    e->conn = c;
    e->msgid = msgid;
    e->same = *slot;
    *slot = e;
    c->load++;
    e->state = ERRAND_SENT;
    list_add(list_of(e), e);
    e->all->sent++;
    server_asked(c->at);
    e->sent = clock_mono_ms();
    e->look = e->deadline;
    if (has_other_servers(e->all) && e->losses < LOSSES_MAX && e->deadline > e->sent)
        e->look = e->sent + (e->deadline - e->sent) / 2;
    look_at(e->all, e->look);
}

/* When the connection fails it is dropped, and the errand waits on, or goes by another. */
static void send_by(struct errand *e, struct dirconn *c)
{
    int msgid, code = e->all->ops->send(e, c->ld, &msgid);
    if (code == LDAP_SUCCESS)
        mark_sent(e, c, msgid);
    else if (is_connection_fault(code))
        conns_lost(c, ldap_err2string(code));
    else
        fail(e, code, "");
}

static void pump(struct errands *all)
{
    struct list *waiting = &all->lists[ERRAND_WAITS];
    struct dirconn *c;
    while (waiting->first && (c = conns_least(all->conns, all->ops->per_connection)))
        send_by(waiting->first, c);
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
    struct errands *all = arg;
    struct list *over = &all->lists[ERRAND_OVER];
    (void)fd;
    (void)what;
    while (over->first) {
        struct errand *e = over->first;
        list_take(over, e);
        all->ops->deliver(e);
    }
    pump(all);
}

/* --- the connections --- */

static void on_up(struct dirconn *c, void *arg)
{
    if (!c->under_way)
        c->under_way = MEM_NEW(struct slots);
    pump(arg);
}

static void on_message(struct dirconn *c, void *arg, LDAPMessage *m)
{
    struct errands *all = arg;
    int msgid = ldap_msgid(m);
    struct errand *e = *slot_of(c, msgid);
    while (e && e->msgid != msgid)
        e = e->same;
    if (!e)
        return; /* of one that was abandoned */
    all->ops->message(e, m);
    pump(all);
}

static void start_anew(struct errand *e)
{
    e->losses++;
    e->all->ops->again(e);
    take(e);
    e->state = ERRAND_WAITS;
    e->look = clock_mono_ms() + WAIT_UNCONNECTED_MS;
    list_add_first(list_of(e), e);
    look_at(e->all, e->look);
}

/* What was under way there goes to the front of the queue, in its order. Whether the server saw it
 * does not matter. */
static void on_down(struct dirconn *c, void *arg)
{
    struct errands *all = arg;
    struct errand *before;
    for (struct errand *e = all->lists[ERRAND_SENT].last; e; e = before) {
        before = e->prev;
        if (e->conn != c)
            continue;
        server_failed(c->at);
        if (e->losses == LOSSES_MAX)
            fail(e, LDAP_SERVER_DOWN, "connections were lost again and again");
        else
            start_anew(e);
    }
    /* Not now: the other connections may be dead too, and about to say so. */
    event_active(all->deliver, EV_TIMEOUT, 0);
}

/* --- time is up --- */

/* A connection that said nothing at all since then is taken for dead, and so is one with something
 * that cannot be abandoned (a bind: RFC 4511 section 4.11). */
static void expire(struct errand *e)
{
    struct errands *all = e->all;
    struct dirconn *c = e->conn;
    bool silent = conns_is_silent(c, e->sent);
    bool broken = !all->ops->abandons || c->last_heard <= e->sent;
    if (all->ops->abandons)
        ldap_abandon_ext(c->ld, e->msgid, NULL, NULL);
    fail(e, LDAP_TIMEOUT, "no answer in time");
    server_failed(c->at);
    if (silent)
        conns_silent(c, "no answer in time");
    else if (broken)
        conns_lost(c, "no answer in time");
}

static void look(struct errand *e, int64_t now)
{
    bool late = now >= e->deadline;
    e->look = e->deadline;
    if (e->state == ERRAND_SENT && late)
        expire(e);
    else if (e->state == ERRAND_SENT && conns_is_silent(e->conn, e->sent))
        conns_silent(e->conn, "no answer in half of the time");
    else if (e->state == ERRAND_WAITS && (late || !conns_up(e->all->conns)))
        fail(e, LDAP_CONNECT_ERROR, "no connection to the directory");
}

/* Looking at one may end others. */
static struct errand *first_due(struct list *l, int64_t now)
{
    struct errand *e = l->first;
    while (e && e->look > now)
        e = e->next;
    return e;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct errands *all = arg;
    int64_t now = clock_mono_ms();
    struct errand *e;
    (void)fd;
    (void)what;
    all->timer_at = 0;
    for (size_t i = ERRAND_WAITS; i <= ERRAND_SENT; i++)
        while ((e = first_due(&all->lists[i], now)))
            look(e, now);
    for (size_t i = ERRAND_WAITS; i <= ERRAND_SENT; i++)
        for (e = all->lists[i].first; e; e = e->next)
            look_at(all, e->look);
    pump(all);
}

/* --- all --- */

static void add(struct errands *all, struct errand *e)
{
    *e = (struct errand){.all = all, .state = ERRAND_WAITS};
    list_add(list_of(e), e);
}

void errands_start(struct errands *all, struct errand *e)
{
    int64_t now = clock_mono_ms();
    add(all, e);
    e->deadline = now + (int64_t)errands_settings(all)->timeout * 1000;
    e->look = conns_up(all->conns) ? e->deadline : now + WAIT_UNCONNECTED_MS;
    if (all->lists[ERRAND_WAITS].n > all->ops->waiting_max) {
        fail(e, LDAP_BUSY, "too many wait already");
        return;
    }
    pump(all);
    if (e->state == ERRAND_WAITS)
        look_at(all, e->look);
}

void errands_skip(struct errands *all, struct errand *e)
{
    add(all, e);
    errands_end(e);
}

struct errands *errands_new(struct event_base *base, struct opener *opener,
                            const struct ldapmap_conn_settings *settings, size_t connections,
                            const struct errand_ops *ops)
{
    /* What cannot be abandoned is a bind, whose password is copied as little as may be. */
    static const struct conns_ops searching = {on_up, on_message, on_down, true},
                                  binding = {on_up, on_message, on_down, false};
    const struct conns_ops *conn_ops = ops->abandons ? &searching : &binding;
    struct errands *all = MEM_NEW(struct errands);
    *all = (struct errands){.base = base, .ops = ops};
    all->deliver = evtimer_new(base, on_deliver, all);
    all->timer = evtimer_new(base, on_timer, all);
    all->conns = conns_new(base, opener, settings, connections, ops->what, conn_ops, all);
    return all;
}

void errands_free(struct errands *all)
{
    struct dirconn *c;
    if (!all)
        return;
    for (size_t i = ERRAND_WAITS; i <= ERRAND_OVER; i++)
        while (all->lists[i].first) {
            struct errand *e = all->lists[i].first;
            list_take(&all->lists[i], e);
            all->ops->discard(e);
        }
    for (size_t i = 0; (c = conns_at(all->conns, i)); i++)
        free(c->under_way);
    event_free(all->deliver);
    event_free(all->timer);
    conns_free(all->conns);
    free(all);
}

const struct ldapmap_conn_settings *errands_settings(const struct errands *all)
{
    return conns_settings(all->conns);
}

void errands_counts(const struct errands *all, struct errands_counts *out)
{
    *out = (struct errands_counts){.connections = conns_count(all->conns),
                                   .up = conns_up(all->conns),
                                   .waiting = all->lists[ERRAND_WAITS].n,
                                   .under_way = all->lists[ERRAND_SENT].n,
                                   .sent = all->sent};
}
