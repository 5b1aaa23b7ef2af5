/*
 * The control socket: "status", "reload", "stop", "flush [USER]", "explain …" and "queue …" from root
 * or the caller's own commands. A line in; out comes "ok" or "error: …", and before or behind it the
 * lines that were asked for.
 */
#include "master/master.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX 8
#define LINE_MAX_BYTES 64
#define EXPLAIN_MAX_BYTES 20000 /* percent-encoded, with a long password */
#define FLUSH_MAX_BYTES 1100 /* with a login name */
#define USER_MAX 1000 /* flush_ask */
#define CLIENT_S 90 /* longer than a reload may take */
#define STATUS_MS 2000

enum waiting { WAIT_LINE, WAIT_STATUS, WAIT_RELOAD, WAIT_STOP, WAIT_EXPLAIN, WAIT_ORDER, WAIT_FORGET, WAIT_FLUSH };

struct control_client {
    struct control *all;
    struct bufferevent *be; /* NULL: free place */
    enum waiting waiting;
    uint64_t id; /* of an explanation, or of what is to be forgotten */
};

struct control {
    struct master *m;
    struct evconnlistener *listener;
    struct control_client client[CLIENTS_MAX];
    struct event *status_timer;
    bool gathering;
    uint64_t last_status, last_explain, last_flush;
    char path[108];
};

static void client_close(struct control_client *cl)
{
    bufferevent_free(cl->be);
    cl->be = NULL;
}

/* What is written goes out; then the connection closes. */
static void client_finish(struct control_client *cl, struct str text)
{
    cl->waiting = WAIT_FLUSH;
    bufferevent_write(cl->be, text.p, text.n);
    bufferevent_disable(cl->be, EV_READ);
}

/* Ends all who wait for that. */
static void tell_all(struct control *c, enum waiting waiting, struct str text)
{
    for (int i = 0; c && i < CLIENTS_MAX; i++)
        if (c->client[i].be && c->client[i].waiting == waiting)
            client_finish(&c->client[i], text);
}

/* --- status --- */

static void put_path(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, " %s=\"%s\"", key, value);
}

static void put_child(const struct child *c, int64_t now, struct buf *out)
{
    buf_printf(out, "%s index=%u pid=%d state=%s restarts=%u", kind_name(c->kind), c->index,
               (int)c->pid, child_state_name(c), c->restarts);
    if (c->pid)
        buf_printf(out, " uptime=%lld", (long long)(now - c->started_ms) / 1000);
    if (c->status && c->status[0])
        buf_printf(out, " %s", c->status);
    buf_byte(out, '\n');
}

static void put_status(const struct master *m, struct buf *out)
{
    static const char *const states[] = {"starting", "running", "stopping"};
    int64_t now = clock_mono_ms();
    char text[64];
    buf_printf(out, "ok\nfacteurd version=%s pid=%d state=%s uptime=%lld reloads=%u sessions=%zu",
               PACKAGE_VERSION, (int)getpid(), states[m->state],
               (long long)(now - m->started_ms) / 1000, m->reloads, sessions_count(m->sessions));
    put_path(out, "config", m->now->file);
    buf_byte(out, '\n');
    for (size_t i = 0; i < m->children; i++)
        put_child(&m->child[i], now, out);
    for (size_t i = 0; i < m->ports.n; i++) {
        if (m->ports.v[i].fd < 0)
            continue;
        port_text(&m->ports.v[i], text);
        buf_printf(out, "port service=%s address=%s\n", service_name(m->ports.v[i].service), text);
    }
}

static void status_done(struct control *c)
{
    AUTO_BUF text = {0};
    c->gathering = false;
    event_del(c->status_timer);
    put_status(c->m, &text);
    tell_all(c, WAIT_STATUS, buf_view(&text));
}

static void on_status_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    status_done(arg);
}

void control_status_came(struct control *c)
{
    if (!c || !c->gathering)
        return;
    for (size_t i = 0; i < c->m->children; i++)
        if (c->m->child[i].status_due)
            return;
    status_done(c);
}

/* Those who do not answer in time are shown with what they said last. */
static void status_gather(struct control *c)
{
    const struct timeval tv = {STATUS_MS / 1000, 0};
    struct msg msg = MSG_INIT(status_ask);
    if (c->gathering)
        return;
    c->gathering = true;
    msg.status_ask.id = ++c->last_status;
    for (size_t i = 0; i < c->m->children; i++) {
        struct child *child = &c->m->child[i];
        child->status_due = child->state == CHILD_READY && child_send(child, &msg);
    }
    event_add(c->status_timer, &tv);
    control_status_came(c);
}

