/*
 * From a login's grant to a session: redeemed at the directory, checked, handed to the session
 * parent, and the other end of the stream given to the program that holds the client.
 *
 * The master owns every ask until it is answered; asker, directory and session parent may each die
 * in between. A user's sessions are counted from the moment one is asked for until it is over, whether
 * their parent lives or not.
 */
#include "base/map.h"
#include "master/live.h"
#include "master/master.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKS_MAX 2000
#define ASK_MS 15000
#define NO_UID UINT32_MAX

enum stage { STAGE_REDEEM, STAGE_START };

struct ask {
    struct sessions *all;
    uint64_t id; /* ours, in the messages to the directory and to the session parent */
    enum stage stage;
    struct child *asker;
    unsigned asker_life;
    uint64_t asker_id;
    uint8_t service;
    bool answered;
    uint32_t uid; /* NO_UID: not counted */
    int stream;   /* the client's end */
    char *session, *client; /* of the connection, for the log */
    char *login, *name; /* once it was redeemed */
    struct event *timer;
};

struct sessions {
    struct master *m;
    struct live *live;
    struct map *asks; /* by id */
    struct map *of_user; /* uid → number of sessions, as a pointer's value */
    uint64_t last_id;
    size_t total;
};

static struct str id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof *id};
}

/* --- how many a user has --- */

static size_t user_count(const struct sessions *s, uint32_t uid)
{
    return (size_t)(uintptr_t)map_get(s->of_user, (struct str){(const char *)&uid, sizeof uid});
}

static void user_set(struct sessions *s, uint32_t uid, size_t n)
{
    struct str key = {(const char *)&uid, sizeof uid};
    if (n)
        map_put(s->of_user, key, (void *)(uintptr_t)n);
    else
        map_take(s->of_user, key);
}

static void user_less(struct sessions *s, uint32_t uid)
{
    size_t n = user_count(s, uid);
    if (uid == NO_UID || n == 0)
        return;
    user_set(s, uid, n - 1);
    s->total--;
}

/* --- the life of an ask --- */

static void ask_free(void *arg)
{
    struct ask *a = arg;
    event_free(a->timer);
    fd_closep(&a->stream);
    free(a->session);
    free(a->client);
    free(a->login);
    free(a->name);
    free(a);
}

static void ask_drop(struct ask *a)
{
    map_take(a->all->asks, id_key(&a->id));
    ask_free(a);
}

static void reply(struct child *asker, unsigned life, uint64_t id, enum verdict verdict, int fd)
{
    struct msg msg = MSG_INIT(session_reply);
    if (asker->life != life)
        return; /* it died meanwhile; its clients are gone with it */
    msg.fd = fd >= 0 ? fd : asker->m->null_fd;
    msg.session_reply.id = id;
    msg.session_reply.verdict = (uint8_t)verdict;
    child_send(asker, &msg);
}

static void answer(struct ask *a, enum verdict verdict)
{
    if (!a->answered)
        reply(a->asker, a->asker_life, a->asker_id, verdict,
              verdict == VERDICT_YES ? a->stream : -1);
    a->answered = true;
    fd_closep(&a->stream);
}

static void fail(struct ask *a, enum verdict verdict, const char *why)
{
    log_warning("session-refused", LZ("session", a->session),
                LZ("service", service_name((enum service)a->service)),
                LN("uid", a->uid == NO_UID ? -1 : (int64_t)a->uid), LZ("why", why));
    answer(a, verdict);
    user_less(a->all, a->uid);
    ask_drop(a);
}

/* A session that starts after all meets a closed stream; it stays counted until it is over. */
static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct ask *a = arg;
    (void)fd;
    (void)what;
    if (a->stage == STAGE_REDEEM)
        fail(a, VERDICT_CANNOT_SAY, "the directory did not answer in time");
    else
        answer(a, VERDICT_CANNOT_SAY);
}

static struct child *the_only(struct master *m, enum kind k)
{
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].kind == k)
            return m->child[i].ch ? &m->child[i] : NULL;
    return NULL;
}

static struct ask *ask_new(struct sessions *s, struct child *asker,
                           const struct msg_session_ask *said)
{
    const struct timeval tv = {ASK_MS / 1000, 0};
    struct ask *a = MEM_NEW(struct ask);
    *a = (struct ask){.all = s, .id = ++s->last_id, .asker = asker, .asker_life = asker->life,
                      .asker_id = said->id, .service = said->service, .uid = NO_UID, .stream = -1,
                      .session = mem_strdup(said->session), .client = mem_strdup(said->client)};
    a->timer = evtimer_new(s->m->base, on_timeout, a);
    event_add(a->timer, &tv);
    map_put(s->asks, id_key(&a->id), a);
    return a;
}

