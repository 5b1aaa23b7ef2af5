/*
 * A world for one smtp program: master, directory, deliver workers and queue, played from a table.
 *
 *   fakeworld DIR SMTP-BINARY
 *
 * DIR/facteur.conf and DIR/tls.pem (if there) are its configuration. Says on standard output
 * "ports SMTP SUBMISSION SUBMISSIONS"; then takes lines from standard input: "reload", "drop PROGRAM",
 * "link PROGRAM", "status", "term"; each is answered by a line. At the end of input the program is
 * stopped and "exit STATUS" said. What was delivered and queued stands in DIR/delivered/N and
 * DIR/queued/N: "key: value" lines, an empty line, the message.
 */
#include "tests/lib/ipc/testmaster.h"

#include "base/map.h"
#include "ipc/counters.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define GRANTS_MAX 100000
#define TARGETS_A_REPLY 40

struct grant_row {
    char address[256];
    bool used, dropped;
};

struct link {
    struct world *world;
    unsigned program, index;
    struct channel *ch;
};

struct world {
    struct event_base *base;
    struct testmaster_child smtp;
    const char *dir;
    struct link links[2 + WORKERS];
    struct grant_row *grants;
    unsigned grant_count, delivered, queued;
    struct grant login; /* the one that AUTH gave last */
    struct buf input;
    struct buf parts; /* of a message for the queue, so far */
    bool part_refused;
};

