/* Many searches over a few connections. */
#include "directory/search.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

#define PER_CONNECTION 128 /* under way on one connection */
#define WAITING_MAX 10000  /* beyond that, "cannot say" at once: no storm of old questions */
#define WAIT_UNCONNECTED_MS 2000
#define LOSSES_MAX 2 /* connections that may die under one of them; a server's end takes all */
#define ENTRIES_MAX 100000
#define BYTES_MAX ((size_t)32 << 20)

enum op_state { OP_WAITING, OP_SENT, OP_FINISHED };

struct op {
    struct op *next, *prev;
    struct searcher *s;
    struct arena *arena;
    struct ldapmap_search what;
    search_fn fn;
    void *arg;
    enum op_state state;
    struct dirconn *conn; /* while sent */
    int msgid;
    unsigned losses;
    int64_t sent, deadline;
    struct event *timer;
    size_t used_before, cap;
    struct str elsewhere; /* a server that has part of the answer; empty: none */
    struct search_result result;
};

struct op_list {
    struct op *first, *last;
    size_t n;
};

struct searcher {
    struct event_base *base;
    struct conns *conns;
    struct op_list waiting, sent;
    struct op_list finished; /* their callbacks come from the event loop */
    struct event *finish;
    struct searcher_counts counts;
};

/* --- lists --- */

static void list_add(struct op_list *l, struct op *o)
{
    o->next = NULL;
    o->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = o;
    l->last = o;
    l->n++;
}

static void list_add_first(struct op_list *l, struct op *o)
{
    o->prev = NULL;
    o->next = l->first;
    *(l->first ? &l->first->prev : &l->last) = o;
    l->first = o;
    l->n++;
}

static void list_take(struct op_list *l, struct op *o)
{
    *(o->prev ? &o->prev->next : &l->first) = o->next;
    *(o->next ? &o->next->prev : &l->last) = o->prev;
    l->n--;
}

static struct op_list *list_of(struct op *o)
{
    if (o->state == OP_WAITING)
        return &o->s->waiting;
    return o->state == OP_SENT ? &o->s->sent : &o->s->finished;
}

static void move(struct op *o, enum op_state to)
{
    list_take(list_of(o), o);
    if (o->state == OP_SENT)
        o->conn->load--;
    o->state = to;
    list_add(list_of(o), o);
}

/* --- the end of a search --- */

static void op_free(struct op *o)
{
    event_free(o->timer);
    free(o);
}

static void finish(struct op *o, int code, struct str diagnostic)
{
    o->result.code = code;
    if (o->conn && o->conn->server)
        o->result.server = arena_str(o->arena, str_from(o->conn->server));
    o->result.diagnostic = arena_str(o->arena, str_head(diagnostic, 400));
    if (code != LDAP_SUCCESS && code != LDAP_SIZELIMIT_EXCEEDED)
        o->s->counts.failed++;
    event_del(o->timer);
    move(o, OP_FINISHED);
    event_active(o->s->finish, EV_TIMEOUT, 0);
}

/* --- sending --- */

static bool is_connection_fault(int code)
{
    return code == LDAP_SERVER_DOWN || code == LDAP_CONNECT_ERROR || code == LDAP_TIMEOUT ||
           code == LDAP_UNAVAILABLE || code == LDAP_BUSY;
}

static void set_timer(struct op *o, int64_t at)
{
    int64_t ms = at - clock_mono_ms();
    if (ms < 1)
        ms = 1;
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    event_add(o->timer, &tv);
}

/* When the connection fails it is dropped, and the search waits on, or was sent by another. */
static void op_send(struct op *o, struct dirconn *c)
{
    int code = ldapmap_conn_search(c->ld, &o->what, &o->msgid);
    if (is_connection_fault(code)) {
        conns_lost(c, ldap_err2string(code));
        return;
    }
    if (code != LDAP_SUCCESS) {
        finish(o, code, (struct str){0});
        return;
    }
    o->conn = c;
    c->load++;
    o->sent = clock_mono_ms();
    o->s->counts.searches++;
    move(o, OP_SENT);
    set_timer(o, o->deadline);
}

