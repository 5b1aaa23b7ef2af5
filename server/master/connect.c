/*
 * Connections to milters, policy servers and the introspection server, begun for the filter program,
 * which can make no socket: so it reaches the places that the configuration names and no others, and
 * needs no file system for Unix sockets, whose directories come and go with their servers. They are
 * made as that program's user. The introspection server may be named by its host's name: the relay
 * program asks the DNS for its addresses.
 */
#include "confine/confine.h"
#include "config/endpoint.h"
#include "config/introspection.h"
#include "config/rules.h"
#include "master/master.h"

#include <errno.h>
#include <stdlib.h>

static bool is_named(const struct config_list *list, struct str place)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i], place))
            return true;
    return false;
}

void milters_check(const struct material *m, struct findings *f)
{
    const struct config_list *list = &m->cfg->smtpd_milters;
    struct config_endpoint at;
    struct err e = {0};
    for (size_t i = 0; i < list->n; i++)
        if (config_endpoint_parse(list->v[i], &at, &e) != 0)
            finding_error(f, "smtpd_milters: %s", e.log);
    struct str action = m->cfg->smtpd_policy_service_default_action;
    if (!rule_is_action(action))
        finding_error(f, "smtpd_policy_service_default_action: \"%.*s\" is no action that is known "
                         "here", STR_FMT(str_head(action, 100)));
}

static int begin(const struct config_endpoint *at, struct err *e)
{
    AUTO_FD fd = socket(at->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || (connect(fd, (const struct sockaddr *)&at->sa, at->length) != 0 &&
                   errno != EINPROGRESS)) {
        err_temp(e, "%s", strerror(errno));
        return -1;
    }
    int r = fd;
    fd = -1;
    return r;
}

static int begin_as_filter(const struct master *m, const struct config_endpoint *at, struct err *e)
{
    const struct material *mat = m->now;
    const struct identity *id = &mat->user[KIND_FILTER];
    struct err back = {0};
    if (!mat->own_uids)
        return begin(at, e);
    int fd = -1;
    if (confine_act_as_member(id->uid, id->gid, mat->filter_groups,
                              (size_t)mat->filter_group_count, e) == 0)
        fd = begin(at, e);
    if (confine_act_back(&back) != 0) {
        log_error("connect", LZ("why", back.log));
        abort();
    }
    return fd;
}

/* True: *out is the server, and what it has lies in the arena. */
static bool introspects(const struct config *c, struct str place, struct arena *a,
                        struct config_introspection *out)
{
    if (c->oauth2_introspection_url.n == 0 || config_introspection_read(c, a, out, NULL) != 0)
        return false;
    for (size_t i = 0; i < out->places; i++)
        if (str_eq(out->place[i], place))
            return true;
    return false;
}

static void answer(struct child *c, uint64_t id, int fd, enum verdict otherwise, const char *why)
{
    struct msg m = MSG_INIT(connect_reply);
    m.fd = fd >= 0 ? fd : c->m->null_fd;
    m.connect_reply.id = id;
    m.connect_reply.verdict = (uint8_t)(fd >= 0 ? VERDICT_YES : otherwise);
    m.connect_reply.text = str_head(str_from(why), 250);
    child_send(c, &m);
}

static void connect_to(struct child *c, uint64_t id, struct str place)
{
    struct err e = {0};
    struct config_endpoint at;
    AUTO_FD fd = -1;
    if (config_endpoint_parse(place, &at, &e) == 0)
        fd = begin_as_filter(c->m, &at, &e);
    answer(c, id, fd, VERDICT_CANNOT_SAY, e.log);
}

/* --- by name --- */

#define NAMES_MAX 1000 /* the filter program asks for less at a time */

/* The relay is asked for the addresses of a name. */
struct connect_name {
    struct connect_name *next;
    struct child *asker;
    uint64_t dns_id, id;
    unsigned turn;
    uint16_t port;
};

