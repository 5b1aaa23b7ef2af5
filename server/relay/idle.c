/* Connections that wait for the next message to the same server. */
#include "relay/relay.h"

#define IDLE_MAX 200

/* The same address, port, name and TLS level, and where a certificate was checked or a password said,
 * for the same destination. */
struct str idle_key(const struct job *j, const struct place *p, struct arena *a)
{
    bool by_destination = j->level >= TLS_VERIFY || j->login.n;
    struct str destination = by_destination ? j->destination : (struct str){"", 0};
    return arena_printf(a, "%s %u %d %d %.*s %.*s", p->addr.text, p->addr.port, j->lmtp, j->level, 
                        STR_FMT(p->host), STR_FMT(destination));
}

void idle_put(struct client *c)
{
    struct relay *r = c->relay;
    int64_t wait = c->settings->cfg->smtp_connection_cache_time_limit;
    c->job = NULL;
    /* Words out of turn would be taken for the answer to the next command. */
    if (wait == 0 || conn_in(c->conn).n || r->stopping || r->idle_count >= IDLE_MAX) {
        client_quit(c);
        return;
    }
    c->step = STEP_IDLE;
    c->next = r->idle;
    c->link = &r->idle;
    if (c->next)
        c->next->link = &c->next;
    r->idle = c;
    r->idle_count++;
    client_deadline(c, wait);
}

void idle_forget(struct client *c)
{
    if (!c->link)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
    c->next = NULL;
    if (c->step == STEP_IDLE)
        c->relay->idle_count--;
}

/* Those made under other settings end by themselves. */
struct client *idle_take(struct relay *r, struct str key)
{
    for (struct client *c = r->idle; c; c = c->next) {
        if (!str_eq(c->key, key) || c->settings != r->settings)
            continue;
        idle_forget(c);
        return c;
    }
    return NULL;
}

void idle_end_all(struct relay *r)
{
    while (r->idle)
        client_free(r->idle);
    while (r->quitting)
        client_free(r->quitting);
}