static void die(const char *what)
{
    fprintf(stderr, "fakeworld: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct str local_of(struct str address)
{
    ptrdiff_t at = str_rfind(address, '@');
    return at < 0 ? address : str_head(address, (size_t)at);
}

static bool is_hosted(struct str address)
{
    return str_ends(address, STR("@hosted.example")) || str_ends(address, STR("@mx.example"));
}

/* --- grants --- */

static struct grant grant_new(struct world *w, struct str address)
{
    struct grant g = {{0}};
    unsigned n = ++w->grant_count;
    if (n >= GRANTS_MAX)
        die("too many grants");
    snprintf(w->grants[n].address, sizeof w->grants[n].address, "%.*s", STR_FMT(address));
    memcpy(g.b, &n, sizeof n);
    g.b[GRANT_SIZE - 1] = 1;
    return g;
}

static struct grant_row *grant_row(struct world *w, const struct grant *g)
{
    unsigned n;
    memcpy(&n, g->b, sizeof n);
    return n > 0 && n <= w->grant_count ? &w->grants[n] : NULL;
}

/* --- the directory --- */

struct rule {
    const char *local;
    enum verdict verdict;
    const char *text;
    const char *leads_to; /* blank-separated; "N" makes user1 … userN; NULL: itself */
};

static const struct rule rules[] = {
    {"unsure", VERDICT_CANNOT_SAY, "", NULL},
    {"remote", VERDICT_REMOTE, "", NULL},
    {"disabled", VERDICT_REFUSED, "", NULL},
    {"moved", VERDICT_NO, "5.1.6 Moved, try info@hosted.example", NULL},
    {"foreign-text", VERDICT_NO, "M\xc3\xbcll", NULL},
    {"full", VERDICT_YES, "", NULL},
    {"broken", VERDICT_YES, "", NULL},
    {"latefail", VERDICT_YES, "", NULL},
    {"permfail", VERDICT_YES, "", NULL},
    {"crash", VERDICT_YES, "", NULL},
    {"noqueue", VERDICT_YES, "", NULL},
    {"postmaster", VERDICT_YES, "", NULL},
    {"Postmaster", VERDICT_YES, "", NULL},
    {"alice", VERDICT_YES, "", NULL},
    {"j\xc3\xbcrgen", VERDICT_YES, "", NULL},
    {"two words", VERDICT_YES, "", NULL},
    {"\"two words\"", VERDICT_YES, "", NULL},
    {"alias1", VERDICT_YES, "", "user1"},
    {"shout", VERDICT_YES, "", "USER1"},
    {"two", VERDICT_YES, "", "user1 user2"},
    {"mixed", VERDICT_YES, "", "user1 latefail"},
    {"mixedcrash", VERDICT_YES, "", "user1 crash"},
    {"mixednoqueue", VERDICT_YES, "", "user1 noqueue"},
    {"halffull", VERDICT_YES, "", "user1 full"},
    {"many", VERDICT_YES, "", "100"},
    {"latemany", VERDICT_YES, "",
     "latefail latefail1 latefail2 latefail3 latefail4 latefail5 latefail6 latefail7 latefail8 "
     "latefail9 latefail10 latefail11 latefail12 latefail13 latefail14 latefail15 latefail16 "
     "latefail17 latefail18 latefail19 latefail20 latefail21"},
    {"nowhere", VERDICT_YES, "", ""},
};

static const struct rule *rule_for(struct str local)
{
    static const struct rule user = {"user", VERDICT_YES, "", NULL};
    static const struct rule nobody = {"", VERDICT_NO, "", NULL};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (str_eq(local, str_from(rules[i].local)))
            return &rules[i];
    return str_casestarts(local, STR("user")) ? &user : &nobody;
}

static void collect(struct world *w, struct arena *a, const struct rule *rule, struct str address,
                    struct msg_target *v, size_t *n)
{
    struct str rest = rule->leads_to ? str_from(rule->leads_to) : local_of(address), word;
    uint32_t count = 0;
    if (rule->leads_to && str_u32(rest, &count) == 0)
        for (uint32_t i = 1; i <= count; i++) {
            v[*n].address = arena_printf(a, "user%u@hosted.example", (unsigned)i);
            v[*n].grant = grant_new(w, v[*n].address);
            ++*n;
        }
    else if (!rule->leads_to) {
        v[*n] = (struct msg_target){.grant = grant_new(w, address), .address = address};
        ++*n;
    } else
        while (str_token(&rest, " ", &word)) {
            v[*n].address = arena_printf(a, "%.*s@hosted.example", STR_FMT(word));
            v[*n].grant = grant_new(w, v[*n].address);
            ++*n;
        }
}

static void on_resolve(struct link *l, const struct msg_resolve_ask *ask)
{
    AUTO_ARENA a = arena_new(4096);
    struct msg_target v[256];
    size_t n = 0, sent = 0;
    const struct rule *rule = rule_for(local_of(ask->address));
    struct msg m = MSG_INIT(resolve_reply);
    m.resolve_reply.id = ask->id;
    m.resolve_reply.verdict = (uint8_t)(is_hosted(ask->address) ? rule->verdict : VERDICT_NOT_HERE);
    m.resolve_reply.text = is_hosted(ask->address) ? str_from(rule->text) : STR("");
    if (m.resolve_reply.verdict == VERDICT_YES)
        collect(l->world, a, rule, ask->address, v, &n);
    do {
        size_t some = n - sent < TARGETS_A_REPLY ? n - sent : TARGETS_A_REPLY;
        m.resolve_reply.targets = (struct msg_targets){v + sent, some};
        sent += some;
        m.resolve_reply.more = sent < n;
        channel_send(l->ch, &m);
    } while (sent < n);
}

static void on_auth(struct link *l, const struct msg_auth_ask *ask)
{
    struct msg m = MSG_INIT(auth_reply);
    m.auth_reply.id = ask->id;
    m.auth_reply.verdict = VERDICT_NO;
    if (str_eq(ask->user, STR("unsure")))
        m.auth_reply.verdict = VERDICT_CANNOT_SAY;
    else if (str_eq(ask->user, STR("disabled")))
        m.auth_reply.verdict = VERDICT_REFUSED;
    else if ((str_eq(ask->user, STR("alice")) || str_eq(ask->user, STR("alice@hosted.example"))) &&
             str_eq(ask->password, STR("secret"))) {
        m.auth_reply.verdict = VERDICT_YES;
        m.auth_reply.login = STR("alice");
        m.auth_reply.grant = l->world->login = grant_new(l->world, STR("login"));
    }
    channel_send(l->ch, &m);
}

static void on_sender(struct link *l, const struct msg_sender_ask *ask)
{
    struct msg m = MSG_INIT(sender_reply);
    struct str local = local_of(ask->address);
    bool known = memcmp(&ask->grant, &l->world->login, sizeof ask->grant) == 0;
    m.sender_reply.id = ask->id;
    if (!known || str_eq(local, STR("unsure")))
        m.sender_reply.verdict = VERDICT_CANNOT_SAY;
    else if (is_hosted(ask->address) && (str_eq(local, STR("alice")) || str_eq(local, STR("a.lias")) ||
                                         str_eq(local, STR("j\xc3\xbcrgen"))))
        m.sender_reply.verdict = VERDICT_YES;
    else
        m.sender_reply.verdict = VERDICT_NO;
    channel_send(l->ch, &m);
}

static void directory_message(struct link *l, struct msg *m)
{
    struct grant_row *row;
    if (m->type == MSG_resolve_ask)
        on_resolve(l, &m->resolve_ask);
    else if (m->type == MSG_auth_ask)
        on_auth(l, &m->auth_ask);
    else if (m->type == MSG_sender_ask)
        on_sender(l, &m->sender_ask);
    else if (m->type == MSG_grant_drop && (row = grant_row(l->world, &m->grant_drop.grant)))
        row->dropped = true;
}

/* --- files that tests look at --- */

static const char *sealed(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0)
        return "file";
    return (seals & F_SEAL_WRITE) && (seals & F_SEAL_GROW) && (seals & F_SEAL_SHRINK) ? "yes" : "no";
}

static void write_record(struct world *w, const char *kind, unsigned number, struct buf *head, int fd,
                         uint64_t size)
{
    char path[3][4096];
    char *body = mem_alloc(size + 1);
    struct stat st;
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != size || fd_pread_all(fd, body, size, 0) != 0)
        die("message of a wrong size");
    buf_printf(head, "sealed: %s\n\n", sealed(fd));
    buf_add(head, body, size);
    free(body);
    snprintf(path[0], sizeof path[0], "%s/%s", w->dir, kind);
    mkdir(path[0], 0700);
    snprintf(path[1], sizeof path[1], "%s/tmp", w->dir);
    snprintf(path[2], sizeof path[2], "%s/%s/%u", w->dir, kind, number);
    AUTO_FD out = open(path[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0 || fd_write_all(out, head->p, head->n) != 0 || rename(path[1], path[2]) != 0)
        die(path[1]);
}

/* --- deliver workers --- */

static void link_drop(struct link *l);
static void link_make(struct link *l);

static void on_probe(struct link *l, const struct msg_probe_ask *ask)
{
    struct msg m = MSG_INIT(probe_reply);
    const struct grant_row *row = grant_row(l->world, &ask->grant);
    m.probe_reply.id = ask->id;
    m.probe_reply.verdict = VERDICT_YES;
    if (!row || row->used || row->dropped || str_starts(str_from(row->address), STR("broken@")))
        m.probe_reply.verdict = VERDICT_CANNOT_SAY;
    else if (str_starts(str_from(row->address), STR("full@")))
        m.probe_reply.verdict = VERDICT_FULL;
    channel_send(l->ch, &m);
}

static enum verdict deliver(struct world *w, const struct msg_deliver_ask *ask, int fd)
{
    AUTO_BUF head = {0};
    struct grant_row *row = grant_row(w, &ask->grant);
    if (!row || row->used || row->dropped)
        return VERDICT_CANNOT_SAY;
    row->used = true;
    if (str_starts(str_from(row->address), STR("latefail")) ||
        str_starts(str_from(row->address), STR("noqueue")))
        return VERDICT_CANNOT_SAY;
    if (str_starts(str_from(row->address), STR("permfail")))
        return VERDICT_NO;
    buf_printf(&head, "address: %s\noriginal: %.*s\nsender: %.*s\nsession: %.*s\n", row->address,
               STR_FMT(ask->original), STR_FMT(ask->sender), STR_FMT(ask->session));
    write_record(w, "delivered", ++w->delivered, &head, fd, ask->size);
    return VERDICT_YES;
}

static void deliver_message(struct link *l, struct msg *m)
{
    if (m->type == MSG_probe_ask) {
        on_probe(l, &m->probe_ask);
        return;
    }
    const struct grant_row *row = grant_row(l->world, &m->deliver_ask.grant);
    if (row && str_starts(str_from(row->address), STR("crash"))) {
        link_drop(l);
        link_make(l);
        return;
    }
    struct msg reply = MSG_INIT(deliver_reply);
    reply.deliver_reply.id = m->deliver_ask.id;
    reply.deliver_reply.verdict = (uint8_t)deliver(l->world, &m->deliver_ask, m->fd);
    reply.deliver_reply.text = reply.deliver_reply.verdict == VERDICT_YES ? STR("") : STR("as told");
    channel_send(l->ch, &reply);
}

/* --- the queue --- */

static bool exists(struct world *w, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", w->dir, name);
    return access(path, F_OK) == 0;
}

static void on_spool(struct link *l, const struct msg_spool_ask *ask)
{
    char path[4096];
    struct msg m = MSG_INIT(spool_reply);
    bool yes = !exists(l->world, "no-spool");
    snprintf(path, sizeof path, "%s/spool", l->world->dir);
    AUTO_FD fd = yes ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
                     : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        die(path);
    if (yes)
        unlink(path);
    m.fd = fd;
    m.spool_reply.id = ask->id;
    m.spool_reply.verdict = (uint8_t)(yes ? VERDICT_YES : VERDICT_CANNOT_SAY);
    channel_send(l->ch, &m);
}

static bool refuses(struct world *w, const struct msg_enqueue_ask *ask)
{
    for (size_t i = 0; i < ask->recipients.n; i++)
        if (str_starts(ask->recipients.v[i].address, STR("noqueue")) && !exists(w, "queue-is-back"))
            return true;
    return false;
}

static void on_enqueue(struct link *l, const struct msg_enqueue_ask *ask, int fd)
{
    struct world *w = l->world;
    struct msg m = MSG_INIT(enqueue_reply);
    char id[32] = "";
    w->part_refused = refuses(w, ask) || (ask->part && w->part_refused);
    for (size_t i = 0; i < ask->recipients.n; i++)
        buf_printf(&w->parts, "address: %.*s\noriginal: %.*s\n", STR_FMT(ask->recipients.v[i].address),
                   STR_FMT(ask->recipients.v[i].original));
    if (ask->more)
        return;
    m.enqueue_reply.id = ask->id;
    m.enqueue_reply.verdict = (uint8_t)(w->part_refused ? VERDICT_CANNOT_SAY : VERDICT_YES);
    if (m.enqueue_reply.verdict == VERDICT_YES) {
        snprintf(id, sizeof id, "Q%u", ++w->queued);
        buf_printf(&w->parts, "sender: %.*s\nsession: %.*s\nlogin: %s\n", STR_FMT(ask->sender),
                   STR_FMT(ask->session), grant_is_none(&ask->grant) ? "no" : "yes");
        write_record(w, "queued", w->queued, &w->parts, fd, ask->size);
    }
    buf_clear(&w->parts);
    m.enqueue_reply.queue_id = str_from(id);
    channel_send(l->ch, &m);
}

static void queue_message(struct link *l, struct msg *m)
{
    if (m->type == MSG_spool_ask)
        on_spool(l, &m->spool_ask);
    else if (m->type == MSG_enqueue_ask)
        on_enqueue(l, &m->enqueue_ask, m->fd);
}

/* --- links --- */

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    struct link *l = arg;
    (void)ch;
    if (l->program == DIRECTORY)
        directory_message(l, m);
    else if (l->program == DELIVER)
        deliver_message(l, m);
    else
        queue_message(l, m);
}

