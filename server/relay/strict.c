/* The policies of domains, and how they are fetched. */
#include "relay/strict.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define KEPT_MAX 5000
#define FETCH_MS (60 * 1000)     /* RFC 8461 section 3.3 */
#define AGAIN_MS (5 * 60 * 1000) /* after a failure */
#define LOOK_MS (60 * 60 * 1000) /* is there a new id? */
/* Fetched anew though the id is the same (RFC 8461 section 3.3). */
#define OLD_MS (24 * 60 * 60 * 1000)

struct kept {
    enum sts_mode mode;
    struct str *mx;
    size_t mx_n;
};

/* One domain. */
struct entry {
    struct strict *strict;
    char domain[256];
    struct strict_wait *waits;
    /* what is known */
    struct arena *arena; /* of the policy; NULL: there is none */
    struct kept *policy;
    char id[33];
    int64_t fetched_ms, expires_ms, look_ms;
    /* under way */
    struct dns_ask *ask;
    struct web_ask *web;
    char new_id[33];
    struct buf addresses;
};

struct strict_wait {
    struct strict_wait *next, **link;
    strict_fn fn;
    void *arg;
};

struct strict {
    struct dns *dns;
    struct web *web;
    struct map *entries;
    struct buf authorities;
    strict_keep_fn keep;
    void *keep_arg;
};

static void entry_free(void *p)
{
    struct entry *e = p;
    dns_cancel(e->ask);
    web_cancel(e->web);
    while (e->waits)
        strict_cancel(e->waits);
    buf_free(&e->addresses);
    arena_free(e->arena);
    free(e);
}

void strict_cancel(struct strict_wait *w)
{
    if (!w)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    free(w);
}

static bool is_busy(const struct entry *e)
{
    return e->ask || e->web;
}

/* --- answers --- */

static void forget_old(struct entry *e)
{
    if (!e->policy || clock_mono_ms() < e->expires_ms)
        return;
    arena_free(e->arena);
    e->arena = NULL;
    e->policy = NULL;
    e->id[0] = '\0';
}

static void tell(const struct entry *e, strict_fn fn, void *arg)
{
    if (e->policy)
        fn(arg, e->policy->mode, e->policy->mx, e->policy->mx_n);
    else
        fn(arg, STS_NONE, NULL, 0);
}

/* Whoever is told may start others, which must find the entry at rest. */
static void end(struct entry *e, int64_t look_in_ms)
{
    e->look_ms = clock_mono_ms() + look_in_ms;
    forget_old(e);
    while (e->waits) {
        struct strict_wait *w = e->waits;
        strict_fn fn = w->fn;
        void *arg = w->arg;
        strict_cancel(w);
        tell(e, fn, arg);
    }
}

static void failed(struct entry *e, const char *what, const char *why)
{
    log_warning("mta-sts", LZ("domain", e->domain), LZ("what", what), LZ("why", why),
                LZ("meaning", e->policy ? "the policy of before holds" : "there is no policy"));
    end(e, AGAIN_MS);
}

/* --- the policy's text --- */

/* No more than is used of it: the text may be long. */
static void take(struct entry *e, const struct sts_policy *p)
{
    arena_free(e->arena);
    e->arena = arena_new(64);
    e->policy = ARENA_NEW(e->arena, struct kept);
    *e->policy = (struct kept){p->mode, arena_array(e->arena, p->mx_n + 1, sizeof(struct str)), p->mx_n};
    for (size_t i = 0; i < p->mx_n; i++)
        e->policy->mx[i] = arena_str(e->arena, p->mx[i]);
}

/* Clocks: what is told outside is real time, which may jump; what counts here does not. */
static void tell_keeper(const struct entry *e)
{
    AUTO_BUF mx = {0};
    int64_t shift = clock_real_us() / 1000 - clock_mono_ms();
    for (size_t i = 0; i < e->policy->mx_n; i++)
        buf_printf(&mx, "%s%.*s", i ? " " : "", STR_FMT(e->policy->mx[i]));
    struct msg_sts_policy m = {.domain = str_from(e->domain), .policy_id = str_from(e->id),
                               .mode = (uint8_t)e->policy->mode, .mx = buf_view(&mx),
                               .fetched_ms = (uint64_t)(e->fetched_ms + shift),
                               .expires_ms = (uint64_t)(e->expires_ms + shift)};
    if (e->strict->keep)
        e->strict->keep(e->strict->keep_arg, &m);
}

