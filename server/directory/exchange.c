/* Relaying SASL to the directory server. */
#include "directory/exchange.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "protocol/sasl/claim.h"

#include <stdlib.h>

#define STEPS_MAX 10
#define WAITING_MAX 200
#define CLIENT_MS 30000 /* for the client to answer */
#define ALL_MS 60000
#define QUIET_MS 1000

enum stage {
    STAGE_NAMED,  /* may that account be tried? */
    STAGE_WAITS,  /* for a connection */
    STAGE_BINDS,  /* the server is asked */
    STAGE_CLIENT, /* the client is */
    STAGE_WHO,    /* the server: who was that? */
    STAGE_FINDS,  /* his entry */
    STAGE_CLEARS, /* nobody's any more: the connection forgets it */
};

struct key {
    uint64_t holder, number;
};

struct exchange {
    struct exchange *next, **at; /* among all */
    struct exchanges *x;
    struct key key;
    struct dirset *set;
    struct arena *arena;
    enum stage stage;
    char mechanism[24];
    struct secret said; /* by the client, not sent yet */
    bool has_said, known_ip;
    bool unwanted; /* nobody will take the next step */
    unsigned char ip[16];
    struct str user; /* who the client says it is; empty: it has not said */
    bool is_nobody;  /* user_filter matches no entry of that name */
    struct guard_try try;
    struct str last; /* what the server said with its success */
    struct dirconn *conn;
    int msgid;
    unsigned steps;
    int64_t began, quiet_since;
    struct event *timer;
    exchange_fn fn; /* NULL: nobody waits */
    void *arg;
};

struct exchanges {
    struct event_base *base;
    struct map *by_key;
    struct exchange *first, **last; /* in their order */
    size_t waiting;
    struct event *pump;
};

static struct str key_str(const struct key *k)
{
    return (struct str){(const char *)k, sizeof *k};
}

/* --- timers and ends --- */

static void set_timer(struct exchange *e, int64_t ms)
{
    int64_t left = e->began + ALL_MS - clock_mono_ms();
    if (e->stage != STAGE_CLEARS && ms > left)
        ms = left > 1 ? left : 1;
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    event_add(e->timer, &tv);
}

static int64_t server_ms(const struct exchange *e)
{
    return conns_settings(e->set->sasl)->timeout * INT64_C(1000);
}

static bool is_waiting(enum stage stage)
{
    return stage == STAGE_NAMED || stage == STAGE_WAITS;
}

static void set_stage(struct exchange *e, enum stage stage)
{
    e->x->waiting += is_waiting(stage);
    e->x->waiting -= is_waiting(e->stage);
    e->stage = stage;
}

static void destroy(struct exchange *e)
{
    *e->at = e->next;
    *(e->next ? &e->next->at : &e->x->last) = e->at;
    secret_free(&e->said);
    event_free(e->timer);
    if (e->x->pump)
        event_active(e->x->pump, EV_TIMEOUT, 0);
    dirset_release(e->set);
    arena_free(e->arena);
    free(e);
}

/* The connection is free for others. */
static void give_back(struct exchange *e)
{
    if (e->conn) {
        e->conn->under_way = NULL;
        conns_release(e->conn, 1);
        e->conn = NULL;
    }
    destroy(e);
}

/* Nobody hears of it any more. An anonymous bind ends what is under way on the connection (RFC 4513
 * section 5.2.1.2), and whose it was. */
static void leave(struct exchange *e)
{
    struct berval empty = {0, (char *)""};
    map_take(e->x->by_key, key_str(&e->key));
    guard_forgive(e->set->guard, &e->try); /* nobody has said that it was wrong */
    e->fn = NULL;
    bool may_bind = e->conn && e->stage != STAGE_BINDS && e->stage != STAGE_WHO;
    if (e->conn && !may_bind) { /* an answer is on its way still */
        struct dirconn *c = e->conn;
        set_stage(e, STAGE_CLEARS);
        conns_lost(c, "an exchange was given up while the server was asked");
        return;
    }
    set_stage(e, STAGE_CLEARS);
    if (!e->conn || ldap_sasl_bind(e->conn->ld, "", LDAP_SASL_SIMPLE, &empty, NULL, NULL,
                                   &e->msgid) != LDAP_SUCCESS)
        give_back(e);
    else
        set_timer(e, server_ms(e));
}

static void answer(struct exchange *e, const struct exchange_reply *r)
{
    exchange_fn fn = e->fn;
    e->fn = NULL;
    if (fn)
        fn(e->arg, r);
}

static void finish(struct exchange *e, const struct login_result *result)
{
    struct exchange_reply r = {.login = result, .data = e->last, .user = e->user};
    answer(e, &r);
    leave(e);
}

