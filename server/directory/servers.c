/* How the directory servers fare. */
#include "directory/servers.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <stdlib.h>

#define PAUSE_FIRST_MS 1000
#define PAUSE_LAST_MS 30000
#define SETTLED_MS 60000 /* one that was well for so long begins with the first pause again */

struct server {
    struct servers *table;
    struct server *next; /* in the order in which they became known */
    char *url;
    bool sick, probed;
    bool failing;           /* what it did last: not answer */
    uint64_t asked, failed; /* questions, and what came to nothing: questions and connections */
    int64_t pause; /* before the next probe, milliseconds */
    int64_t since; /* when it became sick or well */
    int64_t heard;
    struct event *timer;
};

struct servers {
    struct event_base *base;
    struct map *by_url;
    struct server *first, **last;
    struct servers_user *users;
    bool random;
};

/* --- the users --- */

void servers_join(struct servers *s, struct servers_user *u)
{
    u->next = s->users;
    u->at = &s->users;
    if (u->next)
        u->next->at = &u->next;
    s->users = u;
}

void servers_leave(struct servers_user *u)
{
    *u->at = u->next;
    if (u->next)
        u->next->at = u->at;
}

/* Its place in the settings, or their count. */
static size_t place_of(const struct ldapmap_conn_settings *settings, const char *url)
{
    size_t i = 0;
    while (i < settings->server_count && !str_eq(settings->servers[i], str_from(url)))
        i++;
    return i;
}

static bool concerns(const struct servers_user *u, const struct server *v)
{
    return u->settings->server_count > 1 && place_of(u->settings, v->url) < u->settings->server_count;
}

static void tell_change(const struct server *v)
{
    for (struct servers_user *u = v->table->users; u; u = u->next)
        if (concerns(u, v))
            u->changed(u);
}

/* --- sick and well --- */

static void schedule(struct server *v)
{
    struct timeval tv = {v->pause / 1000, (v->pause % 1000) * 1000};
    event_add(v->timer, &tv);
}

static void become_well(struct server *v)
{
    v->sick = v->probed = false;
    v->since = clock_mono_ms();
    event_del(v->timer);
    tell_change(v);
}

/* One of those who have connections there tries; when nobody has any more, its state is not known. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct server *v = arg;
    struct servers_user *u = v->table->users;
    (void)fd;
    (void)what;
    while (u && !concerns(u, v))
        u = u->next;
    if (!u) {
        become_well(v);
        return;
    }
    v->probed = true;
    u->probe(u, place_of(u->settings, v->url));
}

static void become_sick(struct server *v, const char *why)
{
    int64_t now = clock_mono_ms();
    if (now - v->since >= SETTLED_MS || v->pause == 0)
        v->pause = PAUSE_FIRST_MS;
    v->sick = true;
    v->since = now;
    log_warning("ldap-server", LZ("server", v->url), LZ("state", "sick"), LZ("why", why),
                LZ("meaning", "others are asked first until it answers again"));
    schedule(v);
    tell_change(v);
}

static void stay_sick(struct server *v)
{
    v->probed = false;
    v->pause = v->pause * 2 < PAUSE_LAST_MS ? v->pause * 2 : PAUSE_LAST_MS;
    schedule(v);
}

void servers_failed(struct servers *s, struct str url, const char *why)
{
    struct server *v = servers_find(s, url);
    if (!v->sick)
        become_sick(v, why);
    else if (v->probed)
        stay_sick(v);
}

void servers_answered(struct servers *s, struct str url)
{
    struct server *v = servers_find(s, url);
    int64_t now = clock_mono_ms();
    server_heard(v, now);
    if (!v->sick)
        return;
    log_info("ldap-server", LZ("server", v->url), LZ("state", "well"),
             LN("after_ms", now - v->since));
    become_well(v);
}

bool server_is_sick(const struct server *v)
{
    return v->sick;
}

void server_heard(struct server *v, int64_t now)
{
    v->heard = now;
    v->failing = false;
}

void server_asked(struct server *v)
{
    v->asked++;
}

void server_failed(struct server *v)
{
    v->failed++;
    v->failing = true;
}

int64_t server_last_heard(const struct server *v)
{
    return v->heard;
}

/* --- the order --- */

