/* A connection to a milter: made, used, lost. */
#include "filter/filter.h"

#include <unistd.h>

#define IN_MAX (MILTER_PACKET_MAX + 65536)

static struct filter *filter_of(const struct link *l)
{
    return l->visit->peer->filter;
}

static const struct config *cfg_of(const struct link *l)
{
    return l->visit->settings->cfg;
}

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

/* --- losing it --- */

static void cut(struct link *l)
{
    if (l->connect_id)
        map_take(filter_of(l)->connecting, id_key(&l->connect_id));
    l->connect_id = 0;
    conn_free(l->conn);
    l->conn = NULL;
    l->waiting = l->in_message = false;
    l->event = EVENT_NONE;
}

void link_free(struct link *l)
{
    struct str nothing = {"", 0};
    if (l->conn && !l->waiting && !l->connect_id) {
        AUTO_BUF quit = {0};
        milter_put(&quit, MILTER_QUIT, nothing);
        conn_write(l->conn, quit.p, quit.n);
        conn_finish(l->conn);
        l->conn = NULL;
    }
    cut(l);
}

void link_broken(struct link *l, const char *why)
{
    struct visit *v = l->visit;
    bool asked = l->event != EVENT_NONE;
    static const enum filter_action actions[] = {
        [DEFAULT_ACCEPT] = FILTER_CONTINUE, [DEFAULT_REJECT] = FILTER_REJECT,
        [DEFAULT_TEMPFAIL] = FILTER_TEMPFAIL, [DEFAULT_QUARANTINE] = FILTER_CONTINUE};
    int what = cfg_of(l)->milter_default_action;
    bool mattered = asked || l->in_message;
    cut(l);
    if (!mattered)
        return; /* it is made anew when there is something to ask */
    filter_of(l)->failures++;
    log_warning("milter-failed", LS("session", v->id), LS("place", l->place), LZ("why", why));
    l->skip = what == DEFAULT_ACCEPT || what == DEFAULT_QUARANTINE;
    if (what == DEFAULT_QUARANTINE)
        visit_quarantine(v, STR("a filter could not be asked"));
    if (asked)
        visit_link_done(v, actions[what], STR(""));
}

/* --- the connection's callbacks --- */

static void on_data(struct conn *c, void *arg)
{
    struct link *l = arg;
    struct milter_packet p;
    for (;;) {
        struct str all = conn_in(c), rest = all;
        int r = milter_packet_take(&rest, &p);
        if (r == 0)
            return;
        if (r < 0) {
            link_broken(l, "it sent a packet of a length that none has");
            return;
        }
        if (!l->waiting) {
            link_broken(l, "it answers what nobody asked");
            return;
        }
        /* Into its own place: what the answer leads to may free the connection. */
        AUTO_BUF copy = {0};
        buf_str(&copy, p.data);
        p.data = buf_view(&copy);
        conn_consume(c, all.n - rest.n);
        answers_take(l, &p);
        if (l->conn != c)
            return;
    }
}

static void on_drained(struct conn *c, void *arg)
{
    struct link *l = arg;
    (void)c;
    if (!l->waiting && l->event != EVENT_NONE)
        events_go(l);
}

static void on_timeout(struct conn *c, void *arg)
{
    (void)c;
    link_broken(arg, "time was up");
}

static void on_close(struct conn *c, void *arg, enum conn_end why, const char *detail)
{
    (void)c;
    (void)why;
    link_broken(arg, detail && detail[0] ? detail : "it closed the connection");
}

void link_deadline(struct link *l)
{
    const struct config *cfg = cfg_of(l);
    int64_t s = cfg->milter_command_timeout;
    if (l->event == EVENT_NEGOTIATE)
        s = cfg->milter_connect_timeout;
    else if (l->event >= EVENT_HEADER && l->event < EVENT_NONE)
        s = cfg->milter_content_timeout;
    conn_deadline(l->conn, l->event == EVENT_NONE ? 0 : s * 1000);
}

/* --- making it --- */

static void ask_connection(struct link *l)
{
    struct filter *f = filter_of(l);
    struct msg m = MSG_INIT(connect_ask);
    l->connect_id = ++f->last_connect;
    m.connect_ask.id = l->connect_id;
    m.connect_ask.place = l->place;
    l->event = EVENT_NEGOTIATE;
    l->helo = (struct str){"", 0};
    map_put(f->connecting, id_key(&l->connect_id), l);
    channel_send(f->program->master, &m);
}

void link_connected(struct filter *f, struct msg *m)
{
    static const struct conn_ops ops = {
        .on_data = on_data, .on_drained = on_drained, .on_timeout = on_timeout,
        .on_close = on_close};
    char why[300];
    struct link *l = map_take(f->connecting, id_key(&m->connect_reply.id));
    if (!l)
        return;
    l->connect_id = 0;
    if (m->connect_reply.verdict != VERDICT_YES) {
        snprintf(why, sizeof why, "%.*s", STR_FMT(m->connect_reply.text));
        link_broken(l, why);
        return;
    }
    l->conn = conn_new(f->program->base, m->fd, IN_MAX, &ops, l);
    m->fd = -1;
    events_go(l);
}

/* --- using it --- */

void link_abort(struct link *l)
{
    AUTO_BUF b = {0};
    if (!l->in_message || !l->conn)
        return;
    l->in_message = false;
    milter_put(&b, MILTER_ABORT, (struct str){"", 0});
    conn_write(l->conn, b.p, b.n);
}

static void begin_mail(struct link *l)
{
    link_abort(l);
    l->skip = false;
    if (l->refused) {
        visit_link_done(l->visit, l->refused, str_from(l->refusal));
    } else if (!l->conn) {
        ask_connection(l);
    } else {
        l->event = str_eq(l->helo, l->visit->helo) ? EVENT_MAIL : EVENT_HELO;
        events_go(l);
    }
}

void link_run(struct link *l, enum stage stage)
{
    if (stage == STAGE_MAIL) {
        begin_mail(l);
        return;
    }
    l->event = stage == STAGE_RCPT ? EVENT_RCPT : EVENT_DATA;
    l->header_at = 0;
    l->body_read = 0;
    l->body_replaced = false;
    /* It was lost since MAIL. */
    if (!l->conn || !l->in_message)
        link_broken(l, "the connection was lost");
    else
        events_go(l);
}
