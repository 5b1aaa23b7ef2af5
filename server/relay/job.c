/*
 * A job: one transaction that the queue wants done. What a server said about a recipient for good is
 * kept; what was refused for now is tried at the next address, until there is none or enough were
 * tried (RFC 5321 section 5.1).
 */
#include "base/log.h"
#include "protocol/smtp/dsn.h"
#include "relay/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void trouble_set(struct trouble *t, bool permanent, const char *status, const char *server,
                 const char *fmt, ...)
{
    va_list ap;
    t->permanent = permanent;
    t->status = status;
    snprintf(t->server, sizeof t->server, "%s", server);
    va_start(ap, fmt);
    vsnprintf(t->text, sizeof t->text, fmt, ap);
    va_end(ap);
}

/* --- the end --- */

void job_free(struct job *j)
{
    dns_cancel(j->ask);
    keys_cancel(j->asking);
    strict_cancel(j->waiting);
    secret_free(&j->login);
    client_free(j->client);
    *j->link = j->next;
    if (j->next)
        j->next->link = j->link;
    fd_closep(&j->fd);
    settings_drop(j->settings);
    arena_free(j->arena);
    free(j);
}

static void send_fate(struct job *j, size_t i)
{
    const struct recipient *r = &j->rcpt[i];
    struct msg m = MSG_INIT(relay_reply);
    m.relay_reply.id = j->id;
    m.relay_reply.index = (uint32_t)i;
    m.relay_reply.more = i + 1 < j->rcpts;
    m.relay_reply.site = !j->talked;
    m.relay_reply.dsn = r->dsn;
    m.relay_reply.verdict = r->fate == FATE_YES  ? VERDICT_YES
                            : r->fate == FATE_NO ? VERDICT_NO
                                                 : VERDICT_CANNOT_SAY;
    m.relay_reply.status = str_head(str_from(r->status), 20);
    m.relay_reply.server = str_head(str_from(r->server), 400);
    m.relay_reply.text = str_head(str_from(r->text), 800);
    channel_send(j->peer->ch, &m);
}

static void log_fate(const struct job *j, const struct recipient *r)
{
    static const char *const event[] = {"relay-deferred", "relay-deferred", "relayed", "relay-refused"};
    unsigned at = r->fate == FATE_YES ? 2 : r->fate == FATE_NO ? 3 : 0;
    log_info(event[at], LS("session", j->session), LS("queue_id", j->queue_id),
             LS("from", j->sender), LS("to", r->address), LZ("server", r->server),
             LZ("status", r->status), LN("size", j->source.size), LZ("text", r->text));
}

static void finish(struct job *j)
{
    struct relay *relay = j->relay;
    for (size_t i = 0; i < j->rcpts; i++) {
        const struct recipient *r = &j->rcpt[i];
        relay->sent += r->fate == FATE_YES;
        relay->refused += r->fate == FATE_NO;
        relay->deferred += r->fate == FATE_LATER;
        log_fate(j, r);
        send_fate(j, i);
    }
    job_free(j);
    relay_job_ended(relay);
}

/* Nothing of one round's way is left for the next. */
static void forget_way(struct job *j)
{
    secret_free(&j->login);
    j->login = (struct secret){0};
    j->hosts = NULL;
    j->host_count = j->host_at = j->place_count = j->place_at = 0;
    j->tried = j->sessions = 0;
    j->some_unknown = j->plain = j->lmtp = false;
}

void job_round_over(struct job *j)
{
    for (size_t i = 0; i < j->rcpts; i++)
        if (job_has(j, i) && j->rcpt[i].fate == FATE_OPEN)
            job_recipient(j, i, j->trouble.permanent ? FATE_NO : FATE_LATER, j->trouble.status,
                          j->trouble.server, j->trouble.text);
    enforce_over(j);
    j->talked = j->talked || j->sessions;
    forget_way(j);
    if (!rounds_next(j))
        finish(j);
}

/* --- going on --- */

void job_recipient(struct job *j, size_t i, enum fate fate, const char *status, const char *server,
                   const char *text)
{
    struct recipient *r = &j->rcpt[i];
    r->fate = fate;
    r->status = arena_strz(j->arena, str_from(status));
    r->server = arena_strz(j->arena, str_from(server));
    r->text = arena_strz(j->arena, str_from(text));
}

