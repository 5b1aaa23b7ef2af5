/*
 * Reload: the new configuration is read and its ports are opened; every program is asked to take it;
 * only when all have is it in force. One refusal, and all go back to the old one.
 */
#include "master/master.h"

#include <signal.h>
#include <stdlib.h>

#define RELOAD_MS 30000

struct reload {
    struct material *next;
    struct ports ports;
    struct event *timer;
};

static void report(struct master *m, struct str why)
{
    if (why.n)
        log_error("reload-failed", LS("why", why));
    else
        log_info("reload", LN("number", m->reloads));
    life_notify("READY=1");
    control_reloaded(m->control, why);
}

/* --- what a reload cannot change --- */

static bool is_fixed(const struct config_option *o)
{
    static const char *const fixed[] = {
        "run_directory", "queue_directory", "daemon_directory", "single_uid", "smtp_user",
        "access_user", "directory_user", "queue_user", "smtp_processes", "access_processes",
        "deliver_processes", "log_target",
    };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (strcmp(o->name, fixed[i]) == 0)
            return true;
    return false;
}

static void check_fixed(const struct material *old, const struct material *next,
                        struct findings *f)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (is_fixed(&config_options[i]) && !str_eq(old->cfg->value[i], next->cfg->value[i]))
            finding_error(f, "%s: changes with a restart only", config_options[i].name);
}

/* --- begin --- */

static void reload_drop(struct master *m)
{
    struct reload *r = m->reload;
    m->reload = NULL;
    event_free(r->timer);
    ports_free(&r->ports);
    material_free(r->next);
    free(r);
}

static void give_all(struct master *m, const struct material *mat)
{
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].ch && m->child[i].given != mat)
            child_configure(&m->child[i], mat, true);
}

static void abandon(struct master *m, struct str why)
{
    for (size_t i = 0; i < m->children; i++)
        m->child[i].reload_due = m->child[i].anew = false;
    give_all(m, m->now);
    ports_close_others(&m->reload->ports, &m->ports);
    report(m, why);
    reload_drop(m);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    abandon(arg, STR("a program did not answer in time"));
}

static int prepare(struct master *m, struct findings *f)
{
    struct reload *r = m->reload;
    struct err e = {0};
    r->next = material_load(m->now->file, false, f);
    if (!r->next || f->errors)
        return -1;
    check_fixed(m->now, r->next, f);
    ports_want(r->next->cfg, &r->ports, f);
    if (f->errors)
        return -1;
    if (ports_open(&r->ports, &m->ports, 0, &e) == 0)
        return 0;
    finding_error(f, "%s", e.log);
    ports_close_others(&r->ports, &m->ports);
    return -1;
}

/* The first line of the findings, without its "error: ". */
static struct str first_error(const struct findings *f)
{
    struct str rest = buf_view(&f->text), line;
    while (str_line(&rest, &line))
        if (str_starts(line, STR("error: ")))
            return str_skip(line, 7);
    return STR("unknown");
}

void reload_begin(struct master *m)
{
    const struct timeval tv = {RELOAD_MS / 1000, 0};
    char state[80];
    if (m->reload || m->state != MASTER_RUNNING)
        return; /* the one under way answers all who ask */
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)clock_mono_ms() * 1000);
    life_notify(state);
    m->reload = MEM_NEW(struct reload);
    m->reload->timer = evtimer_new(m->base, on_timeout, m);
    event_add(m->reload->timer, &tv);
    struct findings f = {0};
    if (prepare(m, &f) != 0) {
        report(m, first_error(&f));
        reload_drop(m);
    } else {
        for (size_t i = 0; i < m->children; i++)
            m->child[i].reload_due = m->child[i].ch != NULL;
        give_all(m, m->reload->next);
    }
    findings_free(&f);
}

/* --- end --- */

static void close_port(struct master *m, const struct port *p)
{
    struct msg msg = MSG_INIT(listener_close);
    msg.listener_close.number = p->number;
    for (size_t i = 0; i < m->children; i++)
        if (p->number && m->child[i].kind == kind_of_service(p->service))
            child_send(&m->child[i], &msg);
}

static bool holds_fd(const struct ports *ports, int fd)
{
    for (size_t i = 0; i < ports->n; i++)
        if (ports->v[i].fd == fd)
            return true;
    return false;
}

/* The old ports close, the new ones are told to everybody who serves them. */
static void change_ports(struct master *m, struct ports *next)
{
    struct ports old = m->ports;
    for (size_t i = 0; i < old.n; i++)
        if (old.v[i].fd >= 0 && !holds_fd(next, old.v[i].fd))
            close_port(m, &old.v[i]);
    ports_close_others(&old, next);
    ports_free(&old);
    m->ports = *next;
    *next = (struct ports){NULL, 0};
    links_new_ports(m);
}

static void start_anew(struct child *c)
{
    if (!c->anew)
        return;
    log_info("child-anew", LZ("program", kind_name(c->kind)), LN("index", c->index), LN("pid", c->pid));
    child_end(c);
}

static void commit(struct master *m)
{
    struct material *old = m->now;
    m->now = m->reload->next;
    m->reload->next = old;
    m->reloads++;
    change_ports(m, &m->reload->ports);
    give_all(m, m->now); /* to those that were started in between */
    for (size_t i = 0; i < m->children; i++)
        start_anew(&m->child[i]);
    log_verbose(m->now->cfg->debug);
    report(m, STR(""));
    reload_drop(m);
}

static void look_whether_done(struct master *m)
{
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].reload_due)
            return;
    commit(m);
}

void reload_answer(struct master *m, struct child *c, struct str error)
{
    char why[600];
    if (!m->reload)
        start_anew(c); /* it came up while the others were answering */
    if (!m->reload || !c->reload_due)
        return;
    c->reload_due = false;
    if (error.n == 0) {
        look_whether_done(m);
        return;
    }
    snprintf(why, sizeof why, "%s: %.*s", kind_name(c->kind), STR_FMT(error));
    abandon(m, str_from(why));
}

void reload_child_gone(struct master *m, struct child *c)
{
    if (!c->reload_due)
        return;
    c->reload_due = false;
    if (m->reload)
        look_whether_done(m);
}

void reload_free(struct master *m)
{
    if (!m->reload)
        return;
    ports_close_others(&m->reload->ports, &m->ports);
    reload_drop(m);
}
