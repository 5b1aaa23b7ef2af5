/*
 * The warmed parent of all sessions.
 *
 * Privileged (it may become any owner), but it was started on its own, never held a key or the
 * directory password, reads nothing from the network, and forks: the child becomes the owner for
 * good, is confined to the home, and only then touches the stream. What every session needs
 * (libraries, character-set tables) is loaded once here and shared.
 */
#include "session/parent.h"
#include "base/log.h"
#include "base/map.h"
#include "confine/confine.h"
#include "ipc/program.h"
#include "mail/encoding.h"
#include "session/session.h"
#include "store/home.h"
#include "store/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct parent {
    struct config *cfg;
    struct map *sessions; /* pid → uid */
    struct event *child_ended;
    struct mail_conv *charsets;
    uint64_t started;
};

static const char program_log_name[] = "facteur/session";

static struct str pid_key(const pid_t *pid)
{
    return (struct str){(const char *)pid, sizeof *pid};
}

/* --- the child --- */

static bool is_pop3(uint8_t service)
{
    return service == SERVICE_POP3 || service == SERVICE_POP3S;
}

static void settings_from(struct session_settings *s, const struct config *cfg,
                          const struct msg_session_start *m, int maildir)
{
    session_settings_default(s);
    s->user = m->login;
    s->id = m->session;
    s->client = m->client;
    s->maildir_fd = maildir;
    s->message_size_limit = cfg->message_size_limit;
    s->quota_bytes = m->limit;
    s->inactivity_ms =
        1000 * (is_pop3(m->service) ? cfg->pop3_idle_timeout : cfg->imap_idle_timeout);
    s->fts = cfg->fts;
}

static void say_bye(int stream, uint8_t service, const struct err *e)
{
    struct str text =
        is_pop3(service)
            ? STR("-ERR [SYS/TEMP] The mailbox cannot be opened now, try again later.\r\n")
            : STR("* BYE [UNAVAILABLE] The mailbox cannot be opened now, try again later.\r\n");
    ssize_t ignored = write(stream, text.p, text.n);
    (void)ignored;
    log_error("session-open", LZ("why", e->log));
}

/* The maildir's name below the home: "mailbox" of /var/vmail/ann/mailbox/. */
static struct str name_below(struct str home, struct str maildir)
{
    struct str rest = str_skip(maildir, home.n);
    while (rest.n && rest.p[0] == '/')
        rest = str_skip(rest, 1);
    while (rest.n && rest.p[rest.n - 1] == '/')
        rest.n--;
    return rest.n ? rest : STR(".");
}

static void child(struct parent *p, const struct msg_session_start *m, int stream, int home,
                  uid_t uid, gid_t gid)
{
    enum { STREAM = 3, HOME = 4, LOG = 5 };
    AUTO_FREE char *path = mem_strdup(m->home);
    const char *const reachable[] = {path, NULL};
    struct session_settings settings;
    struct err e = {0};
    int maildir;
    sigset_t none;
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int high_stream = fcntl(stream, F_DUPFD, LOG + 1); /* so that no dup2 closes what is still wanted */
    int high_home = fcntl(home, F_DUPFD, LOG + 1);
    int high_log = fcntl(log_fd(), F_DUPFD, LOG + 1);
    if (dup2(high_stream, STREAM) != STREAM || dup2(high_home, HOME) != HOME ||
        dup2(high_log, LOG) != LOG || close_range(LOG + 1, ~0u, 0) != 0)
        _exit(1);
    log_open(log_target(), program_log_name, LOG);
    if (confine_become(uid, gid, reachable, &e) != 0 ||
        store_maildir_open(HOME, name_below(m->home, m->maildir), true, &maildir, &e) != 0) {
        say_bye(STREAM, m->service, &e);
        _exit(1);
    }
    settings_from(&settings, p->cfg, m, maildir);
    _exit(is_pop3(m->service) ? session_main_pop3(STREAM, STREAM, &settings)
                              : session_main_imap(STREAM, STREAM, &settings));
}

/* --- the parent --- */

static int check(const struct parent *p, const struct msg_session_start *m, struct err *e)
{
    uint32_t floor = (uint32_t)p->cfg->virtual_minimum_uid;
    if (m->uid < floor || m->gid < floor)
        return err_temp(e, "uid %u gid %u of %.*s below virtual_minimum_uid", m->uid, m->gid,
                        STR_FMT(m->login));
    if (!str_starts(m->maildir, m->home))
        return err_temp(e, "maildir %.*s outside home", STR_FMT(m->maildir));
    return 0;
}