static bool is_mailbox_service(uint8_t service)
{
    return service >= SERVICE_IMAP && service <= SERVICE_POP3S;
}

void sessions_ask(struct sessions *s, struct child *access, const struct msg_session_ask *said)
{
    struct child *directory = the_only(s->m, KIND_DIRECTORY);
    if (!directory || !is_mailbox_service(said->service) || map_count(s->asks) >= ASKS_MAX) {
        reply(access, access->life, said->id, VERDICT_CANNOT_SAY, -1);
        return;
    }
    struct ask *a = ask_new(s, access, said);
    struct msg msg = MSG_INIT(redeem_ask);
    msg.redeem_ask.id = a->id;
    msg.redeem_ask.grant = said->grant;
    msg.redeem_ask.use = REDEEM_USE;
    if (!child_send(directory, &msg))
        fail(a, VERDICT_CANNOT_SAY, "the directory is gone");
}

/* --- the grant's fields --- */

/* IMAP with and without TLS from the start are one service, and so are the two of POP3. */
static unsigned family(uint8_t service)
{
    return (service - SERVICE_IMAP) / 2u;
}

static bool is_clean_path(struct str path)
{
    struct str rest = path, piece;
    if (path.n < 2 || path.p[0] != '/' || memchr(path.p, '\0', path.n))
        return false;
    while (str_token(&rest, "/", &piece))
        if (str_eq(piece, STR(".")) || str_eq(piece, STR("..")))
            return false;
    return true;
}

static bool is_below_base(const struct config *cfg, struct str path)
{
    struct str base = cfg->virtual_mailbox_base;
    while (base.n > 1 && base.p[base.n - 1] == '/')
        base.n--;
    return is_clean_path(path) && str_starts(path, base) && path.n > base.n + 1 &&
           path.p[base.n] == '/';
}

static bool is_program_user(const struct material *m, uint32_t uid)
{
    for (int k = 0; k < KINDS; k++)
        if (m->user[k].uid && m->user[k].uid == uid)
            return true;
    return false;
}

/* NULL, or what is wrong: a directory gone mad must not make the master start root's session. */
static const char *what_is_wrong(const struct ask *a, const struct msg_redeem_reply *r)
{
    const struct config *cfg = a->all->m->now->cfg;
    uint64_t floor = (uint64_t)cfg->virtual_minimum_uid;
    if (r->verdict != VERDICT_YES)
        return "the grant is not valid";
    if (!is_mailbox_service(r->service) || family(r->service) != family(a->service))
        return "the grant is for another service";
    if (r->uid < floor || r->gid < floor || r->uid == NO_UID || r->gid == NO_UID)
        return "uid or gid below virtual_minimum_uid";
    if (is_program_user(a->all->m->now, r->uid))
        return "the uid is that of a program";
    if (!is_below_base(cfg, r->home) || !is_below_base(cfg, r->maildir))
        return "home or maildir outside virtual_mailbox_base";
    return NULL;
}

/* --- starting it --- */

static int send_start(struct ask *a, struct child *parent, const struct msg_redeem_reply *r)
{
    struct msg msg = MSG_INIT(session_start);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    a->stream = pair[0];
    msg.fd = pair[1];
    msg.session_start.id = a->id;
    msg.session_start.service = a->service;
    msg.session_start.uid = r->uid;
    msg.session_start.gid = r->gid;
    msg.session_start.home = r->home;
    msg.session_start.maildir = r->maildir;
    msg.session_start.login = r->login;
    msg.session_start.limit = r->limit;
    msg.session_start.session = str_from(a->session);
    msg.session_start.client = str_from(a->client);
    bool sent = child_send(parent, &msg);
    close(pair[1]);
    return sent ? 0 : -1;
}

/* Sessions of this user from this address that are about to start. */
static size_t starting_count(const struct sessions *s, uint32_t uid, const char *client)
{
    size_t at = 0, n = 0;
    struct str key;
    void *value;
    while (map_next(s->asks, &at, &key, &value)) {
        const struct ask *a = value;
        n += a->stage == STAGE_START && a->uid == uid && strcmp(a->client, client) == 0;
    }
    return n;
}