/* What a connection is led by when any server will do: the highest number wins, so that one which
 * goes leaves the order of the others as it was. */
static uint64_t lot(uint64_t number, struct str url)
{
    AUTO_BUF b = {0};
    buf_add(&b, &number, sizeof number);
    buf_str(&b, url);
    return map_hash(buf_view(&b));
}

void servers_order(struct servers *s, const struct ldapmap_conn_settings *settings,
                   uint64_t number, size_t order[LDAPMAP_SERVERS_MAX])
{
    uint64_t lots[LDAPMAP_SERVERS_MAX];
    bool sick[LDAPMAP_SERVERS_MAX];
    for (size_t i = 0; i < settings->server_count; i++) {
        lots[i] = s->random ? lot(number, settings->servers[i]) : 0;
        sick[i] = servers_find(s, settings->servers[i])->sick;
        size_t at = i;
        for (; at > 0; at--) {
            size_t before = order[at - 1];
            if (sick[before] == sick[i] ? lots[before] >= lots[i] : !sick[before])
                break;
            order[at] = before;
        }
        order[at] = i;
    }
}

/* --- telling --- */

static bool is_named(const struct server *v)
{
    const struct servers_user *u = v->table->users;
    while (u && place_of(u->settings, v->url) == u->settings->server_count)
        u = u->next;
    return u != NULL;
}

/* The time to the next probe in seconds, at least one; -1: none is due. */
static int64_t rest_of(const struct server *v)
{
    struct timeval at, now;
    if (!v->sick || !event_pending(v->timer, EV_TIMEOUT, &at))
        return -1;
    evutil_gettimeofday(&now, NULL);
    return at.tv_sec > now.tv_sec ? at.tv_sec - now.tv_sec : 1;
}

void servers_print(const struct servers *s, struct buf *out, size_t limit)
{
    for (const struct server *v = s->first; v; v = v->next) {
        const char *state = v->sick ? "resting" : v->failing ? "failing" : v->heard ? "well" : "new";
        int64_t rest = rest_of(v);
        AUTO_BUF line = {0};
        if (!is_named(v))
            continue;
        buf_printf(&line, "\nldap-server url=%s state=%s asked=%llu failed=%llu", v->url, state,
                   (unsigned long long)v->asked, (unsigned long long)v->failed);
        if (rest >= 0)
            buf_printf(&line, " rests_s=%lld", (long long)rest);
        if (out->n + line.n > limit)
            return;
        buf_str(out, buf_view(&line));
    }
}

/* --- the table --- */

struct server *servers_find(struct servers *s, struct str url)
{
    struct server *v = map_get(s->by_url, url);
    if (v)
        return v;
    v = MEM_NEW(struct server);
    v->table = s;
    v->url = mem_strdup(url);
    v->timer = evtimer_new(s->base, on_timer, v);
    *s->last = v;
    s->last = &v->next;
    map_put(s->by_url, url, v);
    return v;
}

void servers_set_random(struct servers *s, bool random)
{
    if (s->random == random)
        return;
    s->random = random;
    for (struct servers_user *u = s->users; u; u = u->next)
        u->changed(u);
}

struct servers *servers_new(struct event_base *base)
{
    struct servers *s = MEM_NEW(struct servers);
    s->base = base;
    s->by_url = map_new();
    s->last = &s->first;
    return s;
}

static void server_free(void *arg)
{
    struct server *v = arg;
    event_free(v->timer);
    free(v->url);
    free(v);
}

void servers_free(struct servers *s)
{
    map_free(s->by_url, server_free);
    free(s);
}