static void on_close(struct channel *ch, void *arg)
{
    struct link *l = arg;
    if (l->ch == ch)
        l->ch = NULL;
    channel_free(ch);
}

static void link_drop(struct link *l)
{
    channel_free(l->ch);
    l->ch = NULL;
}

static void link_make(struct link *l)
{
    static const struct channel_ops ops = {on_message, on_close};
    int fd = testmaster_link(&l->world->smtp, l->program, l->index);
    if (fd < 0)
        die("link");
    l->ch = channel_new(l->world->base, fd, l->program, SMTP, &ops, l);
}

/* --- the master --- */

static void configure(struct world *w, bool reload)
{
    char path[4096];
    AUTO_BUF conf = {0}, tls = {0};
    snprintf(path, sizeof path, "%s/facteur.conf", w->dir);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, &conf, 1 << 20) != 0)
        die(path);
    struct buf bundle = testmaster_bundle(buf_view(&conf));
    snprintf(path, sizeof path, "%s/tls.pem", w->dir);
    AUTO_FD tls_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (tls_fd >= 0 && fd_read_all(tls_fd, &tls, 1 << 20) == 0)
        bundle_add(&bundle, STR("tls:"), buf_view(&tls));
    if (testmaster_configure(&w->smtp, &bundle, reload) != 0) {
        fprintf(stderr, "fakeworld: configure: %s\n", w->smtp.error);
        if (!reload)
            exit(1);
    }
    buf_free(&bundle);
}

