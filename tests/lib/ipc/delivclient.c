/*
 * Plays master, directory and SMTP for the real deliver and queue programs, for tests.
 *
 * Reads commands on standard input, one a line, words parted by blanks (%XX is a byte), and writes
 * one line for every answer. Commands with a TAG are answered when the program answers; the others
 * at once.
 *
 *   conf NAME VALUE                                a line of facteur.conf, for later starts
 *   start deliver|queue INDEX BINARY UID GID       -> started NAME PID, or refused NAME WHY
 *   reload, status, end, reap NAME INDEX; kill NAME INDEX SIGNAL
 *   mailbox ADDRESS UID GID HOME MAILDIR LIMIT     what the directory says
 *   resolve ADDRESS WORD, redeem WORD              how it answers: yes no cannot refused mute
 *   deliver TAG ADDRESS SENDER ORIGINAL FILE SIZE  FILE: a path, memfd:PATH, @TAG of a spool
 *   probe TAG ADDRESS SIZE, spool TAG SIZE PATH    an empty word is "-"
 *   enqueue TAG FILE SIZE SENDER FLAGS ADDRESS=ORIGINAL ...
 *   grants                                         -> grants N: given out and not used or dropped
 */
#include "base/map.h"
#include "ipc/rpc.h"
#include "tests/lib/ipc/testmaster.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 64
#define WORKERS_MAX 8
#define CALL_MS 30000

struct mailbox {
    struct str address;
    struct msg_redeem_reply right;
    enum verdict resolve;
    bool mute;
};

struct given {
    struct mailbox *box;
    bool over;
};

struct client {
    struct event_base *base;
    struct arena *arena; /* lives as long as the program */
    struct buf conf, input;
    struct testmaster_child queue, workers[WORKERS_MAX];
    struct rpc *to_deliver, *to_queue;
    struct map *mailboxes, *grants, *spooled;
    enum verdict redeem;
    bool redeem_mute;
};

struct pending {
    struct client *client;
    struct str tag;
    struct str path; /* spool: what to write into the file */
};

static const char *const verdicts[] = {"cannot", "yes",  "no",     "nothere",
                                       "remote", "full", "refused"};

