/*
 * Asks the real directory program, for tests: starts it as the master does, plays two smtp
 * programs, access, queue and deliver, and turns lines of text into questions and answers into
 * lines.
 *
 *   dirclient BINARY FACTEUR.CONF
 *
 * In: "TAG COMMAND ARGUMENT…", each argument %XX-encoded, "%" alone is empty. Out: "TAG ANSWER
 * key=value…" in the order the answers come, ended by "." after the last line of one answer.
 */
#include "tests/lib/ipc/testmaster.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS 6
#define LINE_MAX_BYTES 20000

enum peers { PEER_SMTP0, PEER_SMTP1, PEER_ACCESS, PEER_QUEUE, PEER_DELIVER, PEERS };

static const struct {
    const char *name;
    unsigned program, index;
} peer_of[PEERS] = {{"smtp", SMTP, 0},
                    {"smtp1", SMTP, 1},
                    {"access", ACCESS, 0},
                    {"queue", QUEUE, 0},
                    {"deliver", DELIVER, 0}};

struct client {
    struct event_base *base;
    struct testmaster_child child;
    struct channel *peers[PEERS];
    const char *conf;
    struct event *flush; /* answers are written together, once a turn of the loop */
    struct buf in;
    struct buf ended; /* the logins that the directory wants ended: " ended=LOGIN:UID" each */
};

/* --- text --- */

static int hex(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *p = c ? strchr(digits, c) : NULL;
    return p ? (int)(p - digits) : 0;
}

/* In place. */
static struct str decode(struct str s)
{
    char *p = (char *)s.p;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (p[i] == '%' && i + 2 < s.n) {
            p[n++] = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
            i += 2;
        } else if (p[i] != '%') {
            p[n++] = p[i];
        }
    }
    return (struct str){p, n};
}

static void put_value(const char *key, struct str v)
{
    printf(" %s=", key);
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        if (c <= ' ' || c == '%' || c == ',' || c >= 0x7f)
            printf("%%%02X", c);
        else
            putchar(c);
    }
}

static void put_grant(const struct grant *g)
{
    if (grant_is_none(g))
        return;
    for (size_t i = 0; i < GRANT_SIZE; i++)
        printf("%02X", g->b[i]);
}

static struct grant get_grant(struct str s)
{
    struct grant g = {0};
    for (size_t i = 0; i + 1 < s.n && i / 2 < GRANT_SIZE; i += 2)
        g.b[i / 2] = (unsigned char)(hex(s.p[i]) * 16 + hex(s.p[i + 1]));
    return g;
}

static const char *verdict_name(unsigned v)
{
    static const char *const names[] = {"cannot-say", "yes", "no", "not-here", "remote"};
    return v < 5 ? names[v] : "other";
}

/* --- answers --- */

static void put_targets(const struct msg_targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        printf(" target=");
        put_grant(&t->v[i].grant);
        put_value("address", t->v[i].address);
    }
}

static void put_redeemed(const struct msg_redeem_reply *r)
{
    printf(" service=%s uid=%u gid=%u limit=%llu", service_name((enum service)r->service), r->uid,
           r->gid, (unsigned long long)r->limit);
    put_value("home", r->home);
    put_value("maildir", r->maildir);
    put_value("login", r->login);
    put_value("address", r->address);
    put_value("name", r->name);
}

static void put_answer(const struct msg *m)
{
    printf("%llu", (unsigned long long)msg_id(m));
    bool more = false;
    switch (m->type) {
    case MSG_resolve_reply:
        printf(" %s", verdict_name(m->resolve_reply.verdict));
        put_value("text", m->resolve_reply.text);
        put_targets(&m->resolve_reply.targets);
        more = m->resolve_reply.more;
        break;
    case MSG_auth_reply:
        printf(" %s grant=", verdict_name(m->auth_reply.verdict));
        put_grant(&m->auth_reply.grant);
        printf(" state=%u", m->auth_reply.state);
        put_value("login", m->auth_reply.login);
        put_value("text", m->auth_reply.text);
        break;
    case MSG_sender_reply:
        printf(" %s", verdict_name(m->sender_reply.verdict));
        put_value("text", m->sender_reply.text);
        break;
    case MSG_flush_reply:
        printf(" flushed dropped=%u", m->flush_reply.dropped);
        break;
    case MSG_redeem_reply:
        printf(" %s", verdict_name(m->redeem_reply.verdict));
        put_redeemed(&m->redeem_reply);
        break;
    default:
        printf(" unexpected %s", msg_name(m->type));
    }
    printf("%s\n", more ? "" : " .");
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    fflush(stdout);
}

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    struct client *c = arg;
    (void)ch;
    put_answer(m);
    event_active(c->flush, EV_TIMEOUT, 0);
}

