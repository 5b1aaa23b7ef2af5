/* Relayed SASL exchanges, as smtp and access see them. */
#include "ipc/relayed.h"

#include <stdlib.h>

/* Those that carry a token, of whom there is a server to ask. */
static const struct str of_tokens[] = {{"OAUTHBEARER", 11}, {"XOAUTH2", 7}};
#define OF_TOKENS (sizeof of_tokens / sizeof of_tokens[0])

static size_t count(const struct config *cfg)
{
    return cfg->sasl_relay_mechanisms.n + (cfg->oauth2_introspection_url.n ? OF_TOKENS : 0);
}

static struct str name_of(const struct config *cfg, size_t i)
{
    const struct config_list *l = &cfg->sasl_relay_mechanisms;
    return i < l->n ? l->v[i] : of_tokens[i - l->n];
}

bool relayed_is(const struct config *cfg, struct str name)
{
    for (size_t i = 0; i < count(cfg); i++)
        if (str_caseeq(name_of(cfg, i), name))
            return true;
    return false;
}

void relayed_list(struct buf *out, const struct config *cfg, const char *before)
{
    for (size_t i = 0; i < count(cfg); i++)
        buf_printf(out, "%s%.*s", before, STR_FMT(name_of(cfg, i)));
}

struct msg relayed_ask(struct relayed *r, struct str mechanism, const struct str *said,
                       enum service service, const char *client)
{
    struct msg m = MSG_INIT(auth_step_ask);
    m.auth_step_ask.exchange = r->number;
    m.auth_step_ask.service = (uint8_t)service;
    if (!r->started)
        m.auth_step_ask.mechanism = mechanism;
    m.auth_step_ask.has_data = said != NULL;
    if (said)
        m.auth_step_ask.data = *said;
    m.auth_step_ask.client = str_from(client);
    r->started = true;
    return m;
}

enum relayed_next relayed_answer(struct relayed *r, const struct msg *m)
{
    if (!m)
        return RELAYED_OVER;
    const struct msg_auth_step_reply *a = &m->auth_step_reply;
    if (a->go_on)
        return RELAYED_CHALLENGE;
    r->number = 0;
    r->state = (enum auth_state)a->state;
    if (a->verdict == VERDICT_NO && a->data.n)
        return RELAYED_REFUSED;
    if (a->verdict != VERDICT_YES)
        return RELAYED_OVER;
    r->let_in = true;
    r->grant = a->grant;
    free(r->login);
    r->login = mem_strdup(a->login);
    /* RFC 4422 section 4.1: where the protocol has no place for data with success, it goes as a
     * challenge, which the client answers with nothing. */
    return a->data.n ? RELAYED_LAST : RELAYED_OVER;
}

struct msg relayed_end(struct relayed *r)
{
    struct msg stop = MSG_INIT(auth_stop), drop = MSG_INIT(grant_drop), nothing = {.fd = -1};
    stop.auth_stop.exchange = r->number;
    drop.grant_drop.grant = r->grant;
    bool under_way = r->number && r->started, let_in = r->let_in;
    free(r->login);
    *r = (struct relayed){0};
    return let_in ? drop : under_way ? stop : nothing;
}
