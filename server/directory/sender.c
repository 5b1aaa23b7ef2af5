/* Checking a sender address against a login. */
#include "directory/sender.h"
#include "directory/trace.h"

#include <stdlib.h>

/* As Postfix searches: the first of these keys that the map knows decides. */
enum { KEY_FULL, KEY_SHORT, KEY_DOMAIN, KEYS };

struct sender {
    struct dirset *set;
    struct arena *arena;
    struct name_address addr;
    struct str login, dn; /* dn in normal form; empty: not known */
    sender_fn fn;
    void *arg;
    size_t at; /* the key asked now */
    bool stale; /* some answer is from before an outage */
    struct lookup_want want;
};

static void end(struct sender *s, enum verdict verdict, const char *why)
{
    if (s->stale && verdict == VERDICT_NO)
        s->fn(s->arg, VERDICT_CANNOT_SAY, "what is known from before an outage does not suffice");
    else
        s->fn(s->arg, verdict, why);
    dirset_release(s->set);
    arena_free(s->arena);
    free(s);
}

static bool is_owner(const struct sender *s, size_t i)
{
    const struct ldapmap_entry *entry = lookup_entry(&s->want, i);
    if (str_caseeq(s->want.values[i].value, s->login))
        return true;
    return entry && s->dn.n && str_eq(name_dn(s->arena, entry->dn), s->dn);
}

static void ask_next(struct sender *s);

static void on_lookup(void *arg)
{
    struct sender *s = arg;
    if (s->want.answer == LDAPMAP_CANNOT_SAY) {
        end(s, VERDICT_CANNOT_SAY, s->want.why);
        return;
    }
    if (s->want.answer == LDAPMAP_NO) {
        s->at++;
        ask_next(s);
        return;
    }
    bool yes = false;
    for (size_t i = 0; i < s->want.count; i++) {
        yes = yes || is_owner(s, i);
        trace_decision(s->set->trace, "the address may be used by %.*s, which is %s%.*s",
                       STR_FMT(s->want.values[i].value), is_owner(s, i) ? "" : "not ",
                       STR_FMT(s->login));
    }
    end(s, yes ? VERDICT_YES : VERDICT_NO, yes ? "" : "the address belongs to somebody else");
}

static void ask_next(struct sender *s)
{
    const struct str keys[KEYS] = {s->addr.key, s->addr.short_key, s->addr.at_domain};
    while (s->at < KEYS && keys[s->at].n == 0)
        s->at++;
    if (s->at == KEYS) {
        end(s, VERDICT_NO, "the address belongs to nobody");
        return;
    }
    s->want = (struct lookup_want){.map = &s->set->sender_logins, .stale = &s->stale};
    lookup_run(s->set, s->arena, &s->want, 1, keys[s->at], NULL, on_lookup, s);
}

void sender_run(struct dirset *set, struct str address, struct str login, struct str dn,
                sender_fn fn, void *arg)
{
    struct sender *s = MEM_NEW(struct sender);
    struct err e;
    *s = (struct sender){.set = dirset_hold(set), .fn = fn, .arg = arg};
    s->arena = arena_new(2048);
    s->login = arena_str(s->arena, login);
    s->dn = name_dn(s->arena, dn);
    if (name_address_read(s->arena, &set->names, address, &s->addr, &e) != 0)
        end(s, VERDICT_NO, "not an address");
    else
        ask_next(s);
}
