/* Start, signals, and end. */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_PATIENCE_MS 3000

/* --- ready --- */

static bool all_ready(const struct master *m)
{
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].state != CHILD_READY)
            return false;
    return true;
}

/* Nobody reads the standard error of a server in the background, unless it is a file. */
static void tell_starter(struct master *m)
{
    struct stat st;
    if (m->ready_fd < 0)
        return;
    bool to_file = fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
    if (log_target() == LOG_TARGET_STDERR && !to_file)
        log_warning("log-ends", LZ("why", "log_target is stderr, and facteurd leaves it now"));
    ssize_t ignored = write(m->ready_fd, "", 1);
    (void)ignored;
    fd_closep(&m->ready_fd);
    if (!to_file)
        dup2(m->null_fd, STDERR_FILENO);
}

/* Clients are let in when everything behind the ports stands. */
static void run(struct master *m)
{
    char state[64];
    m->state = MASTER_RUNNING;
    links_new_ports(m);
    snprintf(state, sizeof state, "READY=1\nMAINPID=%d", (int)getpid());
    life_notify(state);
    log_info("running", LN("programs", m->children), LZ("config", m->now->file));
    tell_starter(m);
}

void master_child_ready(struct master *m, struct child *c)
{
    if (c->kind == KIND_DIRECTORY)
        sessions_directory_ready(m->sessions);
    if (m->state == MASTER_RUNNING)
        links_ports(c);
    else if (m->state == MASTER_STARTING && all_ready(m))
        run(m);
}

/* --- end --- */

static bool is_late(const struct child *c)
{
    return c->kind == KIND_DIRECTORY || c->kind == KIND_QUEUE || c->kind == KIND_DELIVER ||
           c->kind == KIND_RELAY;
}

/* First those who hold clients, so that what they began can be finished; then the others. */
static void end_next(struct master *m)
{
    bool front = false, any = false;
    for (size_t i = 0; i < m->children; i++) {
        any = any || m->child[i].state != CHILD_DOWN;
        front = front || (m->child[i].state != CHILD_DOWN && !is_late(&m->child[i]));
    }
    for (size_t i = 0; i < m->children; i++)
        if (!front || !is_late(&m->child[i]))
            child_end(&m->child[i]);
    if (!any)
        event_base_loopbreak(m->base);
}

static void on_end_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    end_next(arg);
}

void master_stop(struct master *m, int status)
{
    if (m->state == MASTER_STOPPING)
        return;
    m->state = MASTER_STOPPING;
    m->exit_status = status;
    life_notify("STOPPING=1");
    reload_free(m);
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].state == CHILD_DOWN)
            event_del(m->child[i].timer); /* no restart any more */
    sessions_stop_adopted(m->sessions);
    event_active(m->timer, EV_TIMEOUT, 1); /* from the loop: we may be inside a child's callback */
}

void master_child_gone(struct master *m, struct child *c)
{
    if (m->state == MASTER_STARTING) {
        log_error("start-failed", LZ("program", kind_name(c->kind)), LN("index", c->index));
        master_stop(m, 1);
    } else if (m->state == MASTER_STOPPING) {
        event_active(m->timer, EV_TIMEOUT, 1);
    }
}

/* --- signals --- */

static struct child *child_of(struct master *m, pid_t pid)
{
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].pid == pid)
            return &m->child[i];
    return NULL;
}

static void reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = child_of(m, pid);
        if (c)
            child_reaped(c, status);
        else if (sessions_reaped(m->sessions, pid) && WIFSIGNALED(status) &&
                 WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGHUP)
            log_error("session-died", LN("pid", pid), LN("signal", WTERMSIG(status)));
    }
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct master *m = arg;
    (void)what;
    if (number == SIGCHLD) {
        reap(m);
    } else if (number == SIGHUP) {
        reload_begin(m);
    } else {
        log_info("stop", LN("signal", number));
        master_stop(m, 0);
    }
}

static void watch_signals(struct master *m)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
    for (int i = 0; i < 4; i++) {
        m->signals[i] = evsignal_new(m->base, numbers[i], on_signal, m);
        event_add(m->signals[i], NULL);
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* sessions, when their parent dies */
}

/* --- the whole --- */

static int make_counters(struct master *m, struct err *e)
{
    for (enum kind k = 0; k < KINDS; k++) {
        m->counters_fd[k] = kind_is_front(k) ? counters_create() : -1;
        m->counters[k] = m->counters_fd[k] >= 0 ? counters_open(m->counters_fd[k]) : NULL;
        if (kind_is_front(k) && !m->counters[k])
            return err_perm(e, "table of connections: %s", strerror(errno));
    }
    m->rates_fd = rates_create();
    if (m->rates_fd < 0)
        return err_perm(e, "table of rates: %s", strerror(errno));
    return 0;
}

static int open_all(struct master *m, struct err *e)
{
    struct findings f = {0};
    ports_want(m->now->cfg, &m->ports, &f);
    bool bad = f.errors > 0; /* they were shown before */
    findings_free(&f);
    if (bad || ports_open(&m->ports, NULL, PORT_PATIENCE_MS, e) != 0)
        return -1;
    m->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (m->null_fd < 0)
        return err_perm(e, "/dev/null: %s", strerror(errno));
    if (make_counters(m, e) != 0)
        return -1;
    m->control = control_open(m, e);
    return m->control ? 0 : -1;
}

static void close_all(struct master *m)
{
    reload_free(m);
    children_free(m);
    sessions_free(m->sessions);
    control_close(m->control);
    ports_close_others(&m->ports, NULL);
    ports_free(&m->ports);
    for (int k = 0; k < KINDS; k++) {
        counters_close(m->counters[k]);
        fd_closep(&m->counters_fd[k]);
    }
    fd_closep(&m->rates_fd);
    fd_closep(&m->null_fd);
    for (int i = 0; i < 4 && m->signals[i]; i++)
        event_free(m->signals[i]);
    event_free(m->timer);
    event_base_free(m->base);
}

static struct master *master_new(struct material *mat, int ready_fd)
{
    struct master *m = MEM_NEW(struct master);
    m->base = event_base_new();
    if (!m->base)
        abort();
    m->now = mat;
    m->ready_fd = ready_fd;
    m->null_fd = m->rates_fd = -1;
    m->started_ms = clock_mono_ms();
    for (int k = 0; k < KINDS; k++)
        m->counters_fd[k] = -1;
    m->timer = evtimer_new(m->base, on_end_timer, m);
    m->sessions = sessions_new(m);
    return m;
}

static int serve(struct master *m, struct err *e)
{
    watch_signals(m);
    if (open_all(m, e) != 0)
        return -1;
    children_make(m);
    for (size_t i = 0; i < m->children; i++)
        child_start(&m->child[i]);
    event_base_dispatch(m->base);
    return 0;
}

int master_run(struct material *mat, int ready_fd)
{
    struct err e = {0};
    struct master *m = master_new(mat, ready_fd);
    pid_t running;
    int lock = -1, status = 1;
    if (life_directories(mat, m->empty_root, sizeof m->empty_root, &e) == 0)
        lock = life_lock(mat, &running, &e);
    if (lock >= 0 && life_write_pid(lock) != 0)
        err_perm(&e, "process file: %s", strerror(errno));
    if (lock >= 0 && e.kind == ERR_NONE && serve(m, &e) == 0)
        status = m->exit_status;
    if (e.kind != ERR_NONE)
        log_error("start-failed", LZ("why", e.log));
    close_all(m);
    if (lock >= 0)
        life_unlock(m->now, lock);
    fd_closep(&m->ready_fd);
    material_free(m->now);
    free(m);
    return status;
}