static unsigned listen_for(struct world *w, unsigned number, enum service service)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof sa;
    struct err e = {0};
    struct msg m = MSG_INIT(listener);
    AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, n) != 0 || listen(fd, 100) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &n) != 0)
        die("listen");
    m.fd = fd;
    m.listener.number = number;
    m.listener.service = (uint8_t)service;
    if (channel_send_now(w->smtp.fd, &m, &e) != 0)
        die(e.log);
    return ntohs(sa.sin_port);
}

static void give_counters(struct world *w)
{
    struct err e = {0};
    struct msg m = MSG_INIT(counters);
    AUTO_FD fd = counters_create();
    m.fd = fd;
    if (fd < 0 || channel_send_now(w->smtp.fd, &m, &e) != 0)
        die("counters");
}

/* --- commands of the test --- */

static void each_link(struct world *w, struct str name, void (*fn)(struct link *))
{
    unsigned program = testmaster_program(name);
    for (size_t i = 0; i < sizeof w->links / sizeof w->links[0]; i++)
        if (w->links[i].program == program)
            fn(&w->links[i]);
}

static void say_status(struct world *w)
{
    AUTO_BUF b = {0};
    testmaster_status(&w->smtp, &b);
    unsigned dropped = 0;
    for (unsigned i = 1; i <= w->grant_count; i++)
        dropped += w->grants[i].dropped;
    printf("%.*s grants=%u dropped=%u\n", (int)b.n, b.p, w->grant_count, dropped);
}