static void on_close(struct channel *ch, void *arg)
{
    struct client *c = arg;
    for (int i = 0; i < PEERS; i++)
        if (c->peers[i] == ch)
            c->peers[i] = NULL;
    channel_free(ch);
    printf("0 closed .\n");
    fflush(stdout);
}

/* --- starting the program --- */

static void join(struct client *c, int i)
{
    static const struct channel_ops ops = {on_message, on_close};
    int fd = testmaster_link(&c->child, peer_of[i].program, peer_of[i].index);
    channel_free(c->peers[i]);
    c->peers[i] = channel_new(c->base, fd, peer_of[i].program, DIRECTORY, &ops, c);
}

/* --- questions --- */

struct question {
    uint64_t tag;
    struct str command, a[ARGUMENTS];
};

static int peer_named(struct str name, int otherwise)
{
    for (int i = 0; i < PEERS; i++)
        if (str_eq(name, str_from(peer_of[i].name)))
            return i;
    return otherwise;
}

static void ask_resolve(struct client *c, const struct question *q)
{
    struct msg m = MSG_INIT(resolve_ask);
    m.resolve_ask.id = q->tag;
    m.resolve_ask.address = q->a[0];
    m.resolve_ask.flags = str_eq(q->a[1], STR("final")) ? RESOLVE_FINAL : 0;
    channel_send(c->peers[peer_named(q->a[2], PEER_SMTP0)], &m);
}

static enum service service_named(struct str name)
{
    for (int s = SERVICE_SMTP; s <= SERVICE_POP3S; s++)
        if (str_eq(name, str_from(service_name((enum service)s))))
            return (enum service)s;
    return SERVICE_SUBMISSION;
}

static void ask_auth(struct client *c, const struct question *q)
{
    struct msg m = MSG_INIT(auth_ask);
    enum service s = service_named(q->a[2]);
    m.auth_ask.id = q->tag;
    m.auth_ask.service = (uint8_t)s;
    m.auth_ask.user = q->a[0];
    m.auth_ask.password = q->a[1];
    m.auth_ask.client = q->a[4]; /* an address whose wrong passwords count, or nothing */
    channel_send(c->peers[peer_named(q->a[3], s >= SERVICE_IMAP ? PEER_ACCESS : PEER_SMTP0)], &m);
}

static void ask_sender(struct client *c, const struct question *q)
{
    struct msg m = MSG_INIT(sender_ask);
    m.sender_ask.id = q->tag;
    m.sender_ask.grant = get_grant(q->a[0]);
    m.sender_ask.address = q->a[1];
    channel_send(c->peers[peer_named(q->a[2], PEER_SMTP0)], &m);
}

static void take_end(struct client *c, const struct msg_login_end *m)
{
    buf_printf(&c->ended, " ended=%.*s:%u", STR_FMT(m->login), m->uid);
}

/* The master's own channel is not in the event loop: its answer is waited for here, and what came
 * unasked before it is put aside. 1, or 0 and less when there is none. */
static int receive(struct client *c, int ms, struct buf *bytes, struct arena *a, struct msg *m)
{
    struct err e = {0};
    int r;
    do {
        buf_clear(bytes);
        r = channel_recv_now(c->child.fd, DIRECTORY, MASTER, ms, bytes, a, m, &e);
        if (r == 1 && m->type == MSG_login_end)
            take_end(c, &m->login_end);
    } while (r == 1 && m->type == MSG_login_end);
    return r;
}

static void ask_as_master(struct client *c, const struct msg *m)
{
    struct err e = {0};
    struct msg reply;
    AUTO_BUF bytes = {0};
    AUTO_ARENA arena = arena_new(1024);
    if (channel_send_now(c->child.fd, m, &e) == 0 &&
        receive(c, 20000, &bytes, arena, &reply) == 1)
        put_answer(&reply);
    else
        fprintf(stderr, "dirclient: %s\n", e.log);
}

static void ask_redeem(struct client *c, const struct question *q)
{
    struct msg m = MSG_INIT(redeem_ask);
    m.redeem_ask.id = q->tag;
    m.redeem_ask.grant = get_grant(q->a[0]);
    m.redeem_ask.use = str_eq(q->a[2], STR("use")) ? REDEEM_USE : REDEEM_LOOK;
    if (str_eq(q->a[1], STR("master")))
        ask_as_master(c, &m);
    else
        channel_send(c->peers[peer_named(q->a[1], PEER_DELIVER)], &m);
}

static void ask_flush(struct client *c, const struct question *q)
{
    struct msg m = MSG_INIT(flush_ask);
    m.flush_ask.id = q->tag;
    m.flush_ask.user = q->a[0];
    ask_as_master(c, &m);
}