static bool is_left(const struct job *j)
{
    for (size_t i = 0; i < j->rcpts; i++)
        if (job_has(j, i) && (j->rcpt[i].fate == FATE_OPEN || j->rcpt[i].fate == FATE_LATER))
            return true;
    return false;
}

static bool tried_enough(const struct job *j)
{
    const struct config *cfg = j->settings->cfg;
    return j->tried >= (uint64_t)cfg->smtp_mx_address_limit ||
           j->sessions >= (uint64_t)cfg->smtp_mx_session_limit;
}

void job_try(struct job *j, const struct place *p)
{
    for (size_t i = 0; i < j->rcpts; i++)
        if (job_has(j, i) && j->rcpt[i].fate == FATE_LATER)
            j->rcpt[i].fate = FATE_OPEN;
    j->tried++;
    j->plain = false;
    source_rewind(&j->source);
    client_start(j, p);
}

/* A host whose name exists nowhere is no reason to give up while another may come back. */
void job_no_more(struct job *j)
{
    if (j->some_unknown && j->trouble.permanent && j->tried == 0)
        trouble_set(&j->trouble, false, "4.4.3", "",
                    "The addresses of the mail servers could not be looked up");
    job_round_over(j);
}

static void next(struct job *j)
{
    if (!is_left(j) || tried_enough(j))
        job_round_over(j);
    else
        hosts_next(j);
}

void job_server_failed(struct job *j)
{
    j->client = NULL;
    next(j);
}

void job_transaction_over(struct job *j, bool may_go_on)
{
    j->client = NULL;
    if (may_go_on)
        next(j);
    else
        job_round_over(j);
}

/* --- the beginning --- */

static struct job *job_new(struct peer *p, struct msg *m)
{
    const struct msg_relay_ask *ask = &m->relay_ask;
    struct relay *r = p->relay;
    struct job *j = MEM_NEW(struct job);
    *j = (struct job){.relay = r, .peer = p, .settings = r->settings, .id = ask->id,
                      .flags = ask->flags, .fd = m->fd, .next = r->jobs, .link = &r->jobs};
    m->fd = -1;
    j->settings->holders++;
    if (j->next)
        j->next->link = &j->next;
    r->jobs = j;
    j->arena = arena_new(4096);
    j->session = arena_str(j->arena, ask->session);
    j->queue_id = arena_str(j->arena, ask->queue_id);
    j->domain = arena_str(j->arena, ask->domain);
    j->sender = arena_str(j->arena, ask->sender);
    j->envid = arena_str(j->arena, ask->envid);
    j->ret = ask->ret;
    j->rcpts = ask->recipients.n;
    j->rcpt = arena_array(j->arena, j->rcpts + 1, sizeof *j->rcpt);
    for (size_t i = 0; i < j->rcpts; i++)
        j->rcpt[i] = (struct recipient){
            .address = arena_str(j->arena, ask->recipients.v[i].address),
            .orcpt = arena_str(j->arena, ask->recipients.v[i].orcpt),
            .notify = ask->recipients.v[i].notify};
    return j;
}

/* What stands in commands comes from the queue, and is looked at all the same: no line ends. */
static bool is_sound(const struct job *j)
{
    bool good = str_is_text(j->sender) && str_is_text(j->domain);
    for (size_t i = 0; i < j->rcpts; i++)
        good = good && j->rcpt[i].address.n && str_is_text(j->rcpt[i].address) &&
               (j->rcpt[i].orcpt.n == 0 || smtp_orcpt_is_sound(j->rcpt[i].orcpt));
    good = good && (j->envid.n == 0 || smtp_envid_is_sound(j->envid));
    return good && j->rcpts > 0;
}

void job_start(struct peer *p, struct msg *m)
{
    struct err e = {0};
    uint64_t size = m->relay_ask.size;
    struct job *j = job_new(p, m);
    if (!is_sound(j) || source_open(&j->source, j->fd, size, &e) != 0) {
        trouble_set(&j->trouble, false, "4.3.0", "", "%s",
                    e.log[0] ? "the message could not be read" : "the envelope is damaged");
        log_error("relay-job", LS("queue_id", j->queue_id), LZ("why", e.log));
        for (size_t i = 0; i < j->rcpts; i++)
            j->rcpt[i].round = 1;
        j->round = 1;
        job_round_over(j);
    } else {
        rounds_start(j);
    }
}