/* --- explanations, and orders to the queue --- */

static void answer_lines(struct control *c, enum waiting waiting, uint64_t id, struct str line,
                         bool more)
{
    for (int i = 0; c && i < CLIENTS_MAX; i++) {
        struct control_client *cl = &c->client[i];
        if (!cl->be || cl->waiting != waiting || cl->id != id)
            continue;
        bufferevent_write(cl->be, line.p, line.n);
        if (more)
            bufferevent_write(cl->be, "\n", 1);
        else
            client_finish(cl, STR("\nok\n"));
    }
}

void control_explained(struct control *c, const struct msg_explain_reply *r)
{
    answer_lines(c, WAIT_EXPLAIN, r->id, r->line, r->more);
}

void control_explain_lost(struct control *c)
{
    tell_all(c, WAIT_EXPLAIN, STR("error: the directory program ended meanwhile\n"));
}

void control_ordered(struct control *c, const struct msg_order_reply *r)
{
    answer_lines(c, WAIT_ORDER, r->id, r->line, r->more);
}

void control_orders_lost(struct control *c)
{
    tell_all(c, WAIT_ORDER, STR("error: the queue program ended meanwhile\n"));
}

/* --- flush --- */

static void flush_ask(struct control_client *cl, struct str user)
{
    struct master *m = cl->all->m;
    struct msg msg = MSG_INIT(flush_ask);
    msg.flush_ask.id = cl->id = ++cl->all->last_flush;
    msg.flush_ask.user = str_trim(user);
    cl->waiting = WAIT_FORGET;
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].kind == KIND_DIRECTORY && m->child[i].state == CHILD_READY &&
            msg.flush_ask.user.n <= USER_MAX && child_send(&m->child[i], &msg))
            return;
    client_finish(cl, STR("error: the directory program is not ready\n"));
}

void control_flushed(struct control *c, const struct msg_flush_reply *r)
{
    AUTO_BUF text = {0};
    buf_printf(&text, "ok\nforgotten %u\n", (unsigned)r->dropped);
    for (int i = 0; c && i < CLIENTS_MAX; i++)
        if (c->client[i].be && c->client[i].waiting == WAIT_FORGET && c->client[i].id == r->id)
            client_finish(&c->client[i], buf_view(&text));
}

void control_directory_gone(struct control *c)
{
    tell_all(c, WAIT_FORGET, STR("error: the directory program died\n"));
}

/* --- clients --- */

static void handle_line(struct control_client *cl, struct str line)
{
    struct master *m = cl->all->m;
    if (str_eq(line, STR("status"))) {
        cl->waiting = WAIT_STATUS;
        status_gather(cl->all);
    } else if (str_eq(line, STR("reload")) && m->state == MASTER_RUNNING) {
        cl->waiting = WAIT_RELOAD;
        reload_begin(m);
    } else if (str_starts(line, STR("explain "))) {
        cl->waiting = WAIT_EXPLAIN;
        cl->id = ++cl->all->last_explain;
        if (explain_ask(m, cl->id, str_skip(line, 8)) != 0)
            client_finish(cl, STR("error: the directory program is not ready to explain that\n"));
    } else if (str_starts(line, STR("queue "))) {
        cl->waiting = WAIT_ORDER;
        cl->id = ++cl->all->last_explain;
        if (orders_ask(m, cl->id, str_skip(line, 6)) != 0)
            client_finish(cl, STR("error: no order to the queue, or it is not ready\n"));
    } else if (str_eq(line, STR("flush")) || str_starts(line, STR("flush "))) {
        flush_ask(cl, str_skip(line, 5));
    } else if (str_eq(line, STR("stop"))) {
        cl->waiting = WAIT_STOP; /* the end of the connection says that all is over */
        bufferevent_write(cl->be, "ok\n", 3);
        log_info("stop", LZ("asked", "control"));
        master_stop(m, 0);
    } else {
        client_finish(cl, STR("error: not understood, or not now\n"));
    }
}

