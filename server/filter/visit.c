/* What smtp asks: transactions, recipients, messages; each goes through all links in turn. */
#include "filter/filter.h"

#include <stdlib.h>
#include <unistd.h>

#define ARENA_FIRST 1024

static struct str key(const uint64_t *session)
{
    return (struct str){(const char *)session, sizeof *session};
}

void visit_free(void *arg)
{
    struct visit *v = arg;
    for (size_t i = 0; i < v->links; i++)
        link_free(&v->link[i]);
    message_close(&v->message);
    v->peer->filter->visit_count--;
    settings_drop(v->settings);
    arena_free(v->mail_arena);
    arena_free(v->arena);
    free(v);
}

static struct visit *visit_new(struct peer *p, const struct msg_filter_mail_ask *ask)
{
    struct visit *v = MEM_NEW(struct visit);
    struct arena *a = arena_new(ARENA_FIRST);
    *v = (struct visit){.peer = p, .settings = p->filter->settings, .session = ask->session,
                        .arena = a, .client = arena_str(a, ask->client),
                        .name = arena_str(a, ask->name), .reverse = arena_str(a, ask->reverse),
                        .port = (uint16_t)ask->port, .message = {.fd = -1}};
    v->settings->holders++;
    p->filter->visit_count++;
    const struct config_list *places = &v->settings->cfg->smtpd_milters;
    v->links = places->n;
    v->link = arena_array(a, places->n ? places->n : 1, sizeof *v->link);
    for (size_t i = 0; i < places->n; i++)
        v->link[i] = (struct link){.visit = v, .place = places->v[i], .event = EVENT_NONE};
    map_put(p->visits, key(&ask->session), v);
    return v;
}

/* --- answers --- */

static void send_reply(struct visit *v, enum filter_action action, struct str text, int edits)
{
    struct msg m = MSG_INIT(filter_mail_reply);
    if (v->stage == STAGE_RCPT)
        m.type = MSG_filter_rcpt_reply;
    if (v->stage == STAGE_MESSAGE) {
        m.type = MSG_filter_message_reply;
        m.fd = edits >= 0 ? edits : v->peer->filter->null_fd;
    }
    /* The three replies begin alike. */
    m.filter_mail_reply.id = v->ask_id;
    m.filter_mail_reply.action = (uint8_t)action;
    m.filter_mail_reply.text = text;
    v->stage = STAGE_NONE;
    channel_send(v->peer->ch, &m);
}

static void abort_all(struct visit *v)
{
    for (size_t i = 0; i < v->links; i++)
        link_abort(&v->link[i]);
}

static void all_agree(struct visit *v)
{
    struct err e = {0};
    int edits = -1;
    if (v->stage == STAGE_MESSAGE) {
        edits = message_edits(&v->message, v->quarantine, &e);
        message_close(&v->message);
        v->peer->filter->messages++;
    }
    if (edits == -2) {
        log_error("filter", LS("session", v->id), LZ("why", e.log));
        send_reply(v, FILTER_TEMPFAIL, STR(""), -1);
        return;
    }
    send_reply(v, FILTER_CONTINUE, STR(""), edits);
    if (edits >= 0)
        close(edits);
}

static void next_link(struct visit *v)
{
    while (v->at < v->links) {
        struct link *l = &v->link[v->at++];
        if (l->skip_session || (l->skip && v->stage != STAGE_MAIL))
            continue;
        link_run(l, v->stage);
        return;
    }
    all_agree(v);
}

void visit_link_done(struct visit *v, enum filter_action action, struct str text)
{
    if (action == FILTER_CONTINUE) {
        next_link(v);
        return;
    }
    v->peer->filter->refusals++;
    log_info("filtered", LS("session", v->id), LS("place", v->link[v->at - 1].place),
             LN("action", action), LS("text", text));
    if (v->stage != STAGE_RCPT)
        abort_all(v);
    if (v->stage == STAGE_MESSAGE)
        message_close(&v->message);
    send_reply(v, action, text, -1);
}

void visit_quarantine(struct visit *v, struct str reason)
{
    size_t n = 0;
    for (size_t i = 0; i < reason.n && n < sizeof v->quarantine - 1; i++) {
        unsigned char c = (unsigned char)reason.p[i];
        v->quarantine[n++] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
    }
    v->quarantine[n] = '\0';
    if (n == 0)
        memcpy(v->quarantine, "by a filter", sizeof "by a filter");
}