static void fail(struct exchange *e, const char *why)
{
    finish(e, &(struct login_result){.verdict = VERDICT_CANNOT_SAY, .why = why});
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct exchange *e = arg;
    (void)fd;
    (void)what;
    if (e->stage == STAGE_CLEARS)
        conns_lost(e->conn, "no answer in time");
    else if (e->stage == STAGE_FINDS || e->stage == STAGE_NAMED)
        return; /* searches have limits of their own */
    else
        fail(e, e->stage == STAGE_CLIENT  ? "the client did not go on"
                : e->stage == STAGE_WAITS ? "no connection was free in time"
                                          : "no answer in time");
}

/* --- asking the server --- */

static void send_step(struct exchange *e)
{
    struct berval said = {e->said.n, e->said.p ? e->said.p : (char *)""};
    set_stage(e, STAGE_BINDS);
    e->steps++;
    int code = ldap_sasl_bind(e->conn->ld, "", e->mechanism, e->has_said ? &said : NULL, NULL, NULL,
                              &e->msgid);
    secret_free(&e->said);
    if (code != LDAP_SUCCESS)
        conns_lost(e->conn, ldap_err2string(code));
    else
        set_timer(e, server_ms(e));
}

static void take_conn(struct exchange *e, struct dirconn *c)
{
    e->conn = c;
    c->under_way = e;
    c->load = 1;
    send_step(e);
}

/* The one whose client is silent for longest gives way. */
static void make_room(struct exchanges *x)
{
    struct exchange *quiet = NULL;
    for (struct exchange *e = x->first; e; e = e->next)
        if (e->stage == STAGE_CLIENT && (!quiet || e->quiet_since < quiet->quiet_since))
            quiet = e;
    if (quiet && clock_mono_ms() - quiet->quiet_since >= QUIET_MS)
        fail(quiet, "others wait, and the client did not go on");
}

/* The first of those that wait, with the connection that it may have; NULL: none. */
static struct exchange *next_waiting(struct exchanges *x, struct dirconn **c, bool *wait)
{
    *wait = false;
    for (struct exchange *e = x->first; e && x->waiting; e = e->next) {
        if (e->stage == STAGE_WAITS && (*c = conns_least(e->set->sasl, 1)))
            return e;
        *wait = *wait || e->stage == STAGE_WAITS;
    }
    return NULL;
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    struct exchanges *x = arg;
    struct exchange *e;
    struct dirconn *c;
    bool wait;
    (void)fd;
    (void)what;
    while ((e = next_waiting(x, &c, &wait)))
        take_conn(e, c);
    if (!wait)
        return;
    make_room(x);
    event_add(x->pump, &(struct timeval){0, 200000});
}

/* --- the server's answers --- */

static void on_found(void *arg, const struct login_result *r)
{
    struct exchange *e = arg;
    if (e->unwanted)
        fail(e, "the client has gone");
    else
        finish(e, r);
}

static void on_who(struct exchange *e, LDAPMessage *m)
{
    struct berval *who = NULL;
    int code = ldap_parse_whoami(e->conn->ld, m, &who);
    struct str authzid = who && who->bv_val ? (struct str){who->bv_val, who->bv_len}
                                            : (struct str){0};
    set_stage(e, STAGE_FINDS);
    event_del(e->timer);
    if (e->unwanted) {
        fail(e, "the client has gone");
    } else if (code != LDAP_SUCCESS) {
        fail(e, "the directory does not say who that was (RFC 4532)");
    } else {
        authzid = arena_str(e->arena, authzid);
        login_found(e->set, authzid, e->known_ip ? e->ip : NULL, on_found, e);
    }
    ber_bvfree(who);
}

static void ask_who(struct exchange *e)
{
    set_stage(e, STAGE_WHO);
    if (ldap_whoami(e->conn->ld, NULL, NULL, &e->msgid) != LDAP_SUCCESS)
        conns_lost(e->conn, "a question could not be sent");
    else
        set_timer(e, server_ms(e));
}

/* Only 49 speaks of the password: what else a simple bind may mean by its codes, SASL does not. Cyrus
 * SASL has no code for a name that nobody has; a search has said that then. */
static void refused(struct exchange *e, LDAPMessage *m, int code)
{
    struct bind_result r = bind_result_read(e->conn->ld, m);
    set_stage(e, STAGE_CLIENT);
    if (code == LDAP_OTHER && e->is_nobody)
        r = (struct bind_result){.verdict = VERDICT_NO, .why = "user_filter matches no entry"};
    else if (code != LDAP_INVALID_CREDENTIALS)
        r = (struct bind_result){.verdict = VERDICT_CANNOT_SAY, .why = ldap_err2string(code)};
    if (r.verdict == VERDICT_NO)
        guard_wrong(e->set->guard, &e->try);
    finish(e, &(struct login_result){.verdict = r.verdict, .state = r.state, .why = r.why});
}