static bool verdict_from(struct str word, enum verdict *v)
{
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        if (str_eq(word, str_from(verdicts[i]))) {
            *v = (enum verdict)i;
            return true;
        }
    return false; /* mute */
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/* --- the directory --- */

static struct grant give(struct client *c, struct mailbox *box)
{
    struct grant g;
    struct given *n = ARENA_NEW(c->arena, struct given);
    randombytes_buf(g.b, sizeof g.b);
    n->box = box;
    map_put(c->grants, (struct str){(const char *)g.b, GRANT_SIZE}, n);
    return g;
}

static void on_resolve(struct client *c, struct channel *ch, const struct msg_resolve_ask *ask)
{
    struct msg m = MSG_INIT(resolve_reply);
    struct mailbox *box = map_get(c->mailboxes, ask->address);
    struct msg_target target = {.address = ask->address};
    if (box && box->mute)
        return;
    m.resolve_reply.id = ask->id;
    m.resolve_reply.verdict = (uint8_t)(box ? box->resolve : VERDICT_NO);
    m.resolve_reply.text = box ? STR("as the test said") : STR("no such address");
    if (box && box->resolve == VERDICT_YES && (ask->flags & RESOLVE_FINAL)) {
        target.grant = give(c, box);
        m.resolve_reply.targets = (struct msg_targets){&target, 1};
    }
    channel_send(ch, &m);
}

static void on_redeem(struct client *c, struct channel *ch, const struct msg_redeem_ask *ask)
{
    struct msg m = MSG_INIT(redeem_reply);
    struct given *g = map_get(c->grants, (struct str){(const char *)ask->grant.b, GRANT_SIZE});
    if (c->redeem_mute)
        return;
    bool good = g && !g->over && c->redeem == VERDICT_YES;
    if (good) {
        m.redeem_reply = g->box->right;
        g->over = ask->use == REDEEM_USE;
    }
    m.redeem_reply.verdict =
        (uint8_t)(good ? VERDICT_YES : c->redeem == VERDICT_YES ? VERDICT_NO : c->redeem);
    /* An answer to a question of long ago comes first: it must be passed over. */
    m.redeem_reply.id = ask->id + 1000000;
    channel_send(ch, &m);
    m.redeem_reply.id = ask->id;
    channel_send(ch, &m);
}

static void on_directory_message(struct channel *ch, void *arg, struct msg *m)
{
    struct client *c = arg;
    if (m->type == MSG_resolve_ask)
        on_resolve(c, ch, &m->resolve_ask);
    else if (m->type == MSG_redeem_ask)
        on_redeem(c, ch, &m->redeem_ask);
    else if (m->type == MSG_grant_drop) {
        struct given *g =
            map_get(c->grants, (struct str){(const char *)m->grant_drop.grant.b, GRANT_SIZE});
        if (g)
            g->over = true;
    }
}

static void on_directory_close(struct channel *ch, void *arg)
{
    (void)arg;
    channel_free(ch);
}

static const struct channel_ops directory_ops = {on_directory_message, on_directory_close};

/* --- the programs --- */

static struct testmaster_child *child(struct client *c, struct str name, struct str index)
{
    uint32_t i = 0;
    if (str_eq(name, STR("queue")))
        return &c->queue;
    return str_u32(index, &i) == 0 && i < WORKERS_MAX ? &c->workers[i] : NULL;
}

static int configure(struct client *c, struct testmaster_child *k, bool reload)
{
    AUTO_BUF bundle = testmaster_bundle(buf_view(&c->conf));
    return testmaster_configure(k, &bundle, reload);
}

/* Links as the master lays them: with the directory and SMTP (us), and queue with each worker. */
static void wire(struct client *c, struct testmaster_child *k, unsigned index)
{
    int fd = testmaster_link(k, DIRECTORY, 0);
    channel_new(c->base, fd, DIRECTORY, k->self, &directory_ops, c);
    fd = testmaster_link(k, SMTP, 0);
    rpc_link(k->self == QUEUE ? c->to_queue : c->to_deliver, index, fd);
    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        struct testmaster_child *w = &c->workers[i];
        if (w->pid && c->queue.pid && (k == &c->queue || k == w))
            testmaster_join(&c->queue, 0, w, i);
    }
}

static void start(struct client *c, struct str *w)
{
    struct testmaster_child *k = child(c, w[1], w[2]);
    uint32_t index = 0, uid = 0, gid = 0;
    if (!k || str_u32(w[2], &index) != 0 || str_u32(w[4], &uid) != 0 || str_u32(w[5], &gid) != 0) {
        say("bad start");
        return;
    }
    AUTO_FREE char *binary = mem_strdup(w[3]);
    unsigned self = testmaster_program(w[1]);
    int r = testmaster_start(k, self, binary, index, uid, gid);
    if (r == 0 && configure(c, k, false) == 0) {
        wire(c, k, index);
        say("started %.*s %d", STR_FMT(w[1]), (int)k->pid);
        return;
    }
    char why[sizeof k->error];
    memcpy(why, k->error, sizeof why);
    testmaster_stop(k);
    say("refused %.*s %s", STR_FMT(w[1]), why);
}

/* Waits without blocking: the program may need an answer of ours before it can end. */
struct reaper {
    struct testmaster_child *child;
    struct event *timer;
    char name[16];
};

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    struct reaper *r = arg;
    struct timeval tv = {0, 10000};
    int status = -1;
    (void)fd;
    (void)what;
    if (waitpid(r->child->pid, &status, WNOHANG) == 0) {
        event_add(r->timer, &tv);
        return;
    }
    fd_closep(&r->child->fd);
    r->child->pid = 0;
    say("reaped %s %d", r->name, status);
    event_free(r->timer);
    free(r);
}

