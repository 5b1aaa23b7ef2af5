/* Access tables. */
#include "directory/access.h"
#include "config/rules.h"
#include "ipc/message.h"
#include "mail/address.h"

struct access_table {
    struct access_table *next;
    struct str text;
    struct dirmap map;
};

static const struct access_table *find_table(const struct dirset *s, struct str text)
{
    for (const struct access_table *t = s->access; t; t = t->next)
        if (str_eq(t->text, text))
            return t;
    return NULL;
}

static int read_list(struct dirset *s, const char *option, struct str value,
                     const struct bundle *b, struct err *e)
{
    struct rule_step step;
    while (rule_next(&value, &step)) {
        if (step.rule < RULE_CHECK_CLIENT || step.rule > RULE_CHECK_RECIPIENT ||
            find_table(s, step.argument))
            continue;
        struct access_table *t = ARENA_NEW(s->arena, struct access_table);
        *t = (struct access_table){.next = s->access, .text = arena_str(s->arena, step.argument)};
        s->access = t;
        if (dirset_read_map(s, &t->map, option, step.argument, b, e) != 0)
            return -1;
    }
    return 0;
}

int access_read(struct dirset *s, const struct bundle *b, struct err *e)
{
#define READ(option)                                                                               \
    if (read_list(s, #option, s->cfg->option, b, e) != 0)                                          \
        return -1;
    READ(smtpd_client_restrictions)
    READ(smtpd_helo_restrictions)
    READ(smtpd_sender_restrictions)
    READ(smtpd_relay_restrictions)
    READ(smtpd_recipient_restrictions)
#undef READ
    return 0;
}

void access_free(struct dirset *s)
{
    for (struct access_table *t = s->access; t; t = t->next)
        dirset_free_map(s, &t->map);
    s->access = NULL;
}

/* --- keys --- */

struct keys {
    struct str v[FIND_KEYS_MAX];
    size_t n;
};

static void add(struct keys *k, struct str key)
{
    if (key.n && k->n < FIND_KEYS_MAX)
        k->v[k->n++] = key;
}

/* The address, and the networks that are left when numbers are taken from its end. */
static void add_client(struct keys *k, struct str address)
{
    char mark = str_find(address, ':') >= 0 ? ':' : '.';
    ptrdiff_t cut = 0;
    while (cut >= 0) {
        add(k, address);
        cut = str_rfind(address, mark);
        address = str_head(address, cut < 0 ? 0 : (size_t)cut);
    }
}

/* A domain, and those above it (parent_domain_matches_subdomains). */
static void add_domain(struct keys *k, struct str domain)
{
    ptrdiff_t dot = 0;
    while (dot >= 0) {
        add(k, domain);
        dot = str_find(domain, '.');
        domain = str_skip(domain, (size_t)dot + 1);
    }
}

static void add_address(struct keys *k, const struct name_address *a)
{
    add(k, a->key);
    add(k, a->short_key);
    add_domain(k, a->domain);
    add(k, str_head(a->key, a->key.n - a->domain.n));
    if (a->short_key.n)
        add(k, str_head(a->short_key, a->short_key.n - a->domain.n));
}

void access_run(struct dirset *s, struct arena *a, struct str table, unsigned kind,
                struct str subject, find_fn fn, void *arg)
{
    struct keys k = {.n = 0};
    struct name_address addr;
    struct err e = {0};
    const struct access_table *t = find_table(s, table);
    struct find_result unknown = {.answer = LDAPMAP_CANNOT_SAY,
                                  .why = "no restriction names this table"};
    if (!t) {
        fn(arg, &unknown);
        return;
    }
    subject = mail_fold_case(a, subject);
    if (kind == ACCESS_CLIENT)
        add_client(&k, subject);
    else if (kind == ACCESS_DOMAIN)
        add_domain(&k, subject);
    else if (name_address_read(a, &s->names, subject, &addr, &e) == 0)
        add_address(&k, &addr);
    else
        add(&k, subject);
    find_keys(s, a, &t->map, k.v, k.n, fn, arg);
}
