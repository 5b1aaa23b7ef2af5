/*
 * Policy servers (Postfix's protocol), asked by smtp about a recipient. A connection serves one
 * question at a time and is kept for the next; who has an old one that the server closed meanwhile
 * asks once more on a new one.
 */
#include "filter/filter.h"

#include "config/rules.h"
#include "protocol/policy/policy.h"

#include <stdlib.h>

#define LINES_MAX 300 /* connections to all policy servers */
#define IN_MAX (POLICY_ANSWER_MAX + 1)

/* A connection, or one that the master is asked for. */
struct policy_line {
    struct filter *filter;
    struct policy_line *next, **link;
    char *place;
    struct conn *conn;
    uint64_t connect_id; /* the master is asked; 0: it is not */
    struct peer *peer;   /* who waits for the answer; NULL: nobody, it is idle */
    uint64_t ask_id;
    struct buf question;
    bool served; /* a question before this one */
};

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

static void answer(struct filter *f, struct peer *p, uint64_t id, uint8_t verdict, struct str action)
{
    struct msg m = MSG_INIT(policy_reply);
    m.policy_reply.id = id;
    m.policy_reply.verdict = verdict;
    m.policy_reply.action = action;
    if (verdict == VERDICT_YES)
        f->policies++;
    else
        f->failures++;
    channel_send(p->ch, &m);
}

static void line_free(struct policy_line *l)
{
    struct filter *f = l->filter;
    if (l->connect_id)
        map_take(f->calling, id_key(&l->connect_id));
    conn_free(l->conn);
    buf_free(&l->question);
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    f->line_count--;
    free(l->place);
    free(l);
}

static void broken(struct policy_line *l, const char *why)
{
    if (l->peer) {
        log_warning("policy-failed", LZ("place", l->place), LZ("why", why));
        answer(l->filter, l->peer, l->ask_id, VERDICT_CANNOT_SAY, (struct str){"", 0});
    }
    line_free(l);
}

/* --- the connection's callbacks --- */

static void rest(struct policy_line *l)
{
    l->peer = NULL;
    l->served = true;
    buf_free(&l->question);
    conn_deadline(l->conn, l->filter->settings->cfg->smtpd_policy_service_max_idle * 1000);
}

static void on_data(struct conn *c, void *arg)
{
    struct policy_line *l = arg;
    struct str in = conn_in(c), left = in, action;
    struct err e = {0};
    if (!l->peer) {
        broken(l, "it answers what nobody asked");
        return;
    }
    int r = policy_answer_take(&left, &action, &e);
    if (r < 0) {
        broken(l, e.log);
    } else if (r > 0) {
        log_debug("policy", LZ("place", l->place), LS("action", action));
        answer(l->filter, l->peer, l->ask_id, VERDICT_YES, action);
        if (left.n) {
            line_free(l); /* what else it says would be taken for the next answer */
            return;
        }
        conn_consume(c, in.n);
        rest(l);
    }
}

static void on_timeout(struct conn *c, void *arg)
{
    (void)c;
    broken(arg, "time was up");
}

static void ask_connection(struct policy_line *l);

static void on_close(struct conn *c, void *arg, enum conn_end why, const char *detail)
{
    struct policy_line *l = arg;
    (void)why;
    if (!l->peer || !l->served || conn_in(c).n) {
        broken(l, detail && detail[0] ? detail : "it closed the connection");
        return;
    }
    l->served = false;
    conn_free(c);
    l->conn = NULL;
    ask_connection(l);
}

/* --- asking --- */

static void say(struct policy_line *l)
{
    conn_write(l->conn, l->question.p, l->question.n);
    conn_deadline(l->conn, l->filter->settings->cfg->smtpd_policy_service_timeout * 1000);
}

static void ask_connection(struct policy_line *l)
{
    struct filter *f = l->filter;
    struct msg m = MSG_INIT(connect_ask);
    l->connect_id = ++f->last_connect;
    m.connect_ask.id = l->connect_id;
    m.connect_ask.place = str_from(l->place);
    map_put(f->calling, id_key(&l->connect_id), l);
    channel_send(f->program->master, &m);
}

bool policy_connected(struct filter *f, struct msg *m)
{
    static const struct conn_ops ops = {
        .on_data = on_data, .on_timeout = on_timeout, .on_close = on_close};
    char why[300];
    struct policy_line *l = map_take(f->calling, id_key(&m->connect_reply.id));
    if (!l)
        return false;
    l->connect_id = 0;
    if (m->connect_reply.verdict != VERDICT_YES) {
        snprintf(why, sizeof why, "%.*s", STR_FMT(m->connect_reply.text));
        broken(l, why);
        return true;
    }
    l->conn = conn_new(f->program->base, m->fd, IN_MAX, &ops, l);
    m->fd = -1;
    say(l);
    return true;
}

static struct policy_line *idle_line(struct filter *f, struct str place)
{
    for (struct policy_line *l = f->lines; l; l = l->next)
        if (!l->peer && l->conn && str_eq(str_from(l->place), place))
            return l;
    return NULL;
}

static struct policy_line *new_line(struct filter *f, struct str place)
{
    struct policy_line *l = MEM_NEW(struct policy_line);
    *l = (struct policy_line){.filter = f, .next = f->lines, .link = &f->lines,
                              .place = mem_strdup(place)};
    if (l->next)
        l->next->link = &l->next;
    f->lines = l;
    f->line_count++;
    return l;
}

void policy_take(struct peer *p, const struct msg_policy_ask *ask)
{
    struct filter *f = p->filter;
    struct policy_line *l = idle_line(f, ask->place);
    /* What speaks another protocol shall hear nothing of this. */
    bool named = rule_names_policy(f->settings->cfg, ask->place);
    if (!named || (!l && f->line_count >= LINES_MAX)) {
        log_warning("policy-failed", LS("place", ask->place),
                    LZ("why", named ? "too many questions" : "the configuration does not name it"));
        answer(f, p, ask->id, VERDICT_CANNOT_SAY, (struct str){"", 0});
        return;
    }
    bool fresh = !l;
    if (fresh)
        l = new_line(f, ask->place);
    l->peer = p;
    l->ask_id = ask->id;
    buf_str(&l->question, ask->attributes);
    policy_put_end(&l->question);
    if (fresh)
        ask_connection(l);
    else
        say(l);
}

void policy_forget(struct filter *f, const struct peer *p)
{
    for (struct policy_line *l = f->lines, *next; l; l = next) {
        next = l->next;
        if (!p || l->peer == p)
            line_free(l);
    }
}