/* Its answer comes after it has handled what was sent before. */
static void wait_until_heard(struct world *w)
{
    AUTO_BUF b = {0};
    testmaster_status(&w->smtp, &b);
}

static void command(struct world *w, struct str line)
{
    struct str verb, rest = line, arg = {0};
    if (!str_token(&rest, " ", &verb))
        return;
    str_token(&rest, " ", &arg);
    if (str_eq(verb, STR("reload")))
        configure(w, true);
    else if (str_eq(verb, STR("drop")))
        each_link(w, arg, link_drop);
    else if (str_eq(verb, STR("link")))
        each_link(w, arg, link_make);
    else if (str_eq(verb, STR("term")))
        kill(w->smtp.pid, SIGTERM);
    if (str_eq(verb, STR("status")))
        say_status(w);
    else {
        if (!str_eq(verb, STR("term")))
            wait_until_heard(w);
        printf("done\n");
    }
    fflush(stdout);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct world *w = arg;
    char *to = buf_room(&w->input, 4096);
    ssize_t r = read((int)fd, to, 4096);
    (void)what;
    if (r <= 0) {
        event_base_loopbreak(w->base);
        return;
    }
    w->input.n += (size_t)r;
    ptrdiff_t lf;
    while ((lf = str_find(buf_view(&w->input), '\n')) >= 0) {
        command(w, str_head(buf_view(&w->input), (size_t)lf));
        buf_consume(&w->input, (size_t)lf + 1);
    }
}

static void links_make(struct world *w)
{
    static const unsigned programs[] = {DIRECTORY, QUEUE};
    for (unsigned i = 0; i < 2 + WORKERS; i++) {
        w->links[i] = (struct link){.world = w, .program = i < 2 ? programs[i] : DELIVER,
                                    .index = i < 2 ? 0 : i - 2};
        link_make(&w->links[i]);
    }
}

int main(int argc, char **argv)
{
    struct world w = {0};
    if (argc != 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    w.dir = argv[1];
    w.base = event_base_new();
    w.grants = mem_array(GRANTS_MAX, sizeof *w.grants);
    if (testmaster_start(&w.smtp, SMTP, argv[2], 0, 0, 0) != 0)
        return 1;
    configure(&w, false);
    links_make(&w);
    give_counters(&w);
    unsigned smtp = listen_for(&w, 1, SERVICE_SMTP);
    unsigned submission = listen_for(&w, 2, SERVICE_SUBMISSION);
    unsigned submissions = listen_for(&w, 3, SERVICE_SUBMISSIONS);
    printf("ports %u %u %u\n", smtp, submission, submissions);
    fflush(stdout);
    struct event *in = event_new(w.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, &w);
    event_add(in, NULL);
    event_base_dispatch(w.base);
    printf("exit %d\n", testmaster_stop(&w.smtp));
    event_free(in);
    for (size_t i = 0; i < sizeof w.links / sizeof w.links[0]; i++)
        channel_free(w.links[i].ch);
    event_base_free(w.base);
    buf_free(&w.input);
    buf_free(&w.parts);
    free(w.grants);
    return 0;
}
