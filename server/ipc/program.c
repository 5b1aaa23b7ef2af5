/* The common life of the programs under the master. */
#include "ipc/program.h"
#include "base/log.h"
#include "confine/confine.h"

#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define MASTER_FD 3 /* or the bundle to check */

struct start {
    struct confine confine;
    enum log_target log;
    bool check;
};

static int usage(void)
{
    static const char text[] = "this program is started by facteurd\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    return 2;
}

static enum log_target log_target_from(struct str name)
{
    if (str_eq(name, STR("journal")))
        return LOG_TARGET_JOURNAL;
    return str_eq(name, STR("syslog")) ? LOG_TARGET_SYSLOG : LOG_TARGET_STDERR;
}

static int take_argument(struct program *p, struct start *s, int c, const char *value)
{
    struct str v = value ? str_from(value) : (struct str){0};
    switch (c) {
    case 'i':
        return str_u32(v, &p->index);
    case 'u':
        return str_u32(v, &s->confine.uid);
    case 'g':
        return str_u32(v, &s->confine.gid);
    case 'r':
        s->confine.root = value;
        return 0;
    case 'l':
        s->log = log_target_from(v);
        return 0;
    case 'c':
        s->check = true;
        return 0;
    default:
        return -1;
    }
}

static int take_arguments(struct program *p, struct start *s, int argc, char **argv)
{
    static const struct option options[] = {
        {"index", required_argument, NULL, 'i'}, {"uid", required_argument, NULL, 'u'},
        {"gid", required_argument, NULL, 'g'},   {"root", required_argument, NULL, 'r'},
        {"log", required_argument, NULL, 'l'},   {"check", no_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (take_argument(p, s, c, optarg) != 0)
            return -1;
    return optind == argc ? 0 : -1;
}

/* --- messages of the master --- */

static int open_bundle(int fd, struct bundle *b, struct config **cfg, struct err *e)
{
    struct str text;
    if (bundle_open(fd, b, e) != 0)
        return -1;
    if (!bundle_get(b, STR("facteur.conf"), &text))
        err_perm(e, "bundle without facteur.conf");
    else if (config_parse(text, "facteur.conf", "/", cfg, e) == 0)
        return 0;
    bundle_close(b);
    return -1;
}

static int configure(struct program *p, struct msg *m, struct err *e)
{
    struct bundle b;
    struct config *cfg;
    if (open_bundle(m->fd, &b, &cfg, e) != 0)
        return -1;
    log_verbose(cfg->debug);
    int r = p->ops->configure(p, cfg, &b, m->configure.reload, e);
    if (r != 0)
        config_free(cfg);
    bundle_close(&b);
    return r;
}

static int check(struct program *p, struct err *e)
{
    struct bundle b;
    struct config *cfg;
    if (open_bundle(MASTER_FD, &b, &cfg, e) != 0)
        return -1;
    int r = p->ops->check ? p->ops->check(p, cfg, &b, e) : 0;
    config_free(cfg);
    bundle_close(&b);
    return r;
}

static void on_configure(struct program *p, struct msg *m)
{
    struct err e = {0};
    struct msg ready = MSG_INIT(ready);
    ready.ready.reload = m->configure.reload;
    p->anew = false;
    if (configure(p, m, &e) != 0) {
        log_error("configure", LZ("why", e.log));
        ready.ready.error = str_head(str_from(e.log), 500);
    }
    ready.ready.anew = p->anew;
    channel_send(p->master, &ready);
}

static void on_status(struct program *p, const struct msg *m)
{
    AUTO_BUF text = BUF_MAX(2000);
    struct msg reply = MSG_INIT(status_reply);
    if (p->ops->status)
        p->ops->status(p, &text);
    reply.status_reply.id = m->status_ask.id;
    reply.status_reply.text = buf_view(&text);
    channel_send(p->master, &reply);
}

static int take_fd(struct msg *m)
{
    int fd = m->fd;
    m->fd = -1;
    return fd;
}

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    struct program *p = arg;
    (void)ch;
    if (m->type == MSG_configure)
        on_configure(p, m);
    else if (m->type == MSG_status_ask)
        on_status(p, m);
    else if (m->type == MSG_link && p->ops->link)
        p->ops->link(p, m->link.peer, m->link.index, take_fd(m));
    else if (m->type == MSG_listener && p->ops->listener)
        p->ops->listener(p, m->listener.number, (enum service)m->listener.service, take_fd(m));
    else if (m->type == MSG_listener_close && p->ops->listener_close)
        p->ops->listener_close(p, m->listener_close.number);
    else if (p->ops->message)
        p->ops->message(p, m);
}

/* The master's death ends all (the service manager starts it again). */
static void on_close(struct channel *ch, void *arg)
{
    (void)ch;
    program_stop(arg, 0);
}

void program_stop(struct program *p, int status)
{
    p->exit_status = status;
    event_base_loopbreak(p->base);
}

static void on_last_moment(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    program_stop(arg, 0);
}

void program_stop_in(struct program *p, int64_t ms)
{
    struct timeval tv = {ms / 1000, (ms % 1000) * 1000};
    if (!p->last_moment)
        p->last_moment = evtimer_new(p->base, on_last_moment, p);
    event_add(p->last_moment, &tv);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number;
    (void)what;
    struct program *p = arg;
    if (!p->ops->stop || !p->ops->stop(p))
        program_stop(p, 0);
}

static void end(struct program *p)
{
    if (!p->ops->end)
        return;
    p->ops->end(p);
    channel_free(p->master);
    event_base_free(p->base);
}

/* The exit status. */
static int run_check(struct program *p)
{
    struct err e = {0};
    int r = check(p, &e);
    if (r != 0)
        fd_write_all(STDOUT_FILENO, e.log, strlen(e.log));
    end(p);
    return r != 0;
}

static int start(struct program *p, const struct start *s, struct err *e)
{
    if (p->ops->prepare && p->ops->prepare(p, e) != 0)
        return -1;
    if (confine_enter(&s->confine, e) != 0)
        return -1;
    return confine_lock(p->ops->self, e);
}

int program_run(const struct program_ops *ops, void *arg, int argc, char **argv)
{
    static const struct channel_ops master_ops = {on_message, on_close};
    struct program p = {.ops = ops, .arg = arg};
    struct start s = {.confine = {.self = ops->self, .keep_privilege = ops->keep_privilege}};
    struct err e = {0};
    if (take_arguments(&p, &s, argc, argv) != 0)
        return usage();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* of the terminal: the master decides */
    if (sodium_init() < 0)
        return 1;
    log_open(s.log, ops->name, -1);
    p.base = event_base_new();
    if (!p.base || start(&p, &s, &e) != 0) {
        log_error("start", LZ("why", e.log));
        return 1;
    }
    if (s.check)
        return run_check(&p);
    p.master = channel_new(p.base, MASTER_FD, ops->self, MASTER, &master_ops, &p);
    struct event *term = evsignal_new(p.base, SIGTERM, on_signal, &p);
    event_add(term, NULL);
    event_base_dispatch(p.base);
    event_free(term);
    if (p.last_moment)
        event_free(p.last_moment);
    end(&p);
    return p.exit_status;
}