static void reap(struct client *c, struct testmaster_child *k, struct str name)
{
    struct reaper *r = MEM_NEW(struct reaper);
    r->child = k;
    r->timer = evtimer_new(c->base, on_reap, r);
    snprintf(r->name, sizeof r->name, "%.*s", STR_FMT(name));
    on_reap(-1, 0, r);
}

static void manage(struct client *c, struct str *w, size_t n)
{
    struct testmaster_child *k = child(c, w[1], n > 2 ? w[2] : STR("0"));
    uint32_t signal = 0;
    AUTO_BUF text = {0};
    if (!k || !k->pid) {
        say("bad %.*s: not running", STR_FMT(w[0]));
    } else if (str_eq(w[0], STR("reload"))) {
        int r = configure(c, k, true);
        say("reloaded %.*s %s", STR_FMT(w[1]), r == 0 ? "yes" : k->error);
    } else if (str_eq(w[0], STR("status"))) {
        testmaster_status(k, &text);
        say("status %.*s %s", STR_FMT(w[1]), buf_z(&text));
    } else if (str_eq(w[0], STR("end"))) {
        say("ended %.*s %d", STR_FMT(w[1]), testmaster_stop(k));
    } else if (str_eq(w[0], STR("kill")) && n > 3 && str_u32(w[3], &signal) == 0) {
        kill(k->pid, (int)signal);
        say("sent");
    } else if (str_eq(w[0], STR("reap"))) {
        reap(c, k, w[1]);
    }
}

/* --- SMTP's part --- */

static void answer(void *arg, struct msg *m)
{
    struct pending *p = arg;
    struct str text = STR("");
    const char *word = "none";
    if (m && m->type == MSG_deliver_reply) {
        word = verdicts[m->deliver_reply.verdict];
        text = m->deliver_reply.text;
    } else if (m && m->type == MSG_probe_reply) {
        word = verdicts[m->probe_reply.verdict];
        text = m->probe_reply.text;
    } else if (m && m->type == MSG_enqueue_reply) {
        word = verdicts[m->enqueue_reply.verdict];
        text = m->enqueue_reply.verdict == VERDICT_YES ? m->enqueue_reply.queue_id
                                                       : m->enqueue_reply.text;
    }
    say("%.*s %s %.*s", STR_FMT(p->tag), word, STR_FMT(text));
}

static struct pending *pending(struct client *c, struct str tag)
{
    struct pending *p = ARENA_NEW(c->arena, struct pending);
    p->client = c;
    p->tag = arena_str(c->arena, tag);
    return p;
}

static int read_file(struct client *c, struct str path, struct buf *b)
{
    AUTO_FREE char *z = mem_strdup(path);
    AUTO_FD fd = open(z, O_RDONLY | O_CLOEXEC);
    (void)c;
    return fd < 0 ? -1 : fd_read_all(fd, b, (size_t)1 << 30);
}