static struct child *relay_of(struct master *m)
{
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].kind == KIND_RELAY && m->child[i].state == CHILD_READY)
            return &m->child[i];
    return NULL;
}

static void ask_name(struct child *c, const struct msg_connect_ask *ask, struct str host,
                     uint16_t port)
{
    struct master *m = c->m;
    struct child *relay = relay_of(m);
    struct msg msg = MSG_INIT(dns_ask);
    msg.dns_ask.id = ++m->last_dns;
    msg.dns_ask.kind = DNS_ASK_ADDRESSES;
    msg.dns_ask.name = host;
    if (m->names_n >= NAMES_MAX || !relay || !child_send(relay, &msg)) {
        answer(c, ask->id, -1, VERDICT_NO, "nobody can be asked for its addresses now");
        return;
    }
    struct connect_name *n = MEM_NEW(struct connect_name);
    *n = (struct connect_name){m->names, c, m->last_dns, ask->id, ask->turn, port};
    m->names = n;
    m->names_n++;
}

/* The first of them: that question alone, or any (dns_id 0), of an asker or of all (NULL). */
static struct connect_name *take_name(struct master *m, uint64_t dns_id, const struct child *asker)
{
    struct connect_name **at = &m->names;
    while (*at && ((dns_id && (*at)->dns_id != dns_id) || (asker && (*at)->asker != asker)))
        at = &(*at)->next;
    struct connect_name *n = *at;
    if (n) {
        *at = n->next;
        m->names_n--;
    }
    return n;
}

/* The address whose turn it is, as a place; an empty one: there are no more. */
static struct str place_of(const struct connect_name *n, struct str addresses, struct arena *a)
{
    struct str word = {0};
    for (unsigned i = 0; i <= n->turn; i++)
        if (!str_token(&addresses, " ", &word))
            return (struct str){0};
    bool is_v6 = str_find(word, ':') >= 0;
    return arena_printf(a, "inet:%s%.*s%s:%u", is_v6 ? "[" : "", STR_FMT(word), is_v6 ? "]" : "",
                        n->port);
}

void connect_named(struct master *m, const struct msg_dns_reply *reply)
{
    AUTO_ARENA a = arena_new(512);
    AUTO_FREE struct connect_name *n = take_name(m, reply->id, NULL);
    if (!n)
        return;
    struct str place = place_of(n, reply->values, a);
    AUTO_FREE char *why = mem_strdup(reply->text);
    if (reply->verdict != VERDICT_YES)
        answer(n->asker, n->id, -1, VERDICT_NO, why);
    else if (place.n == 0)
        answer(n->asker, n->id, -1, VERDICT_NO, "it has no more addresses");
    else
        connect_to(n->asker, n->id, place);
}

void connect_child_gone(struct master *m, const struct child *c)
{
    const struct child *asker = c->kind == KIND_FILTER ? c : NULL;
    struct connect_name *n;
    if (c->kind != KIND_RELAY && c->kind != KIND_FILTER)
        return;
    while ((n = take_name(m, 0, asker))) {
        if (!asker)
            answer(n->asker, n->id, -1, VERDICT_NO, "the relay program ended");
        free(n);
    }
}

/* --- the question --- */

void connect_for(struct child *c, const struct msg_connect_ask *ask)
{
    const struct config *cfg = c->m->now->cfg;
    AUTO_ARENA a = arena_new(512);
    struct config_introspection server = {.places = 0};
    bool introspection = introspects(cfg, ask->place, a, &server);
    if (introspection && server.by_name)
        ask_name(c, ask, server.host, server.port);
    else if (introspection || is_named(&cfg->smtpd_milters, ask->place) ||
             rule_names_policy(cfg, ask->place))
        connect_to(c, ask->id, ask->place);
    else
        answer(c, ask->id, -1, VERDICT_CANNOT_SAY, "the configuration does not name it");
}
