/* Many searches over a few connections. */
#include "directory/search.h"
#include "directory/errands.h"

#include <stdlib.h>

#define PER_CONNECTION 128
#define WAITING_MAX 10000
#define ENTRIES_MAX 100000
#define BYTES_MAX ((size_t)32 << 20)

struct op {
    struct errand errand;
    struct searcher *s;
    struct arena *arena;
    struct ldapmap_search what;
    search_fn fn;
    void *arg;
    size_t used_before, cap;
    struct str elsewhere; /* a server that has part of the answer; empty: none */
    struct search_result result;
};

struct searcher {
    struct errands *errands;
    uint64_t failed;
};

/* --- the end of a search --- */

static void set_result(struct op *o, int code, struct str diagnostic)
{
    o->result.code = code;
    o->result.diagnostic = arena_str(o->arena, str_head(diagnostic, 400));
    if (code != LDAP_SUCCESS && code != LDAP_SIZELIMIT_EXCEEDED)
        o->s->failed++;
}

static void finish(struct op *o, int code, struct str diagnostic)
{
    o->result.server = arena_str(o->arena, str_from(o->errand.conn->server));
    set_result(o, code, diagnostic);
    errands_end(&o->errand);
}

static void on_failed(struct errand *e, int code, const char *why)
{
    set_result((struct op *)e, code, str_from(why));
}

static void on_deliver(struct errand *e)
{
    struct op *o = (struct op *)e;
    o->fn(o->arg, &o->result);
    free(o);
}

static void on_discard(struct errand *e)
{
    free((struct op *)e);
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

static int on_send(struct errand *e, LDAP *ld, int *msgid)
{
    return ldapmap_conn_search(ld, &((struct op *)e)->what, msgid);
}

static void on_again(struct errand *e)
{
    struct op *o = (struct op *)e;
    o->result = (struct search_result){0};
    o->elsewhere = (struct str){0};
    o->cap = 0;
}

static void on_message(struct errand *e, LDAPMessage *m)
{
    struct op *o = (struct op *)e;
    LDAP *ld = e->conn->ld;
    if (ldap_msgtype(m) == LDAP_RES_SEARCH_ENTRY) {
        int code = take_entry(o, ld, m);
        if (code != LDAP_SUCCESS) {
            ldap_abandon_ext(ld, e->msgid, NULL, NULL);
            finish(o, code, STR("an answer too large, or one that cannot be read"));
        }
    } else if (ldap_msgtype(m) == LDAP_RES_SEARCH_REFERENCE) {
        take_reference(o, ld, m);
    } else if (ldap_msgtype(m) == LDAP_RES_SEARCH_RESULT) {
        take_end(o, ld, m);
    }
}

/* --- the searcher --- */

struct searcher *searcher_new(struct event_base *base, struct opener *opener,
                              const struct ldapmap_conn_settings *settings, size_t connections)
{
    static const struct errand_ops ops = {.what = "search",
                                          .per_connection = PER_CONNECTION,
                                          .waiting_max = WAITING_MAX,
                                          .abandons = true,
                                          .send = on_send,
                                          .message = on_message,
                                          .again = on_again,
                                          .failed = on_failed,
                                          .deliver = on_deliver,
                                          .discard = on_discard};
    struct searcher *s = MEM_NEW(struct searcher);
    s->errands = errands_new(base, opener, settings, connections, &ops);
    return s;
}

void searcher_free(struct searcher *s)
{
    if (!s)
        return;
    errands_free(s->errands);
    free(s);
}

const struct ldapmap_conn_settings *searcher_settings(const struct searcher *s)
{
    return errands_settings(s->errands);
}

void search_run(struct searcher *s, struct arena *a, const struct ldapmap_search *what,
                search_fn fn, void *arg)
{
    struct op *o = MEM_NEW(struct op);
    *o = (struct op){.s = s, .arena = a, .what = *what, .fn = fn, .arg = arg,
                     .used_before = arena_used(a)};
    errands_start(s->errands, &o->errand);
}

void searcher_counts(const struct searcher *s, struct searcher_counts *out)
{
    struct errands_counts c;
    errands_counts(s->errands, &c);
    *out = (struct searcher_counts){c.connections, c.up, c.waiting, c.under_way, c.sent, s->failed};
}