static int sealed(struct client *c, struct str path)
{
    AUTO_BUF b = {0};
    int fd = memfd_create("test-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (read_file(c, path, &b) != 0 || fd_write_all(fd, b.p, b.n) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        say("bad file %.*s: %s", STR_FMT(path), strerror(errno));
    return fd;
}

static int open_body(struct client *c, struct str file)
{
    if (str_starts(file, STR("memfd:")))
        return sealed(c, str_skip(file, 6));
    if (str_starts(file, STR("@"))) {
        intptr_t fd = (intptr_t)map_get(c->spooled, str_skip(file, 1));
        return fd ? fcntl((int)fd, F_DUPFD_CLOEXEC, 0) : -1;
    }
    AUTO_FREE char *z = mem_strdup(file);
    return open(z, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static struct grant grant_for(struct client *c, struct str address)
{
    struct mailbox *box = map_get(c->mailboxes, address);
    return box ? give(c, box) : (struct grant){{1}};
}

static void deliver(struct client *c, struct str *w)
{
    struct msg m = MSG_INIT(deliver_ask);
    AUTO_FD fd = open_body(c, w[5]);
    m.fd = fd;
    m.deliver_ask.grant = grant_for(c, w[2]);
    m.deliver_ask.session = STR("s1");
    m.deliver_ask.sender = w[3];
    m.deliver_ask.original = w[4];
    str_u64(w[6], &m.deliver_ask.size);
    rpc_call(c->to_deliver, &m, CALL_MS, answer, pending(c, w[1]));
}

static void probe(struct client *c, struct str *w)
{
    struct msg m = MSG_INIT(probe_ask);
    m.probe_ask.grant = grant_for(c, w[2]);
    str_u64(w[3], &m.probe_ask.size);
    rpc_call(c->to_deliver, &m, CALL_MS, answer, pending(c, w[1]));
}

static void enqueue(struct client *c, struct str *w, size_t n)
{
    struct msg m = MSG_INIT(enqueue_ask);
    struct msg_recipient to[WORDS_MAX];
    size_t count = 0;
    AUTO_FD fd = open_body(c, w[2]);
    for (size_t i = 6; i < n; i++) {
        ptrdiff_t eq = str_find(w[i], '=');
        to[count++] = (struct msg_recipient){
            .address = eq < 0 ? w[i] : str_head(w[i], (size_t)eq),
            .original = eq < 0 ? w[i] : str_skip(w[i], (size_t)eq + 1)};
    }
    m.fd = fd;
    m.enqueue_ask.session = STR("s1");
    m.enqueue_ask.sender = w[4];
    m.enqueue_ask.recipients = (struct msg_recipients){to, count};
    str_u64(w[3], &m.enqueue_ask.size);
    str_u32(w[5], &m.enqueue_ask.flags);
    rpc_call(c->to_queue, &m, CALL_MS, answer, pending(c, w[1]));
}

static void on_spooled(void *arg, struct msg *m)
{
    struct pending *p = arg;
    AUTO_BUF b = {0};
    if (!m || m->spool_reply.verdict != VERDICT_YES) {
        say("%.*s %s", STR_FMT(p->tag), m ? verdicts[m->spool_reply.verdict] : "none");
        return;
    }
    intptr_t fd = m->fd;
    m->fd = -1;
    int r = read_file(p->client, p->path, &b);
    if (r == 0)
        r = fd_write_all((int)fd, b.p, b.n);
    map_put(p->client->spooled, p->tag, (void *)fd);
    say("%.*s %s", STR_FMT(p->tag), r == 0 ? "yes" : "unwritable");
}

static void spool(struct client *c, struct str *w)
{
    struct msg m = MSG_INIT(spool_ask);
    struct pending *p = pending(c, w[1]);
    p->path = arena_str(c->arena, w[3]);
    str_u64(w[2], &m.spool_ask.size);
    rpc_call(c->to_queue, &m, CALL_MS, on_spooled, p);
}

/* --- what the directory knows --- */

static void mailbox(struct client *c, struct str *w)
{
    struct mailbox *box = map_get(c->mailboxes, w[1]);
    if (!box) {
        box = ARENA_NEW(c->arena, struct mailbox);
        box->address = arena_str(c->arena, w[1]);
        box->resolve = VERDICT_YES;
        map_put(c->mailboxes, box->address, box);
    }
    str_u32(w[2], &box->right.uid);
    str_u32(w[3], &box->right.gid);
    box->right.home = arena_str(c->arena, w[4]);
    box->right.maildir = arena_str(c->arena, w[5]);
    str_u64(w[6], &box->right.limit);
    box->right.address = box->address;
    say("ok");
}

static void resolve(struct client *c, struct str *w)
{
    struct mailbox *box = map_get(c->mailboxes, w[1]);
    if (box)
        box->mute = !verdict_from(w[2], &box->resolve);
    say("ok");
}

static void count_grants(struct client *c)
{
    size_t at = 0, open = 0;
    struct str key;
    void *value;
    while (map_next(c->grants, &at, &key, &value))
        open += !((struct given *)value)->over;
    say("grants %zu", open);
}

/* --- commands --- */

static struct str unescape(struct arena *a, struct str s)
{
    struct str out = arena_str(a, s);
    char *p = (char *)out.p;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++, n++) {
        unsigned byte;
        char hex[3] = {0};
        if (s.p[i] == '%' && i + 2 < s.n + 0u && (memcpy(hex, s.p + i + 1, 2), 1) &&
            sscanf(hex, "%2x", &byte) == 1) {
            p[n] = (char)byte;
            i += 2;
        } else {
            p[n] = s.p[i];
        }
    }
    out.n = n;
    return out;
}

static void run_command(struct client *c, struct str *w, size_t n)
{
    static const struct {
        const char *name;
        size_t words;
        void (*run)(struct client *, struct str *);
    } table[] = {{"start", 6, start}, {"deliver", 7, deliver}, {"probe", 4, probe},
                 {"spool", 4, spool}, {"mailbox", 7, mailbox}, {"resolve", 3, resolve}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (str_eq(w[0], str_from(table[i].name)) && n == table[i].words) {
            table[i].run(c, w);
            return;
        }
    if (str_eq(w[0], STR("enqueue")) && n >= 6) {
        enqueue(c, w, n);
    } else if (str_eq(w[0], STR("redeem")) && n == 2) {
        c->redeem_mute = !verdict_from(w[1], &c->redeem);
        say("ok");
    } else if (str_eq(w[0], STR("conf")) && n == 3) {
        buf_printf(&c->conf, "%.*s = %.*s\n", STR_FMT(w[1]), STR_FMT(w[2]));
        say("ok");
    } else if (str_eq(w[0], STR("grants"))) {
        count_grants(c);
    } else if (n >= 2) {
        manage(c, w, n);
    } else {
        say("bad command");
    }
}

static void on_line(struct client *c, struct str line)
{
    struct str w[WORDS_MAX], word;
    size_t n = 0;
    AUTO_ARENA a = arena_new(1024);
    while (n < WORDS_MAX && str_token(&line, " ", &word))
        w[n++] = str_eq(word, STR("-")) ? STR("") : unescape(a, word);
    if (n)
        run_command(c, w, n);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    struct str rest, line;
    ssize_t r = read((int)fd, buf_room(&c->input, 65536), 65536);
    (void)what;
    if (r <= 0) {
        event_base_loopbreak(c->base);
        return;
    }
    c->input.n += (size_t)r;
    ptrdiff_t end = str_rfind(buf_view(&c->input), '\n');
    if (end < 0)
        return;
    AUTO_BUF lines = {0};
    buf_add(&lines, c->input.p, (size_t)end + 1);
    buf_consume(&c->input, (size_t)end + 1);
    rest = buf_view(&lines);
    while (str_line(&rest, &line))
        on_line(c, line);
}

int main(void)
{
    struct client c = {.redeem = VERDICT_YES};
    signal(SIGPIPE, SIG_IGN);
    if (sodium_init() < 0)
        return 1;
    c.base = event_base_new();
    c.arena = arena_new(65536);
    c.mailboxes = map_new();
    c.grants = map_new();
    c.spooled = map_new();
    c.to_deliver = rpc_new(c.base, SMTP, DELIVER);
    c.to_queue = rpc_new(c.base, SMTP, QUEUE);
    struct event *in = event_new(c.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, &c);
    event_add(in, NULL);
    event_base_dispatch(c.base);
    testmaster_stop(&c.queue);
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        testmaster_stop(&c.workers[i]);
    return 0;
}
