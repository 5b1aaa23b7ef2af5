/* A pool of connections that log users in. */
#include "directory/binder.h"
#include "directory/errands.h"

#include <stdlib.h>

#define WAITING_MAX 1000

struct op {
    struct errand errand;
    struct binder *b;
    char *dn;
    struct secret password;
    binder_fn fn;
    void *arg;
    struct bind_result result;
};

struct binder {
    struct errands *errands;
    uint64_t refused, failed;
};

static void on_discard(struct errand *e)
{
    struct op *o = (struct op *)e;
    secret_free(&o->password);
    free(o->dn);
    free(o);
}

static void set_result(struct op *o, const struct bind_result *r)
{
    secret_free(&o->password);
    o->result = *r;
    o->b->refused += r->verdict == VERDICT_NO;
    o->b->failed += r->verdict == VERDICT_CANNOT_SAY;
}

static void on_failed(struct errand *e, int code, const char *why)
{
    if (!*why)
        why = ldap_err2string(code);
    set_result((struct op *)e, &(struct bind_result){.verdict = VERDICT_CANNOT_SAY, .why = why});
}

static void on_deliver(struct errand *e)
{
    struct op *o = (struct op *)e;
    o->fn(o->arg, &o->result);
    on_discard(e);
}

static int on_send(struct errand *e, LDAP *ld, int *msgid)
{
    struct op *o = (struct op *)e;
    struct berval password = {o->password.n, o->password.p};
    LDAPControl policy = bind_result_control, *controls[] = {&policy, NULL};
    return ldap_sasl_bind(ld, o->dn, LDAP_SASL_SIMPLE, &password, controls, NULL, msgid);
}

static void on_again(struct errand *e)
{
    (void)e; /* an answer is one message */
}

static void on_message(struct errand *e, LDAPMessage *m)
{
    if (ldap_msgtype(m) != LDAP_RES_BIND)
        return;
    struct bind_result r = bind_result_read(e->conn->ld, m);
    set_result((struct op *)e, &r);
    errands_end(e);
}

struct binder *binder_new(struct event_base *base, struct opener *opener,
                          const struct ldapmap_conn_settings *settings, size_t connections)
{
    static const struct errand_ops ops = {.what = "bind",
                                          .per_connection = 1,
                                          .waiting_max = WAITING_MAX,
                                          .abandons = false,
                                          .send = on_send,
                                          .message = on_message,
                                          .again = on_again,
                                          .failed = on_failed,
                                          .deliver = on_deliver,
                                          .discard = on_discard};
    struct binder *b = MEM_NEW(struct binder);
    b->errands = errands_new(base, opener, settings, connections, &ops);
    return b;
}

void binder_free(struct binder *b)
{
    if (!b)
        return;
    errands_free(b->errands);
    free(b);
}

const struct ldapmap_conn_settings *binder_settings(const struct binder *b)
{
    return errands_settings(b->errands);
}

void binder_run(struct binder *b, struct str dn, struct secret *password, binder_fn fn, void *arg)
{
    struct op *o = MEM_NEW(struct op);
    *o = (struct op){.b = b, .dn = mem_strdup(dn), .password = *password, .fn = fn, .arg = arg};
    *password = (struct secret){0};
    if (o->password.n && dn.n) {
        errands_start(b->errands, &o->errand);
        return;
    }
    set_result(o, &(struct bind_result){.verdict = VERDICT_NO, .why = "an empty password or name"});
    errands_skip(b->errands, &o->errand);
}

void binder_counts(const struct binder *b, struct binder_counts *out)
{
    struct errands_counts c;
    errands_counts(b->errands, &c);
    *out = (struct binder_counts){c.connections, c.up,      c.waiting, c.under_way,
                                  c.sent,        b->refused, b->failed};
}