static pid_t start_session(struct parent *p, const struct msg_session_start *m, int stream,
                           struct err *e)
{
    bool single = p->cfg->single_uid;
    uid_t uid = single ? getuid() : m->uid;
    gid_t gid = single ? getgid() : m->gid;
    AUTO_FREE char *base = mem_strdup(p->cfg->virtual_mailbox_base);
    AUTO_FD home = -1;
    if (check(p, m, e) != 0 || store_home_make(base, m->home, uid, gid, &home, e) != 0)
        return -1;
    sigset_t all, before;
    sigfillset(&all);
    /* What the child hears before it has let go of our handlers would be told to this process, or lost. */
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        child(p, m, stream, home, uid, gid);
    int why = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return err_temp(e, "fork: %s", strerror(why));
    map_put(p->sessions, pid_key(&pid), (void *)(uintptr_t)m->uid);
    p->started++;
    return pid;
}

static void on_start(struct program *program, struct msg *m)
{
    struct parent *p = program->arg;
    struct msg reply = MSG_INIT(session_started);
    struct err e = {0};
    pid_t pid = p->cfg ? start_session(p, &m->session_start, m->fd, &e) : -1;
    reply.session_started.id = m->session_start.id;
    reply.session_started.verdict = pid > 0 ? VERDICT_YES : VERDICT_CANNOT_SAY;
    reply.session_started.pid = pid > 0 ? (uint32_t)pid : 0;
    if (pid > 0)
        log_info("session", LS("session", m->session_start.session), LS("login", m->session_start.login),
                 LN("uid", m->session_start.uid), LN("pid", pid));
    else
        log_error("session-refused", LS("login", m->session_start.login), LZ("why", e.log));
    channel_send(program->master, &reply);
}

/* As the owner: our root has no right to signal others. Not reaped yet, so the number is still its. */
static void on_stop(struct program *program, const struct msg_session_stop *m)
{
    struct parent *p = program->arg;
    pid_t pid = (pid_t)m->pid;
    uint32_t uid = (uint32_t)(uintptr_t)map_get(p->sessions, pid_key(&pid));
    struct err e = {0};
    if (uid == 0)
        return;
    if (!p->cfg->single_uid && geteuid() == 0 && confine_act_as(uid, uid, &e) != 0) {
        log_error("session-stop", LN("pid", pid), LZ("why", e.log));
        return;
    }
    if (kill(pid, SIGHUP) != 0)
        log_error("session-stop", LN("pid", pid), LZ("why", strerror(errno)));
    if (!p->cfg->single_uid && confine_act_back(&e) != 0)
        abort(); /* neither root nor a user: no session could be started as what it is to be */
}

/* No descriptor was left for the client's stream. */
static void on_unread(struct program *program, const struct msg *m)
{
    struct msg reply = MSG_INIT(session_started);
    reply.session_started.id = m->unread.id;
    reply.session_started.verdict = VERDICT_CANNOT_SAY;
    channel_send(program->master, &reply);
}

static void on_message(struct program *program, struct msg *m)
{
    if (m->type == MSG_unread)
        on_unread(program, m);
    if (m->type == MSG_session_stop)
        on_stop(program, &m->session_stop);
    if (m->type == MSG_session_start)
        on_start(program, m);
}

static void on_child_ended(evutil_socket_t number, short what, void *arg)
{
    struct program *program = arg;
    struct parent *p = program->arg;
    int status;
    pid_t pid;
    (void)number;
    (void)what;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct msg m = MSG_INIT(session_ended);
        m.session_ended.pid = (uint32_t)pid;
        m.session_ended.uid = (uint32_t)(uintptr_t)map_take(p->sessions, pid_key(&pid));
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGHUP)
            log_error("session-died", LN("pid", pid), LN("signal", WTERMSIG(status)),
                      LN("uid", m.session_ended.uid));
        channel_send(program->master, &m);
    }
}

static int on_prepare(struct program *program, struct err *e)
{
    struct parent *p = program->arg;
    (void)e;
    tzset(); /* a confined session cannot read the zone */
    p->charsets = mail_conv_new();
    mail_conv_preload(p->charsets); /* nor the tables, which stay loaded with their descriptors */
    p->sessions = map_new();
    p->child_ended = evsignal_new(program->base, SIGCHLD, on_child_ended, program);
    event_add(p->child_ended, NULL);
    return 0;
}

static int on_configure(struct program *program, struct config *cfg, const struct bundle *b,
                        bool reload, struct err *e)
{
    struct parent *p = program->arg;
    (void)b;
    (void)reload;
    (void)e;
    config_free(p->cfg);
    p->cfg = cfg;
    return 0;
}

static void on_status(struct program *program, struct buf *out)
{
    struct parent *p = program->arg;
    buf_printf(out, "sessions=%zu started=%llu", map_count(p->sessions),
               (unsigned long long)p->started);
}

int parent_main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = SESSION,
        .keep_privilege = true,
        .name = program_log_name,
        .prepare = on_prepare,
        .configure = on_configure,
        .message = on_message,
        .status = on_status,
    };
    struct parent p = {0};
    int status = program_run(&ops, &p, argc, argv);
    map_free(p.sessions, NULL);
    mail_conv_free(p.charsets);
    config_free(p.cfg);
    return status;
}