static void keep(struct entry *e, struct str text)
{
    struct err err = {0};
    struct sts_policy p;
    if (sts_policy_parse(text, &p, &err) != 0) {
        failed(e, "the policy", err.log);
        return;
    }
    take(e, &p);
    memcpy(e->id, e->new_id, sizeof e->id);
    e->fetched_ms = clock_mono_ms();
    e->expires_ms = e->fetched_ms + p.max_age_s * 1000;
    tell_keeper(e);
    log_info("mta-sts", LZ("domain", e->domain), LZ("id", e->id), LN("mode", p.mode),
             LN("mx", p.mx_n), LN("max_age_s", p.max_age_s));
    end(e, p.max_age_s * 1000 < LOOK_MS ? p.max_age_s * 1000 : LOOK_MS);
}

/* With or without parameters behind it. */
static bool is_text_plain(const char *type)
{
    struct str rest = str_from(type), name = {0};
    return str_token(&rest, ";", &name) && str_caseeq(str_trim(name), STR("text/plain"));
}

static void on_page(void *arg, const struct web_answer *w)
{
    struct entry *e = arg;
    char status[64];
    snprintf(status, sizeof status, "the web server answered %ld", w->status);
    e->web = NULL;
    if (w->why || w->status != 200)
        failed(e, "fetching the policy", w->why ? w->why : status);
    else if (!is_text_plain(w->type))
        failed(e, "fetching the policy", "it is not text/plain");
    else
        keep(e, w->body);
}

static void fetch(struct entry *e)
{
    AUTO_BUF host = {0}, url = {0};
    buf_printf(&host, "mta-sts.%s", e->domain);
    buf_printf(&url, "https://%s/.well-known/mta-sts.txt", buf_z(&host));
    struct web_request r = {.url = buf_z(&url), .host = buf_view(&host), .port = 443, .fd = -1,
                            .addresses = buf_view(&e->addresses),
                            .authorities = buf_view(&e->strict->authorities),
                            .size_max = STS_TEXT_MAX, .timeout_ms = FETCH_MS};
    e->web = web_start(e->strict->web, &r, on_page, e);
}

/* --- addresses of its web server --- */

static void add_addresses(struct entry *e, const struct dns_answer *a, int family)
{
    char text[INET6_ADDRSTRLEN];
    size_t size = family == AF_INET ? 4 : 16;
    for (size_t i = 0; i < a->n && i < 10; i++)
        if (a->data[i].n == size && inet_ntop(family, a->data[i].p, text, sizeof text))
            buf_printf(&e->addresses, "%s%s%s%s", e->addresses.n ? "," : "", size == 16 ? "[" : "",
                       text, size == 16 ? "]" : "");
}

static void on_a(void *arg, const struct dns_answer *a)
{
    struct entry *e = arg;
    e->ask = NULL;
    add_addresses(e, a, AF_INET);
    if (e->addresses.n)
        fetch(e);
    else
        failed(e, "the address of its web server",
               a->status == DNS_CANNOT_SAY ? a->why : "there is none");
}

static void ask_addresses(struct entry *e, enum dns_type type, dns_fn fn)
{
    AUTO_BUF name = {0};
    buf_printf(&name, "mta-sts.%s", e->domain);
    e->ask = dns_start(e->strict->dns, buf_view(&name), type, fn, e);
}

static void on_aaaa(void *arg, const struct dns_answer *a)
{
    struct entry *e = arg;
    add_addresses(e, a, AF_INET6);
    ask_addresses(e, DNS_A, on_a);
}

/* --- the record --- */

/* Exactly one record counts (RFC 8461 section 3.1); "" else. */
static void read_id(const struct dns_answer *a, char out[33])
{
    AUTO_BUF room = {0};
    struct str id;
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < a->n; i++)
        if (sts_record_read(a->data[i], &room, &id) && n++ == 0)
            snprintf(out, 33, "%.*s", STR_FMT(id));
    if (n != 1)
        out[0] = '\0';
}

static void on_record(void *arg, const struct dns_answer *a)
{
    struct entry *e = arg;
    e->ask = NULL;
    forget_old(e);
    if (a->status == DNS_CANNOT_SAY) {
        failed(e, "the TXT record", a->why);
        return;
    }
    read_id(a, e->new_id);
    bool same = e->policy && strcmp(e->id, e->new_id) == 0 &&
                clock_mono_ms() - e->fetched_ms < OLD_MS;
    if (e->new_id[0] == '\0' || same) {
        end(e, e->policy ? LOOK_MS : AGAIN_MS);
        return;
    }
    buf_clear(&e->addresses);
    ask_addresses(e, DNS_AAAA, on_aaaa);
}