static void on_bound(struct exchange *e, LDAPMessage *m)
{
    int code = LDAP_OTHER;
    struct berval *said = NULL;
    if (ldap_parse_result(e->conn->ld, m, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
        code = LDAP_OTHER;
    ldap_parse_sasl_bind_result(e->conn->ld, m, &said, 0);
    struct str data = said && said->bv_val ? (struct str){said->bv_val, said->bv_len}
                                           : (struct str){0};
    if (code == LDAP_SUCCESS) {
        guard_right(e->set->guard, &e->try);
        e->last = arena_str(e->arena, data);
        ask_who(e);
    } else if (code == LDAP_SASL_BIND_IN_PROGRESS && (e->unwanted || e->steps >= STEPS_MAX)) {
        set_stage(e, STAGE_CLIENT);
        fail(e, e->unwanted ? "the client has gone" : "too many steps");
    } else if (code == LDAP_SASL_BIND_IN_PROGRESS) {
        struct exchange_reply r = {.go_on = true, .data = data};
        set_stage(e, STAGE_CLIENT);
        e->quiet_since = clock_mono_ms();
        set_timer(e, CLIENT_MS);
        guard_forgive(e->set->guard, &e->try);
        answer(e, &r);
    } else {
        refused(e, m, code);
    }
    ber_bvfree(said);
}

static void on_message(struct dirconn *c, void *arg, LDAPMessage *m)
{
    struct exchange *e = c->under_way;
    (void)arg;
    if (!e || e->msgid != ldap_msgid(m))
        return;
    if (e->stage == STAGE_CLEARS)
        give_back(e);
    else if (e->stage == STAGE_BINDS)
        on_bound(e, m);
    else if (e->stage == STAGE_WHO)
        on_who(e, m);
}

static void on_up(struct dirconn *c, void *arg)
{
    struct exchanges *x = arg;
    (void)c;
    event_active(x->pump, EV_TIMEOUT, 0);
}

static void on_down(struct dirconn *c, void *arg)
{
    struct exchange *e = c->under_way;
    (void)arg;
    if (!e)
        return;
    c->under_way = NULL;
    c->load = 0;
    e->conn = NULL;
    if (e->stage == STAGE_CLEARS)
        destroy(e);
    else if (e->stage != STAGE_FINDS && e->stage != STAGE_NAMED) /* these two go on by themselves */
        fail(e, "the connection was lost");
}

/* --- the client's steps --- */

static struct exchange *add(struct exchanges *x, struct dirset *set, const struct exchange_step *s)
{
    struct exchange *e = MEM_NEW(struct exchange);
    struct str name = str_head(s->mechanism, sizeof e->mechanism - 1);
    *e = (struct exchange){.x = x, .set = dirset_hold(set), .at = x->last, .key = {s->holder, s->number}, .stage = STAGE_CLIENT,
                           .began = clock_mono_ms(), .known_ip = s->ip != NULL};
    e->arena = arena_new(1024);
    memcpy(e->mechanism, name.p, name.n);
    if (s->ip)
        memcpy(e->ip, s->ip, sizeof e->ip);
    *x->last = e;
    x->last = &e->next;
    e->timer = evtimer_new(x->base, on_timer, e);
    map_put(x->by_key, key_str(&e->key), e);
    return e;
}

static bool is_relayed(const struct dirset *set, struct str mechanism)
{
    const struct config_list *l = &set->cfg->sasl_relay_mechanisms;
    for (size_t i = 0; set->sasl && i < l->n; i++)
        if (str_caseeq(l->v[i], mechanism))
            return true;
    return false;
}

static void refuse_step(exchange_fn fn, void *arg, const char *why)
{
    struct login_result r = {.verdict = VERDICT_CANNOT_SAY, .why = why};
    fn(arg, &(struct exchange_reply){.login = &r});
}

static void go_on(struct exchange *e)
{
    if (e->conn) {
        send_step(e);
        return;
    }
    set_stage(e, STAGE_WAITS);
    set_timer(e, server_ms(e));
    event_active(e->x->pump, EV_TIMEOUT, 0);
}

static void on_may_try(void *arg, const struct login_result *r)
{
    struct exchange *e = arg;
    e->is_nobody = r->box.dn.n == 0;
    if (e->unwanted)
        fail(e, "the client has gone");
    else if (r->verdict != VERDICT_YES)
        finish(e, r);
    else if (!e->conn && e->steps)
        fail(e, "the connection was lost");
    else
        go_on(e);
}

/* Whether the client has said who it is, and tries are counted. Each step is one: any may be the one that
 * proves the password, and a client that is slow between them must hold nobody up. */
static bool is_counted(struct exchange *e)
{
    char room[SASL_CLAIM_MAX];
    if (!e->user.n)
        e->user = arena_str(e->arena, sasl_claim(str_from(e->mechanism),
                                                 (struct str){e->said.p, e->said.n}, room));
    if (!e->user.n || !e->known_ip || !e->set->guard)
        return false;
    set_stage(e, STAGE_NAMED);
    event_del(e->timer);
    return true;
}

void exchange_step(struct exchanges *x, struct dirset *set, const struct exchange_step *s,
                   exchange_fn fn, void *arg)
{
    struct key key = {s->holder, s->number};
    struct exchange *e = map_get(x->by_key, key_str(&key));
    bool begins = !e && s->mechanism.n > 0;
    if (begins && !is_relayed(set, s->mechanism)) {
        refuse_step(fn, arg, "a mechanism that is not relayed");
        return;
    }
    if (begins && x->waiting < WAITING_MAX)
        e = add(x, set, s);
    if (!e || e->stage != STAGE_CLIENT) {
        refuse_step(fn, arg, begins ? "too many exchanges wait already" : "no such exchange");
        return;
    }
    e->fn = fn;
    e->arg = arg;
    e->has_said = s->data != NULL;
    if (s->data && s->data->n)
        e->said = secret_copy(*s->data);
    if (s->data && s->data->n && !e->said.p)
        fail(e, "no guarded memory");
    else if (!begins && !e->conn)
        fail(e, "the connection was lost");
    else if (is_counted(e))
        login_may_try(e->set, e->user, e->ip, &e->try, on_may_try, e);
    else
        go_on(e);
}

static void give_up(struct exchange *e)
{
    e->unwanted = true;
    if (e->stage == STAGE_CLIENT)
        leave(e);
    else if (e->stage == STAGE_WAITS)
        fail(e, "the client has gone");
}

static bool is_over(const struct exchange *e)
{
    return e->unwanted || e->stage == STAGE_CLEARS;
}

void exchange_stop(struct exchanges *x, uint64_t holder, uint64_t number)
{
    struct key key = {holder, number};
    struct exchange *e = map_get(x->by_key, key_str(&key));
    if (e)
        give_up(e);
}

void exchange_drop_holder(struct exchanges *x, uint64_t holder)
{
    struct exchange *e;
    do {
        for (e = x->first; e && (is_over(e) || e->key.holder != holder);)
            e = e->next;
        if (e)
            give_up(e);
    } while (e);
}

/* --- all --- */

/* EXTERNAL would prove us, not the client; channel binding (-PLUS, RFC 5802 section 6) needs both ends
 * of one TLS connection; DIGEST-MD5 and what GSS-API does prove something to the service that the client
 * speaks to (RFC 2831 section 2.1.2: "imap/host"), and ldap is another; PLAIN and LOGIN are offered in
 * any case. */
int exchange_check(const struct config_list *mechanisms, struct err *err)
{
    static const char *const never[] = {"EXTERNAL", "ANONYMOUS", "PLAIN",    "LOGIN",
                                        "DIGEST-MD5", "GSSAPI",  "GS2-KRB5", "GSS-SPNEGO"};
    for (size_t i = 0; i < mechanisms->n; i++) {
        struct str m = mechanisms->v[i];
        bool bad = m.n == 0 || m.n > 20 || str_ends(m, STR("-PLUS"));
        for (size_t k = 0; k < sizeof never / sizeof never[0]; k++)
            bad = bad || str_caseeq(m, str_from(never[k]));
        for (size_t k = 0; k < m.n; k++) /* RFC 4422 section 3.1 */
            bad = bad || !((m.p[k] >= 'A' && m.p[k] <= 'Z') || (m.p[k] >= '0' && m.p[k] <= '9') ||
                           m.p[k] == '-' || m.p[k] == '_');
        if (bad)
            return err_perm(err, "sasl_relay_mechanisms: %.*s cannot be relayed", STR_FMT(m));
    }
    return 0;
}

struct conns *exchange_conns(struct exchanges *x, struct dirset *set)
{
    static const struct conns_ops ops = {on_up, on_message, on_down, false};
    if (!x || set->cfg->sasl_relay_mechanisms.n == 0)
        return NULL;
    return conns_new(x->base, pools_opener(set->pools), &set->shared,
                     (size_t)set->cfg->ldap_sasl_connections, "sasl", &ops, x);
}

struct exchanges *exchanges_new(struct event_base *base)
{
    struct exchanges *x = MEM_NEW(struct exchanges);
    x->base = base;
    x->last = &x->first;
    x->by_key = map_new();
    x->pump = evtimer_new(base, on_pump, x);
    return x;
}

void exchanges_free(struct exchanges *x)
{
    if (!x)
        return;
    event_free(x->pump);
    x->pump = NULL;
    while (x->first) {
        if (x->first->conn)
            x->first->conn->under_way = NULL;
        destroy(x->first);
    }
    map_free(x->by_key, NULL);
    free(x);
}