/* --- asks --- */

static void begin(struct visit *v, enum stage stage, uint64_t id)
{
    v->stage = stage;
    v->ask_id = id;
    v->at = 0;
    next_link(v);
}

static struct str keep(struct arena *a, struct str old, struct str now)
{
    return str_eq(old, now) ? old : arena_str(a, now);
}

static void on_mail(struct peer *p, const struct msg_filter_mail_ask *ask)
{
    struct visit *v = map_get(p->visits, key(&ask->session));
    if (v && v->stage != STAGE_NONE) {
        map_take(p->visits, key(&ask->session));
        visit_free(v);
        v = NULL;
    }
    if (!v)
        v = visit_new(p, ask);
    arena_free(v->mail_arena);
    v->mail_arena = arena_new(ARENA_FIRST);
    v->helo = keep(v->arena, v->helo, ask->helo);
    v->tls_protocol = keep(v->arena, v->tls_protocol, ask->tls_protocol);
    v->tls_cipher = keep(v->arena, v->tls_cipher, ask->tls_cipher);
    v->login = keep(v->arena, v->login, ask->login);
    v->tls_bits = ask->tls_bits;
    v->id = arena_str(v->mail_arena, ask->message);
    v->sender = arena_str(v->mail_arena, ask->sender);
    v->rcpt = (struct str){"", 0};
    v->quarantine[0] = '\0';
    begin(v, STAGE_MAIL, ask->id);
}

/* Nothing known of it: this program was started anew since. */
static void unknown(struct peer *p, enum msg_type type, uint64_t id)
{
    struct msg m = MSG_INIT(filter_rcpt_reply);
    m.type = type;
    if (msg_has_fd(type))
        m.fd = p->filter->null_fd;
    m.filter_rcpt_reply.id = id;
    m.filter_rcpt_reply.action = FILTER_TEMPFAIL;
    m.filter_rcpt_reply.text = STR("");
    channel_send(p->ch, &m);
}

static void on_rcpt(struct peer *p, const struct msg_filter_rcpt_ask *ask)
{
    struct visit *v = map_get(p->visits, key(&ask->session));
    if (!v || v->stage != STAGE_NONE || !v->mail_arena) {
        unknown(p, MSG_filter_rcpt_reply, ask->id);
        return;
    }
    v->rcpt = arena_str(v->mail_arena, ask->address);
    begin(v, STAGE_RCPT, ask->id);
}

static void on_message(struct peer *p, struct msg *m)
{
    const struct msg_filter_message_ask *ask = &m->filter_message_ask;
    struct visit *v = map_get(p->visits, key(&ask->session));
    struct err e = {0};
    if (!v || v->stage != STAGE_NONE || !v->mail_arena) {
        unknown(p, MSG_filter_message_reply, ask->id);
        return;
    }
    if (message_open(&v->message, m->fd, ask->size, ask->skip, &e) != 0) {
        log_error("filter", LS("session", v->id), LZ("why", e.log));
        unknown(p, MSG_filter_message_reply, ask->id);
        return;
    }
    m->fd = -1;
    begin(v, STAGE_MESSAGE, ask->id);
}

/* Whatever was asked, nobody waits for it any more. */
static void on_abort(struct peer *p, uint64_t session)
{
    struct visit *v = map_get(p->visits, key(&session));
    if (v && v->stage == STAGE_NONE) {
        abort_all(v);
    } else if (v) { /* links in the middle of something are of no use */
        map_take(p->visits, key(&session));
        visit_free(v);
    }
}

void visit_take(struct peer *p, struct msg *m)
{
    struct visit *v;
    switch (m->type) {
    case MSG_filter_mail_ask:
        on_mail(p, &m->filter_mail_ask);
        break;
    case MSG_filter_rcpt_ask:
        on_rcpt(p, &m->filter_rcpt_ask);
        break;
    case MSG_filter_message_ask:
        on_message(p, m);
        break;
    case MSG_filter_abort:
        on_abort(p, m->filter_abort.session);
        break;
    case MSG_filter_end:
        v = map_take(p->visits, key(&m->filter_end.session));
        if (v)
            visit_free(v);
        break;
    default:
        break;
    }
}
