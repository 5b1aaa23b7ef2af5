/*
 * Connections to milters, policy servers and the introspection server, begun for the filter program,
 * which can make no socket: so it reaches the places that the configuration names and no others, and needs no file system for
 * Unix sockets, whose directories come and go with their servers. They are made as that program's
 * user.
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

static bool introspects(const struct config *c, struct str place)
{
    AUTO_ARENA a = arena_new(512);
    struct config_introspection server;
    if (c->oauth2_introspection_url.n == 0 || config_introspection_read(c, a, &server, NULL) != 0)
        return false;
    for (size_t i = 0; i < server.places; i++)
        if (str_eq(server.place[i], place))
            return true;
    return false;
}

static int make(const struct master *m, struct str place, struct err *e)
{
    struct config_endpoint at;
    const struct config *c = m->now->cfg;
    if (!is_named(&c->smtpd_milters, place) && !rule_names_policy(c, place) &&
        !introspects(c, place))
        return err_perm(e, "the configuration does not name it");
    if (config_endpoint_parse(place, &at, e) != 0)
        return -1;
    return begin_as_filter(m, &at, e);
}

void connect_for(struct child *c, const struct msg_connect_ask *ask)
{
    struct err e = {0};
    struct msg m = MSG_INIT(connect_reply);
    AUTO_FD fd = make(c->m, ask->place, &e);
    m.fd = fd >= 0 ? fd : c->m->null_fd;
    m.connect_reply.id = ask->id;
    m.connect_reply.verdict = fd >= 0 ? VERDICT_YES : VERDICT_CANNOT_SAY;
    m.connect_reply.text = str_head(str_from(e.log), 250);
    child_send(c, &m);
}
