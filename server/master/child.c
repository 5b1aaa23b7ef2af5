/*
 * A child's life: started, configured, ready; ended or dead, and started again: at once after a long
 * life, with growing pauses while it keeps dying young.
 */
#include "ipc/program.h"
#include "master/master.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#define READY_MS 60000
#define YOUNG_MS 10000
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 5000

static void on_timer(evutil_socket_t fd, short what, void *arg);

void children_make(struct master *m)
{
    for (enum kind k = 0; k < KINDS; k++) {
        unsigned n = kind_count(k, m->now->cfg);
        for (unsigned i = 0; i < n && m->children < CHILDREN_MAX; i++) {
            struct child *c = &m->child[m->children++];
            *c = (struct child){.m = m, .kind = k, .index = i};
            c->timer = evtimer_new(m->base, on_timer, c);
        }
    }
}

void children_free(struct master *m)
{
    for (size_t i = 0; i < m->children; i++) {
        channel_free(m->child[i].ch);
        event_free(m->child[i].timer);
        free(m->child[i].status);
    }
    m->children = 0;
}

const char *child_state_name(const struct child *c)
{
    static const char *const names[] = {"down", "starting", "ready", "ending"};
    return names[c->state];
}

static void set_timer(struct child *c, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    event_add(c->timer, &tv);
}

bool child_send(struct child *c, const struct msg *msg)
{
    return c->ch && channel_send(c->ch, msg) == 0;
}

int child_configure(struct child *c, const struct material *mat, bool reload)
{
    struct msg msg = MSG_INIT(configure);
    msg.fd = mat->bundle[c->kind];
    msg.configure.reload = reload;
    c->given = mat;
    c->unanswered = reload ? c->unanswered + 1 : 0;
    return child_send(c, &msg) ? 0 : -1;
}

/* --- what it says --- */

static void on_ready(struct child *c, const struct msg_ready *r)
{
    if (r->reload) { /* only the answer to the last one says what is in force now */
        if (c->unanswered > 0 && --c->unanswered == 0) {
            c->anew = r->anew;
            reload_answer(c->m, c, r->error);
        }
        return;
    }
    if (c->state != CHILD_STARTING)
        return;
    if (r->error.n) {
        log_error("child-refused", LZ("program", kind_name(c->kind)), LN("index", c->index),
                  LS("why", r->error));
        child_end(c);
        return;
    }
    c->state = CHILD_READY;
    event_del(c->timer);
    log_info("child-ready", LZ("program", kind_name(c->kind)), LN("index", c->index),
             LN("pid", c->pid));
    master_child_ready(c->m, c);
}

static void on_status(struct child *c, const struct msg_status_reply *r)
{
    free(c->status);
    c->status = mem_strdup(r->text);
    c->status_due = false;
    control_status_came(c->m->control);
}

static void on_message(struct channel *ch, void *arg, struct msg *msg)
{
    struct child *c = arg;
    (void)ch;
    switch (msg->type) {
    case MSG_ready:
        on_ready(c, &msg->ready);
        break;
    case MSG_status_reply:
        on_status(c, &msg->status_reply);
        break;
    case MSG_session_ask:
        sessions_ask(c->m->sessions, c, &msg->session_ask);
        break;
    case MSG_redeem_reply:
        sessions_redeemed(c->m->sessions, &msg->redeem_reply);
        break;
    case MSG_order_reply:
        control_ordered(c->m->control, &msg->order_reply);
        break;
    case MSG_explain_reply:
        control_explained(c->m->control, &msg->explain_reply);
        break;
    case MSG_session_started:
        sessions_started(c->m->sessions, &msg->session_started);
        break;
    case MSG_connect_ask:
        connect_for(c, &msg->connect_ask);
        break;
    case MSG_dns_reply:
        connect_named(c->m, &msg->dns_reply);
        break;
    case MSG_session_ended:
        sessions_ended(c->m->sessions, &msg->session_ended);
        break;
    case MSG_login_end:
        sessions_end_user(c->m->sessions, &msg->login_end);
        break;
    case MSG_flush_reply:
        control_flushed(c->m->control, &msg->flush_reply);
        break;
    default:
        break;
    }
}