static void pump(struct searcher *s)
{
    struct dirconn *c;
    while (s->waiting.first && (c = conns_least(s->conns, PER_CONNECTION)))
        op_send(s->waiting.first, c);
}

static void on_finish(evutil_socket_t fd, short what, void *arg)
{
    struct searcher *s = arg;
    struct op *o;
    (void)fd;
    (void)what;
    while ((o = s->finished.first)) {
        list_take(&s->finished, o);
        o->fn(o->arg, &o->result);
        op_free(o);
    }
    pump(s);
}

static void on_up(struct dirconn *c, void *arg)
{
    (void)c;
    pump(arg);
}

/* What was under way there goes to the front of the queue. */
static void on_down(struct dirconn *c, void *arg)
{
    struct searcher *s = arg;
    struct op *next;
    for (struct op *o = s->sent.last; o; o = next) {
        next = o->prev;
        if (o->conn != c)
            continue;
        if (o->losses == LOSSES_MAX) {
            finish(o, LDAP_SERVER_DOWN, STR("connections were lost again and again"));
            continue;
        }
        o->losses++;
        o->result = (struct search_result){0};
        o->elsewhere = (struct str){0};
        o->cap = 0;
        list_take(&s->sent, o);
        c->load--;
        o->state = OP_WAITING;
        list_add_first(&s->waiting, o);
    }
    /* Not now: the other connections may be dead too, and about to say so. */
    event_active(s->finish, EV_TIMEOUT, 0);
}

/* Time is up: for one that waits, when no connection came; for one that was sent, its deadline. A
 * connection that said nothing at all since then is taken for dead, so that another server gets its
 * turn. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct op *o = arg;
    struct dirconn *c = o->conn;
    (void)fd;
    (void)what;
    if (o->state == OP_WAITING && conns_up(o->s->conns) && clock_mono_ms() < o->deadline) {
        set_timer(o, o->deadline);
        return;
    }
    if (o->state == OP_WAITING) {
        finish(o, LDAP_CONNECT_ERROR, STR("no connection to the directory"));
        return;
    }
    ldap_abandon_ext(c->ld, o->msgid, NULL, NULL);
    bool silent = c->last_heard < o->sent;
    finish(o, LDAP_TIMEOUT, STR("no answer in time"));
    if (silent)
        conns_lost(c, "no answer in time");
    else
        pump(o->s);
}

/* --- reading --- */

static int take_entry(struct op *o, LDAP *ld, LDAPMessage *m)
{
    struct search_result *r = &o->result;
    if (r->count >= ENTRIES_MAX || arena_used(o->arena) - o->used_before > BYTES_MAX)
        return LDAP_ADMINLIMIT_EXCEEDED;
    if (r->count == o->cap) {
        size_t cap = o->cap ? 2 * o->cap : 2;
        struct ldapmap_entry *v = arena_array(o->arena, cap, sizeof *v);
        if (r->count)
            memcpy(v, r->entries, r->count * sizeof *v);
        r->entries = v;
        o->cap = cap;
    }
    struct ldapmap_entry in_message; /* which is freed soon */
    int code = ldapmap_conn_entry(o->arena, ld, m, &in_message);
    if (code == LDAP_SUCCESS)
        ldapmap_entry_copy(o->arena, &in_message, &r->entries[r->count++]);
    return code;
}

static void take_end(struct op *o, LDAP *ld, LDAPMessage *m)
{
    int code = LDAP_OTHER;
    char *text = NULL;
    int r = ldap_parse_result(ld, m, &code, NULL, &text, NULL, NULL, 0);
    if (r == LDAP_SUCCESS && code == LDAP_SUCCESS && o->elsewhere.n)
        finish(o, LDAP_REFERRAL, o->elsewhere);
    else
        finish(o, r == LDAP_SUCCESS ? code : r, str_from(text));
    ldap_memfree(text);
}