/* NULL, or the limit that would be passed. All sessions are looked at only where the user has many. */
static const char *what_is_full(const struct ask *a, uint32_t uid)
{
    const struct sessions *s = a->all;
    const struct config *cfg = s->m->now->cfg;
    uint64_t most = (uint64_t)cfg->mail_max_user_sessions, here = (uint64_t)cfg->mail_max_userip_connections;
    size_t n = user_count(s, uid);
    if (most && n >= most)
        return "mail_max_user_sessions";
    if (here && n >= here &&
        live_count(s->live, uid, str_from(a->client)) + starting_count(s, uid, a->client) >= here)
        return "mail_max_userip_connections";
    return NULL;
}

static void start(struct ask *a, const struct msg_redeem_reply *r)
{
    struct sessions *s = a->all;
    struct child *parent = the_only(s->m, KIND_SESSION);
    const char *full = what_is_full(a, r->uid);
    if (full) {
        fail(a, VERDICT_REFUSED, full);
        return;
    }
    a->uid = r->uid;
    a->login = mem_strdup(r->login);
    a->name = mem_strdup(r->name);
    a->stage = STAGE_START;
    user_set(s, a->uid, user_count(s, a->uid) + 1);
    s->total++;
    if (!parent || send_start(a, parent, r) != 0)
        fail(a, VERDICT_CANNOT_SAY, "no session program");
}

void sessions_redeemed(struct sessions *s, const struct msg_redeem_reply *r)
{
    struct ask *a = map_get(s->asks, id_key(&r->id));
    if (!a || a->stage != STAGE_REDEEM)
        return;
    const char *wrong = what_is_wrong(a, r);
    if (wrong)
        fail(a, VERDICT_CANNOT_SAY, wrong);
    else
        start(a, r);
}

void sessions_started(struct sessions *s, const struct msg_session_started *r)
{
    struct ask *a = map_get(s->asks, id_key(&r->id));
    if (!a || a->stage != STAGE_START)
        return;
    if (r->verdict != VERDICT_YES) {
        fail(a, VERDICT_CANNOT_SAY, "the session could not start");
        return;
    }
    live_began(s->live, r->pid, a->uid, str_from(a->login), str_from(a->name),
               str_from(a->client));
    log_info("session", LZ("session", a->session), LZ("service", service_name((enum service)a->service)),
             LN("uid", a->uid), LN("pid", r->pid));
    answer(a, VERDICT_YES);
    ask_drop(a);
}

void sessions_ended(struct sessions *s, const struct msg_session_ended *r)
{
    uint32_t uid;
    user_less(s, r->uid);
    live_over(s->live, r->pid, &uid);
}

bool sessions_reaped(struct sessions *s, pid_t pid)
{
    uint32_t uid;
    if (!live_over(s->live, (uint32_t)pid, &uid))
        return false;
    user_less(s, uid);
    return true;
}

void sessions_stop_adopted(struct sessions *s)
{
    live_stop_adopted(s->live);
}

void sessions_end_user(struct sessions *s, const struct msg_login_end *r)
{
    live_end_user(s->live, r->login, r->uid);
}

void sessions_directory_ready(struct sessions *s)
{
    live_tell_all(s->live);
}

/* --- deaths --- */

static void fail_all(struct sessions *s, enum stage stage, const char *why)
{
    size_t at = 0;
    struct str key;
    void *value;
    while (map_next(s->asks, &at, &key, &value)) {
        struct ask *a = value;
        if (a->stage == stage)
            fail(a, VERDICT_CANNOT_SAY, why);
    }
}

static void on_over(void *arg, uint32_t uid)
{
    user_less(arg, uid);
}

static void parent_gone(struct sessions *s)
{
    fail_all(s, STAGE_START, "the session program died");
    live_adopt(s->live, on_over, s);
}

void sessions_child_gone(struct sessions *s, const struct child *c)
{
    if (c->kind == KIND_DIRECTORY)
        fail_all(s, STAGE_REDEEM, "the directory died");
    else if (c->kind == KIND_SESSION)
        parent_gone(s);
}

struct sessions *sessions_new(struct master *m)
{
    struct sessions *s = MEM_NEW(struct sessions);
    *s = (struct sessions){.m = m, .asks = map_new(), .of_user = map_new(), .live = live_new(m)};
    return s;
}

void sessions_free(struct sessions *s)
{
    map_free(s->asks, ask_free);
    map_free(s->of_user, NULL);
    live_free(s->live);
    free(s);
}

size_t sessions_count(const struct sessions *s)
{
    return s->total;
}