/* --- asking --- */

/* Room for one more: somebody at rest goes, without a policy if there is such a one. */
static void make_room(struct strict *s)
{
    struct str key;
    void *value;
    struct entry *out = NULL;
    size_t at = 0;
    while (map_count(s->entries) >= KEPT_MAX && map_next(s->entries, &at, &key, &value)) {
        struct entry *e = value;
        if (is_busy(e) || (out && (out->policy == NULL || e->policy)))
            continue;
        out = e;
    }
    if (!out)
        return;
    map_take(s->entries, str_from(out->domain));
    entry_free(out);
}

static struct entry *entry_get(struct strict *s, struct str domain)
{
    struct entry *e = map_get(s->entries, domain);
    if (e)
        return e;
    make_room(s);
    e = MEM_NEW(struct entry);
    e->strict = s;
    snprintf(e->domain, sizeof e->domain, "%.*s", STR_FMT(domain));
    map_put(s->entries, domain, e);
    return e;
}

static void wait_for(struct entry *e, strict_fn fn, void *arg, struct strict_wait **wait)
{
    struct strict_wait *w = MEM_NEW(struct strict_wait);
    *w = (struct strict_wait){.next = e->waits, .link = &e->waits, .fn = fn, .arg = arg};
    if (w->next)
        w->next->link = &w->next;
    e->waits = w;
    *wait = w;
}

void strict_start(struct strict *s, struct str domain, strict_fn fn, void *arg,
                  struct strict_wait **wait)
{
    AUTO_BUF name = {0};
    if (domain.n == 0 || domain.n > 240 || domain.p[0] == '[') {
        fn(arg, STS_NONE, NULL, 0);
        return;
    }
    struct entry *e = entry_get(s, domain);
    forget_old(e);
    if (!is_busy(e) && e->look_ms > clock_mono_ms()) {
        tell(e, fn, arg);
        return;
    }
    wait_for(e, fn, arg, wait);
    if (is_busy(e))
        return;
    buf_printf(&name, "_mta-sts.%.*s", STR_FMT(domain));
    e->ask = dns_start(s->dns, buf_view(&name), DNS_TXT, on_record, e);
}

void strict_doubt(struct strict *s, struct str domain)
{
    struct entry *e = map_get(s->entries, domain);
    if (e)
        e->look_ms = 0;
}

void strict_on_fetched(struct strict *s, strict_keep_fn fn, void *arg)
{
    s->keep = fn;
    s->keep_arg = arg;
}

/* Its record is looked at before its first use here; a clock that was set back lengthens nothing. */
void strict_restore(struct strict *s, const struct msg_sts_policy *m)
{
    int64_t now = clock_real_us() / 1000, end_ms = (int64_t)m->expires_ms;
    int64_t begun_ms = (int64_t)m->fetched_ms, left = end_ms - now, age = now - begun_ms;
    struct sts_policy p = {.mode = (enum sts_mode)m->mode};
    struct str rest = m->mx, one;
    if (begun_ms < 0 || end_ms < begun_ms || left <= 0 || m->mode > STS_ENFORCE || m->domain.n == 0)
        return;
    struct entry *e = entry_get(s, m->domain);
    if (e->policy)
        return;
    if (age < 0) {
        age = OLD_MS;
        left = end_ms - begun_ms;
    }
    while (p.mx_n < STS_MX_MAX && str_token(&rest, " ", &one))
        p.mx[p.mx_n++] = one;
    take(e, &p);
    snprintf(e->id, sizeof e->id, "%.*s", STR_FMT(m->policy_id));
    e->fetched_ms = clock_mono_ms() - age;
    e->expires_ms = clock_mono_ms() + left;
    e->look_ms = 0;
}

void strict_trust(struct strict *s, struct str authorities)
{
    buf_clear(&s->authorities);
    buf_str(&s->authorities, authorities);
}

struct strict *strict_new(struct event_base *base, struct dns *dns)
{
    struct strict *s = MEM_NEW(struct strict);
    s->dns = dns;
    s->web = web_new(base);
    s->entries = map_new();
    return s;
}

void strict_free(struct strict *s)
{
    if (!s)
        return;
    map_free(s->entries, entry_free);
    web_free(s->web);
    buf_free(&s->authorities);
    free(s);
}