/* As the master tells of a mailbox session: began, over. */
static void tell_session(struct client *c, const struct question *q)
{
    struct msg began = MSG_INIT(login_began), over = MSG_INIT(login_over);
    struct err e = {0};
    uint32_t uid = 0;
    str_u32(q->a[1], &uid);
    began.login_began.uid = over.login_over.uid = uid;
    began.login_began.login = over.login_over.login = q->a[0];
    began.login_began.name = q->a[2];
    channel_send_now(c->child.fd, str_eq(q->command, STR("began")) ? &began : &over, &e);
    printf("%llu told .\n", (unsigned long long)q->tag);
}

static void tell_ended(struct client *c, const struct question *q)
{
    struct msg m;
    AUTO_BUF bytes = {0};
    AUTO_ARENA arena = arena_new(1024);
    receive(c, 1, &bytes, arena, &m);
    printf("%llu ended%s .\n", (unsigned long long)q->tag, buf_z(&c->ended));
    buf_clear(&c->ended);
}

static void tell_drop(struct client *c, const struct question *q)
{
    struct msg m = MSG_INIT(grant_drop);
    m.grant_drop.grant = get_grant(q->a[0]);
    channel_send(c->peers[peer_named(q->a[1], PEER_SMTP0)], &m);
    printf("%llu dropped .\n", (unsigned long long)q->tag);
}

static void tell_status(struct client *c, const struct question *q)
{
    AUTO_BUF text = {0};
    testmaster_status(&c->child, &text);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\n')
            text.p[i] = ' ';
    printf("%llu status %s .\n", (unsigned long long)q->tag, buf_z(&text));
}

static void tell_reload(struct client *c, const struct question *q)
{
    bool good = testmaster_configure_directory(&c->child, c->conf, true) == 0;
    printf("%llu %s", (unsigned long long)q->tag, good ? "reloaded" : "refused");
    put_value("error", str_from(c->child.error));
    printf(" .\n");
}

static void tell_relink(struct client *c, const struct question *q)
{
    join(c, peer_named(q->a[0], PEER_SMTP0));
    printf("%llu relinked .\n", (unsigned long long)q->tag);
}

static void run_question(struct client *c, const struct question *q)
{
    static const struct {
        const char *name;
        void (*run)(struct client *c, const struct question *q);
    } commands[] = {{"resolve", ask_resolve}, {"auth", ask_auth},     {"sender", ask_sender},
                    {"redeem", ask_redeem},   {"drop", tell_drop},    {"status", tell_status},
                    {"flush", ask_flush},     {"ended", tell_ended},
                    {"began", tell_session},  {"over", tell_session},
                    {"reload", tell_reload},  {"relink", tell_relink}};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (str_eq(q->command, str_from(commands[i].name))) {
            commands[i].run(c, q);
            fflush(stdout);
            return;
        }
    fprintf(stderr, "dirclient: unknown command\n");
    exit(2);
}

static void take_line(struct client *c, struct str line)
{
    struct question q = {0};
    struct str piece;
    if (!str_token(&line, " ", &piece) || str_u64(piece, &q.tag) != 0 ||
        !str_token(&line, " ", &q.command))
        return;
    for (size_t i = 0; i < ARGUMENTS && str_token(&line, " ", &piece); i++)
        q.a[i] = decode(piece);
    run_question(c, &q);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    char *room = buf_room(&c->in, LINE_MAX_BYTES);
    ssize_t n = read((int)fd, room, LINE_MAX_BYTES);
    char *end;
    (void)what;
    if (n <= 0) {
        event_base_loopbreak(c->base);
        return;
    }
    c->in.n += (size_t)n;
    while ((end = memchr(c->in.p, '\n', c->in.n))) {
        size_t length = (size_t)(end - c->in.p);
        take_line(c, (struct str){c->in.p, length});
        buf_consume(&c->in, length + 1);
    }
}

int main(int argc, char **argv)
{
    struct client c = {0};
    if (argc != 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    c.conf = argv[2];
    if (testmaster_start(&c.child, DIRECTORY, argv[1], 0, 0, 0) != 0)
        return 1;
    if (testmaster_configure_directory(&c.child, c.conf, false) != 0) {
        printf("0 refused");
        put_value("error", str_from(c.child.error));
        printf(" .\n");
        testmaster_stop(&c.child);
        return 1;
    }
    c.base = event_base_new();
    c.flush = evtimer_new(c.base, on_flush, &c);
    for (int i = 0; i < PEERS; i++)
        join(&c, i);
    printf("0 ready pid=%d .\n", (int)c.child.pid);
    fflush(stdout);
    struct event *input = event_new(c.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, &c);
    event_add(input, NULL);
    event_base_dispatch(c.base);
    event_free(input);
    event_free(c.flush);
    for (int i = 0; i < PEERS; i++)
        channel_free(c.peers[i]);
    event_base_free(c.base);
    buf_free(&c.in);
    buf_free(&c.ended);
    int status = testmaster_stop(&c.child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