/* A part of the tree that another server has (RFC 4511 section 4.5.3). Nobody goes there from here;
 * where the settings say that one must, the answer is not whole. Where they do not, it is. */
static void take_reference(struct op *o, LDAP *ld, LDAPMessage *m)
{
    char **urls = NULL;
    if (!searcher_settings(o->s)->chase_referrals)
        return;
    bool read = ldap_parse_reference(ld, m, &urls, NULL, 0) == LDAP_SUCCESS && urls && urls[0];
    o->elsewhere = arena_str(o->arena, read ? str_head(str_from(urls[0]), 300) : STR("unknown"));
    ldap_memvfree((void **)urls);
}

static struct op *op_find(struct searcher *s, struct dirconn *c, int msgid)
{
    for (struct op *o = s->sent.first; o; o = o->next)
        if (o->conn == c && o->msgid == msgid)
            return o;
    return NULL;
}

static void on_message(struct dirconn *c, void *arg, LDAPMessage *m)
{
    struct searcher *s = arg;
    struct op *o = op_find(s, c, ldap_msgid(m));
    if (!o)
        return; /* of a search that was abandoned */
    if (ldap_msgtype(m) == LDAP_RES_SEARCH_ENTRY) {
        int code = take_entry(o, c->ld, m);
        if (code != LDAP_SUCCESS) {
            ldap_abandon_ext(c->ld, o->msgid, NULL, NULL);
            finish(o, code, STR("an answer too large, or one that cannot be read"));
        }
    } else if (ldap_msgtype(m) == LDAP_RES_SEARCH_REFERENCE) {
        take_reference(o, c->ld, m);
    } else if (ldap_msgtype(m) == LDAP_RES_SEARCH_RESULT) {
        take_end(o, c->ld, m);
    }
    if (o->state == OP_FINISHED)
        pump(s);
}

/* --- the searcher --- */

struct searcher *searcher_new(struct event_base *base, struct opener *opener,
                              const struct ldapmap_conn_settings *settings, size_t connections)
{
    static const struct conns_ops ops = {on_up, on_message, on_down};
    struct searcher *s = MEM_NEW(struct searcher);
    s->base = base;
    s->finish = evtimer_new(base, on_finish, s);
    s->conns = conns_new(base, opener, settings, connections, "search", &ops, s);
    return s;
}

static void list_free(struct op_list *l)
{
    while (l->first) {
        struct op *o = l->first;
        list_take(l, o);
        op_free(o);
    }
}

void searcher_free(struct searcher *s)
{
    if (!s)
        return;
    list_free(&s->waiting);
    list_free(&s->sent);
    list_free(&s->finished);
    event_free(s->finish);
    conns_free(s->conns);
    free(s);
}

const struct ldapmap_conn_settings *searcher_settings(const struct searcher *s)
{
    return conns_settings(s->conns);
}

void search_run(struct searcher *s, struct arena *a, const struct ldapmap_search *what,
                search_fn fn, void *arg)
{
    struct op *o = MEM_NEW(struct op);
    int64_t now = clock_mono_ms();
    *o = (struct op){.s = s, .arena = a, .what = *what, .fn = fn, .arg = arg};
    o->used_before = arena_used(a);
    o->timer = evtimer_new(s->base, on_timer, o);
    o->deadline = now + (int64_t)searcher_settings(s)->timeout * 1000;
    list_add(&s->waiting, o);
    if (s->waiting.n > WAITING_MAX) {
        finish(o, LDAP_BUSY, STR("too many searches wait already"));
        return;
    }
    set_timer(o, conns_up(s->conns) ? o->deadline : now + WAIT_UNCONNECTED_MS);
    pump(s);
}

void searcher_counts(const struct searcher *s, struct searcher_counts *out)
{
    *out = s->counts;
    out->connections = conns_count(s->conns);
    out->up = conns_up(s->conns);
    out->waiting = s->waiting.n;
    out->under_way = s->sent.n;
}