/* How long a line may be, by its beginning. */
static size_t line_max(struct evbuffer *in)
{
    static const struct {
        const char *word;
        size_t max;
    } longer[] = {{"explain ", EXPLAIN_MAX_BYTES}, {"queue ", EXPLAIN_MAX_BYTES}, {"flush ", FLUSH_MAX_BYTES}};
    char start[sizeof "explain "] = "";
    evbuffer_copyout(in, start, sizeof start - 1);
    for (size_t i = 0; i < sizeof longer / sizeof longer[0]; i++)
        if (str_starts(str_from(start), str_from(longer[i].word)))
            return longer[i].max;
    return LINE_MAX_BYTES;
}

static void on_read(struct bufferevent *be, void *arg)
{
    struct control_client *cl = arg;
    size_t n = 0;
    if (cl->waiting != WAIT_LINE)
        return;
    char *line = evbuffer_readln(bufferevent_get_input(be), &n, EVBUFFER_EOL_LF);
    if (line)
        handle_line(cl, (struct str){line, n});
    if (line)
        mem_wipe(line, n);
    else if (evbuffer_get_length(bufferevent_get_input(be)) >= line_max(bufferevent_get_input(be)))
        client_close(cl);
    free(line);
}

static void on_written(struct bufferevent *be, void *arg)
{
    struct control_client *cl = arg;
    (void)be;
    if (cl->waiting == WAIT_FLUSH)
        client_close(cl);
}

static void on_event(struct bufferevent *be, short what, void *arg)
{
    (void)be;
    (void)what;
    client_close(arg);
}

static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0)
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}

static struct control_client *free_place(struct control *c)
{
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (!c->client[i].be)
            return &c->client[i];
    return NULL;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int n,
                      void *arg)
{
    struct control *c = arg;
    const struct timeval limit = {CLIENT_S, 0};
    struct control_client *cl = free_place(c);
    (void)l;
    (void)sa;
    (void)n;
    if (!cl || !may_ask((int)fd)) {
        close((int)fd);
        return;
    }
    cl->all = c;
    cl->waiting = WAIT_LINE;
    cl->be = bufferevent_socket_new(c->m->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(cl->be, on_read, on_written, on_event, cl);
    bufferevent_setwatermark(cl->be, EV_READ, 0, EXPLAIN_MAX_BYTES);
    bufferevent_set_timeouts(cl->be, &limit, &limit);
    bufferevent_enable(cl->be, EV_READ | EV_WRITE);
}

void control_reloaded(struct control *c, struct str why)
{
    AUTO_BUF text = {0};
    if (why.n)
        buf_printf(&text, "error: %.*s\n", STR_FMT(why));
    else
        buf_str(&text, STR("ok\n"));
    tell_all(c, WAIT_RELOAD, buf_view(&text));
}

/* --- the socket --- */

static int bind_socket(const struct control *c)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, c->path, sizeof sa.sun_path);
    AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (unlink(c->path) != 0 && errno != ENOENT))
        return -1;
    mode_t before = umask(0177);
    int r = bind(fd, (struct sockaddr *)&sa, sizeof sa);
    umask(before);
    if (r != 0 || listen(fd, CLIENTS_MAX) != 0)
        return -1;
    r = fd;
    fd = -1;
    return r;
}

struct control *control_open(struct master *m, struct err *e)
{
    struct control *c = MEM_NEW(struct control);
    c->m = m;
    int n = snprintf(c->path, sizeof c->path, "%.*s/control", STR_FMT(m->now->cfg->run_directory));
    int fd = -1;
    errno = ENAMETOOLONG;
    if (n < (int)sizeof c->path)
        fd = bind_socket(c);
    if (fd < 0) {
        err_perm(e, "run_directory: control socket %.*s/control: %s",
                 STR_FMT(m->now->cfg->run_directory), strerror(errno));
        free(c);
        return NULL;
    }
    c->listener = evconnlistener_new(m->base, on_accept, c, LEV_OPT_CLOSE_ON_FREE, 0, fd);
    c->status_timer = evtimer_new(m->base, on_status_timer, c);
    return c;
}

/* Who waits for our end hears of it when this process is gone: its connection stays open, by a
 * descriptor that nobody closes. */
static void client_leave(struct control_client *cl)
{
    if (cl->waiting == WAIT_STOP)
        fcntl(bufferevent_getfd(cl->be), F_DUPFD_CLOEXEC, 0);
    client_close(cl);
}

void control_close(struct control *c)
{
    if (!c)
        return;
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (c->client[i].be)
            client_leave(&c->client[i]);
    evconnlistener_free(c->listener);
    event_free(c->status_timer);
    unlink(c->path);
    free(c);
}
