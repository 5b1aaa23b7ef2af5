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
#include "session/session.h"
#include "store/home.h"
#include "store/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct parent {
    struct config *cfg;
    struct map *sessions; /* pid → uid */
    struct event *child_ended;
    uint64_t started;
};

static struct str pid_key(const pid_t *pid)
{
    return (struct str){(const char *)pid, sizeof *pid};
}

/* Charsets of mail (the MIME names seen in the wild). Their tables stay loaded because the
 * descriptors stay open; a confined session could not read them. */
static void warm_charsets(void)
{
    static const char *const names[] = {
        "ISO-8859-1",   "ISO-8859-2",   "ISO-8859-3",   "ISO-8859-4",  "ISO-8859-5",
        "ISO-8859-6",   "ISO-8859-7",   "ISO-8859-8",   "ISO-8859-9",  "ISO-8859-10",
        "ISO-8859-13",  "ISO-8859-14",  "ISO-8859-15",  "ISO-8859-16", "WINDOWS-1250",
        "WINDOWS-1251", "WINDOWS-1252", "WINDOWS-1253", "WINDOWS-1254", "WINDOWS-1255",
        "WINDOWS-1256", "WINDOWS-1257", "WINDOWS-1258", "KOI8-R",      "KOI8-U",
        "GB2312",       "GBK",          "GB18030",      "BIG5",        "EUC-JP",
        "SHIFT_JIS",    "ISO-2022-JP",  "EUC-KR",       "ISO-2022-KR", "CP949",
        "UTF-7",        "UTF-16",       "UTF-16LE",     "UTF-16BE",    "UTF-32",
        "CP437",        "CP850",        "CP866",        "MACINTOSH",   "TIS-620",
        "ISO-8859-11",  "US-ASCII",     "BIG5-HKSCS",   "CP932",       "VISCII",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (iconv_open("UTF-8", names[i]) == (iconv_t)-1)
            log_debug("charset", LZ("missing", names[i]));
}

/* --- the child --- */

static void settings_from(struct session_settings *s, const struct config *cfg,
                          const struct msg_session_start *m, int maildir)
{
    session_settings_default(s);
    s->user = m->login;
    s->maildir_fd = maildir;
    s->message_size_limit = cfg->message_size_limit;
    s->quota_bytes = m->limit;
    s->inactivity_ms = cfg->imap_idle_timeout * 1000;
}

static void say_bye(int stream, const struct err *e)
{
    static const char text[] =
        "* BYE [UNAVAILABLE] The mailbox cannot be opened now, try again later.\r\n";
    ssize_t ignored = write(stream, text, sizeof text - 1);
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
    enum { STREAM = 3, HOME = 4 };
    AUTO_FREE char *path = mem_strdup(m->home);
    const char *const reachable[] = {path, NULL};
    struct session_settings settings;
    struct err e = {0};
    int maildir;
    signal(SIGTERM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    int high = fcntl(home, F_DUPFD, HOME + 1); /* dup2 below must not close it first */
    if (high < 0 || dup2(stream, STREAM) != STREAM || dup2(high, HOME) != HOME ||
        close_range(HOME + 1, ~0u, 0) != 0)
        _exit(1);
    if (confine_become(uid, gid, reachable, &e) != 0 ||
        store_maildir_open(HOME, name_below(m->home, m->maildir), true, &maildir, &e) != 0) {
        say_bye(STREAM, &e);
        _exit(1);
    }
    settings_from(&settings, p->cfg, m, maildir);
    _exit(session_main_imap(STREAM, STREAM, &settings));
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
    pid_t pid = fork();
    if (pid == 0)
        child(p, m, stream, home, uid, gid);
    if (pid < 0)
        return err_temp(e, "fork: %s", strerror(errno));
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
        log_info("session", LS("login", m->session_start.login), LN("uid", m->session_start.uid),
                 LN("pid", pid));
    else
        log_error("session-refused", LS("login", m->session_start.login), LZ("why", e.log));
    channel_send(program->master, &reply);
}

static void on_message(struct program *program, struct msg *m)
{
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
        if (WIFSIGNALED(status))
            log_error("session-died", LN("pid", pid), LN("signal", WTERMSIG(status)),
                      LN("uid", m.session_ended.uid));
        channel_send(program->master, &m);
    }
}

static int on_prepare(struct program *program, struct err *e)
{
    struct parent *p = program->arg;
    (void)e;
    warm_charsets();
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
        .name = "facteur/session",
        .prepare = on_prepare,
        .configure = on_configure,
        .message = on_message,
        .status = on_status,
    };
    struct parent p = {0};
    int status = program_run(&ops, &p, argc, argv);
    map_free(p.sessions, NULL);
    config_free(p.cfg);
    return status;
}