/* Dead, or it spoke nonsense: without its channel it ends by itself, with a little help. */
static void on_close(struct channel *ch, void *arg)
{
    struct child *c = arg;
    c->ch = NULL;
    channel_free(ch);
    child_end(c);
}

/* --- start and end --- */

void child_start(struct child *c)
{
    static const struct channel_ops ops = {on_message, on_close};
    int pair[2] = {-1, -1};
    c->started_ms = clock_mono_ms();
    c->life++;
    c->anew = false;
    if (channel_pair(pair) != 0 || (c->pid = spawn_child(c, pair[1])) < 0) {
        log_error("child-start", LZ("program", kind_name(c->kind)), LZ("why", strerror(errno)));
        fd_closep(&pair[0]);
        fd_closep(&pair[1]);
        c->pid = 0;
        c->state = CHILD_DOWN;
        set_timer(c, PAUSE_MAX_MS);
        return;
    }
    fd_closep(&pair[1]);
    c->ch = channel_new(c->m->base, pair[0], MASTER, kind_program(c->kind), &ops, c);
    c->state = CHILD_STARTING;
    set_timer(c, READY_MS);
    child_configure(c, c->m->now, false);
    links_counters(c);
    if (links_connect(c) != 0)
        child_end(c); /* one whom nobody can ask: the next one may find what this one lacked */
}

/* When all ends, its whole group: the session parent's forks hear it too. Else they outlive it. */
static void signal_child(const struct child *c, int number)
{
    bool all = c->m->state == MASTER_STOPPING;
    if (c->pid > 0 && (!all || kill(-c->pid, number) != 0))
        kill(c->pid, number);
}

void child_end(struct child *c)
{
    if (c->state == CHILD_DOWN || c->state == CHILD_ENDING)
        return;
    c->state = CHILD_ENDING;
    signal_child(c, SIGTERM);
    set_timer(c, PROGRAM_END_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct child *c = arg;
    (void)fd;
    (void)what;
    if (c->state == CHILD_DOWN) {
        c->restarts++;
        child_start(c);
        return;
    }
    log_error(c->state == CHILD_ENDING ? "child-stuck" : "child-late",
              LZ("program", kind_name(c->kind)), LN("index", c->index), LN("pid", c->pid));
    c->state = CHILD_ENDING;
    signal_child(c, SIGKILL);
}

static int64_t next_pause(struct child *c)
{
    if (clock_mono_ms() - c->started_ms >= YOUNG_MS)
        c->young_deaths = 0;
    unsigned n = c->anew ? 0 : c->young_deaths++;
    if (n == 0)
        return 0;
    int64_t pause = n > 6 ? PAUSE_MAX_MS : PAUSE_FIRST_MS << (n - 1);
    return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

static void log_end(const struct child *c, int status)
{
    bool killed = WIFSIGNALED(status);
    bool asked = c->m->state == MASTER_STOPPING || c->anew;
    if (asked && !killed && WEXITSTATUS(status) == 0)
        return;
    log_error("child-ended", LZ("program", kind_name(c->kind)), LN("index", c->index),
              LN("pid", c->pid), LZ("how", killed ? "signal" : "exit"),
              LN("status", killed ? WTERMSIG(status) : WEXITSTATUS(status)));
}

void child_reaped(struct child *c, int wait_status)
{
    log_end(c, wait_status);
    channel_free(c->ch);
    c->ch = NULL;
    c->pid = 0;
    c->state = CHILD_DOWN;
    c->status_due = false;
    event_del(c->timer);
    if (c->m->counters[c->kind])
        counters_wipe(c->m->counters[c->kind], c->index);
    sessions_child_gone(c->m->sessions, c);
    connect_child_gone(c->m, c);
    if (c->kind == KIND_DIRECTORY)
        control_directory_gone(c->m->control);
    reload_child_gone(c->m, c);
    if (c->m->state == MASTER_RUNNING)
        set_timer(c, next_pause(c));
    if (c->kind == KIND_DIRECTORY)
        control_explain_lost(c->m->control);
    if (c->kind == KIND_QUEUE)
        control_orders_lost(c->m->control);
    master_child_gone(c->m, c);
    control_status_came(c->m->control);
}
