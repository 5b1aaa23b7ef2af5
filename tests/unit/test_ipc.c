/* ipc/: messages, channels, bundles, shared counts. */
#include "ipc/bundle.h"
#include "ipc/counters.h"
#include "tests/unit/ipc_fixture.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- every message of the table, filled, sent through bytes, and compared --- */

static struct msg_target some_targets[2] = {{{{1}}, {"a@b.example", 11}, true, false, true},
                                            {{{2, 3}}, {"", 0}, false, true, false}};
static struct msg_recipient some_recipients[2] = {{{"x@y.example", 11}, {"X@y.example", 11}, {{9}},
                                                   7, RECIPIENT_UNKNOWN, {"rfc822;x", 8}},
                                                  {{"", 0}, {"z\0z", 3}, {{0}}, 0, 0, {"", 0}}};

static void fill_u8(msg_u8 *v)
{
    *v = 0xa5;
}
static void fill_u32(msg_u32 *v)
{
    *v = 0x89abcdef;
}
static void fill_u64(msg_u64 *v)
{
    *v = 0x0123456789abcdefu;
}
static void fill_str(msg_str *v)
{
    *v = STR("bytes \0 and \xff more");
}
static void fill_grant(msg_grant *v)
{
    for (unsigned i = 0; i < GRANT_SIZE; i++)
        v->b[i] = (unsigned char)(i * 17 + 1);
}
static void fill_targets(msg_targets *v)
{
    *v = (msg_targets){some_targets, 2};
}
static void fill_recipients(msg_recipients *v)
{
    *v = (msg_recipients){some_recipients, 2};
}

static bool same_u8(msg_u8 a, msg_u8 b)
{
    return a == b;
}
static bool same_u32(msg_u32 a, msg_u32 b)
{
    return a == b;
}
static bool same_u64(msg_u64 a, msg_u64 b)
{
    return a == b;
}
static bool same_str(msg_str a, msg_str b)
{
    return str_eq(a, b);
}
static bool same_grant(msg_grant a, msg_grant b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}
static bool same_targets(msg_targets a, msg_targets b)
{
    bool same = a.n == b.n;
    for (size_t i = 0; same && i < a.n; i++)
        same = same_grant(a.v[i].grant, b.v[i].grant) && str_eq(a.v[i].address, b.v[i].address) &&
               a.v[i].remote == b.v[i].remote &&
               a.v[i].away == b.v[i].away && a.v[i].unknown == b.v[i].unknown;
    return same;
}
static bool same_recipients(msg_recipients a, msg_recipients b)
{
    bool same = a.n == b.n;
    for (size_t i = 0; same && i < a.n; i++)
        same = str_eq(a.v[i].address, b.v[i].address) && str_eq(a.v[i].original, b.v[i].original) &&
               same_grant(a.v[i].grant, b.v[i].grant) && str_eq(a.v[i].orcpt, b.v[i].orcpt) &&
               a.v[i].notify == b.v[i].notify && a.v[i].done == b.v[i].done;
    return same;
}

static const struct {
    const char *name;
    unsigned from, to;
    bool has_fd;
} table[MSG_COUNT] = {
#define MESSAGE(name, from, to, fds) [MSG_##name] = {#name, from, to, fds},
#include "ipc/messages.def"
#undef MESSAGE
};

static void fill(struct msg *m, enum msg_type type)
{
    *m = (struct msg){.type = type, .fd = -1};
    switch (type) {
#define FILL_FIELD(type, field, limit) fill_##type(&p->field);
#define MESSAGE(name, from, to, fds)                                                               \
    case MSG_##name: {                                                                             \
        struct msg_##name *p = &m->name;                                                           \
        FIELDS_##name(FILL_FIELD)                                                                  \
        break;                                                                                     \
    }
#include "ipc/messages.def"
#undef MESSAGE
    default:
        break;
    }
}

static bool same_message(const struct msg *a, const struct msg *b)
{
    bool same = a->type == b->type;
    switch (a->type) {
#define SAME_FIELD(type, field, limit) same = same && same_##type(p->field, q->field);
#define MESSAGE(name, from, to, fds)                                                               \
    case MSG_##name: {                                                                             \
        const struct msg_##name *p = &a->name, *q = &b->name;                                      \
        FIELDS_##name(SAME_FIELD)                                                                  \
        break;                                                                                     \
    }
#include "ipc/messages.def"
#undef MESSAGE
    default:
        same = false;
    }
    return same;
}

static unsigned lowest(unsigned programs)
{
    return programs & (~programs + 1);
}

static void messages_come_through(void)
{
    AUTO_ARENA arena = arena_new(4096);
    struct err e;
    for (enum msg_type t = MSG_NONE + 1; t < MSG_COUNT; t++) {
        AUTO_BUF b = {0};
        struct msg in, out;
        fill(&in, t);
        CU_ASSERT_FATAL(msg_encode(&in, &b, &e) == 0);
        int r = msg_decode(buf_view(&b), lowest(table[t].from), lowest(table[t].to), arena, &out, &e);
        CU_ASSERT(r == 0 && same_message(&in, &out));
        CU_ASSERT(out.fd == -1 && msg_has_fd(t) == table[t].has_fd);
        UNIT_STR(str_from(msg_name(t)), table[t].name);
        msg_set_id(&out, 77);
        CU_ASSERT(msg_id(&in) == 0 || msg_id(&out) == 77);
    }
}

/* Every ask and every reply must have an id, or rpc could not pair them. */
static void asks_have_ids(void)
{
    for (enum msg_type t = MSG_NONE + 1; t < MSG_COUNT; t++) {
        struct msg m;
        struct str name = str_from(table[t].name);
        fill(&m, t);
        if (str_ends(name, STR("_ask")) || str_ends(name, STR("_reply")))
            CU_ASSERT(msg_id(&m) == 0x0123456789abcdefu);
    }
}

static void broken_messages_are_refused(void)
{
    AUTO_ARENA arena = arena_new(4096);
    struct err e;
    struct msg out;
    for (enum msg_type t = MSG_NONE + 1; t < MSG_COUNT; t++) {
        AUTO_BUF b = {0};
        struct msg in;
        unsigned from = lowest(table[t].from), to = lowest(table[t].to);
        fill(&in, t);
        msg_encode(&in, &b, &e);
        for (size_t n = 0; n < b.n; n++)
            CU_ASSERT(msg_decode((struct str){b.p, n}, from, to, arena, &out, &e) == -1);
        CU_ASSERT(msg_decode(buf_view(&b), ALL & ~table[t].from, to, arena, &out, &e) == -1);
        CU_ASSERT(msg_decode(buf_view(&b), from, ALL & ~table[t].to, arena, &out, &e) == -1);
        buf_byte(&b, 'x');
        CU_ASSERT(msg_decode(buf_view(&b), from, to, arena, &out, &e) == -1);
        CU_ASSERT(e.kind == ERR_PERMANENT && strstr(e.log, "1 bytes left over") != NULL);
    }
    CU_ASSERT(msg_decode(STR("\xff\xff"), MASTER, SMTP, arena, &out, &e) == -1);
    CU_ASSERT(msg_decode(STR("\0\0"), MASTER, SMTP, arena, &out, &e) == -1);
}

static void limits_hold_on_both_sides(void)
{
    AUTO_ARENA arena = arena_new(4096);
    AUTO_BUF b = {0};
    struct err e;
    static char long_text[2000];
    struct msg m = MSG_INIT(resolve_ask), out;
    m.resolve_ask.address = (struct str){long_text, 1001};
    CU_ASSERT(msg_encode(&m, &b, &e) == -1 && b.n == 0);
    CU_ASSERT(strstr(e.log, "resolve_ask: address past its limit") != NULL);
    m.resolve_ask.address.n = 1000;
    CU_ASSERT(msg_encode(&m, &b, &e) == 0);
    CU_ASSERT(msg_decode(buf_view(&b), SMTP, DIRECTORY, arena, &out, &e) == 0);
    CU_ASSERT(msg_decode(buf_view(&b), ACCESS, DIRECTORY, arena, &out, &e) == -1);
    b.p[2 + 8] = (char)0xe9; /* the length now says 1001, and a byte is there for it */
    buf_byte(&b, 0);
    CU_ASSERT(msg_decode(buf_view(&b), SMTP, DIRECTORY, arena, &out, &e) == -1);
    UNIT_STR(str_from(e.log), "message resolve_ask: bad field address");
    size_t many = 1000;
    struct msg_target *targets = arena_array(arena, many, sizeof *targets);
    struct msg reply = MSG_INIT(resolve_reply);
    reply.resolve_reply.targets = (msg_targets){targets, many};
    CU_ASSERT(msg_encode(&reply, &b, &e) == -1);
    CU_ASSERT(msg_encode(&(struct msg){.type = MSG_COUNT}, &b, &e) == -1);
}

/* A list that claims more records than its bytes hold must not cost memory for them. */
static void lists_cannot_lie(void)
{
    AUTO_ARENA arena = arena_new(4096);
    AUTO_BUF b = {0};
    struct err e;
    struct msg m = MSG_INIT(resolve_reply), out;
    CU_ASSERT(msg_encode(&m, &b, &e) == 0);
    memset(b.p + b.n - 4, 0xff, 4);
    CU_ASSERT(msg_decode(buf_view(&b), DIRECTORY, SMTP, arena, &out, &e) == -1);
    CU_ASSERT(arena_used(arena) < 65536);
    CU_ASSERT(b.n < MSG_LIMIT);
}

/* --- channels --- */

struct seen {
    struct event_base *base;
    unsigned messages, closes;
    uint64_t last_id;
    int kept_fd;
    enum msg_type type;
    char text[64];
};

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    struct seen *s = arg;
    (void)ch;
    s->messages++;
    s->type = m->type;
    s->last_id = msg_id(m);
    if (m->fd >= 0) {
        s->kept_fd = m->fd;
        m->fd = -1;
    }
    if (m->type == MSG_sender_ask)
        snprintf(s->text, sizeof s->text, "%.*s", STR_FMT(m->sender_ask.address));
}

static void on_close(struct channel *ch, void *arg)
{
    struct seen *s = arg;
    s->closes++;
    channel_free(ch);
}

static const struct channel_ops ops = {on_message, on_close};

/* SMTP's end is an event-driven channel; DIRECTORY's a bare descriptor. */
static struct channel *half(struct seen *s, int *other)
{
    int fds[2];
    *s = (struct seen){.base = event_base_new(), .kept_fd = -1};
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    *other = fds[1];
    return channel_new(s->base, fds[0], DIRECTORY, SMTP, &ops, s);
}

static void ask_sender(int fd, uint64_t id, struct str address)
{
    struct err e;
    struct msg m = MSG_INIT(sender_ask);
    m.sender_ask.id = id;
    m.sender_ask.address = address;
    CU_ASSERT(channel_send_now(fd, &m, &e) == 0);
}

static void channels_carry_messages(void)
{
    struct seen s;
    AUTO_FD other = -1;
    AUTO_BUF buf = {0};
    AUTO_ARENA arena = arena_new(4096);
    struct err e;
    struct msg reply = MSG_INIT(sender_reply), got;
    struct channel *ch = half(&s, &other);
    ask_sender(other, 5, STR("a@b.example"));
    ipc_turn(s.base);
    CU_ASSERT(s.messages == 1 && s.last_id == 5);
    UNIT_STR(str_from(s.text), "a@b.example");
    reply.sender_reply.id = 5;
    reply.sender_reply.verdict = VERDICT_YES;
    CU_ASSERT(channel_send(ch, &reply) == 0);
    CU_ASSERT(channel_recv_now(other, DIRECTORY, SMTP, 1000, &buf, arena, &got, &e) == 1);
    CU_ASSERT(got.type == MSG_sender_reply && got.sender_reply.verdict == VERDICT_YES);
    CU_ASSERT(channel_recv_now(other, DIRECTORY, SMTP, 10, &buf, arena, &got, &e) == -1);
    CU_ASSERT(e.kind == ERR_TEMPORARY);
    channel_free(ch);
    CU_ASSERT(channel_recv_now(other, DIRECTORY, SMTP, 1000, &buf, arena, &got, &e) == 0);
    event_base_free(s.base);
}

static void many_messages_wait_their_turn(void)
{
    struct seen s;
    AUTO_FD other = -1;
    AUTO_BUF buf = {0};
    AUTO_ARENA arena = arena_new(4096);
    struct err e;
    struct msg m = MSG_INIT(sender_reply), got;
    struct channel *ch = half(&s, &other);
    for (uint64_t i = 1; i <= 2000; i++) { /* far more than the socket holds */
        m.sender_reply.id = i;
        CU_ASSERT(channel_send(ch, &m) == 0);
    }
    for (uint64_t i = 1; i <= 2000; i++) {
        int r = channel_recv_now(other, DIRECTORY, SMTP, 0, &buf, arena, &got, &e);
        if (r == -1) {
            ipc_turn(s.base);
            r = channel_recv_now(other, DIRECTORY, SMTP, 1000, &buf, arena, &got, &e);
        }
        CU_ASSERT_FATAL(r == 1 && got.sender_reply.id == i);
    }
    channel_free(ch);
    event_base_free(s.base);
}

static void channels_end(void)
{
    struct seen s;
    AUTO_FD other = -1;
    struct channel *ch = half(&s, &other);
    struct msg m = MSG_INIT(sender_reply);
    fd_closep(&other);
    CU_ASSERT(channel_send(ch, &m) == -1);
    ipc_turn(s.base);
    CU_ASSERT(s.closes == 1 && s.messages == 0);
    event_base_free(s.base);
}

static void nonsense_ends_a_channel(void)
{
    static const struct {
        const char *p;
        size_t n;
    } bad[] = {{"", 0}, {"x", 1}, {"\xff\xff\xff", 3}, {"\x01\x00\x00", 3}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seen s;
        AUTO_FD other = -1;
        half(&s, &other);
        CU_ASSERT(send(other, bad[i].p, bad[i].n, 0) == (ssize_t)bad[i].n);
        ask_sender(other, 1, STR(""));
        ipc_turn(s.base);
        CU_ASSERT(s.closes == 1 && s.messages == 0);
        event_base_free(s.base);
    }
}

/* --- descriptors --- */

static void descriptors_travel(void)
{
    struct seen s = {.base = event_base_new(), .kept_fd = -1};
    int fds[2];
    struct err e;
    char text[6] = "";
    AUTO_FD memfd = ipc_memfd("hello");
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    struct channel *ch = channel_new(s.base, fds[0], SMTP, QUEUE, &ops, &s);
    struct msg m = MSG_INIT(spool_reply);
    m.fd = memfd;
    CU_ASSERT(channel_send_now(fds[1], &m, &e) == 0);
    CU_ASSERT(fcntl(memfd, F_GETFD) >= 0); /* still ours */
    ipc_turn(s.base);
    CU_ASSERT(s.messages == 1 && s.kept_fd >= 0 && s.kept_fd != memfd);
    CU_ASSERT(pread(s.kept_fd, text, 5, 0) == 5 && strcmp(text, "hello") == 0);
    CU_ASSERT(fcntl(s.kept_fd, F_GETFD) & FD_CLOEXEC);
    fd_closep(&s.kept_fd);
    m.fd = -1; /* one that should come with a descriptor and does not */
    CU_ASSERT(channel_send_now(fds[1], &m, &e) == 0);
    ipc_turn(s.base);
    CU_ASSERT(s.messages == 1 && s.closes == 1);
    fd_closep(&fds[1]);
    event_base_free(s.base);
    (void)ch;
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void unwanted_descriptors_are_closed(void)
{
    struct seen s;
    struct err e;
    AUTO_FD other = -1;
    AUTO_FD memfd = ipc_memfd("x");
    struct msg m = MSG_INIT(sender_ask);
    half(&s, &other);
    unsigned before = open_descriptors();
    m.fd = memfd;
    CU_ASSERT(channel_send_now(other, &m, &e) == 0);
    ipc_turn(s.base);
    CU_ASSERT(s.closes == 1 && s.messages == 0);
    CU_ASSERT(open_descriptors() == before - 1); /* the channel's own went too */
    event_base_free(s.base);
}

/* When there is no descriptor left to keep one in, the message is refused, not sent without it. */
static void a_descriptor_is_never_lost_in_the_queue(void)
{
    struct seen s = {.base = event_base_new(), .kept_fd = -1};
    struct err e;
    struct rlimit old, none;
    struct msg m = MSG_INIT(spool_reply), got;
    int fds[2], r = 0;
    AUTO_FD memfd = ipc_memfd("x");
    AUTO_BUF buf = {0};
    AUTO_ARENA arena = arena_new(4096);
    CU_ASSERT_FATAL(channel_pair(fds) == 0 && getrlimit(RLIMIT_NOFILE, &old) == 0);
    struct channel *ch = channel_new(s.base, fds[0], QUEUE, SMTP, &ops, &s);
    none = (struct rlimit){.rlim_cur = (rlim_t)memfd + 1, .rlim_max = old.rlim_max};
    m.fd = memfd;
    CU_ASSERT(setrlimit(RLIMIT_NOFILE, &none) == 0);
    unsigned sent = 0;
    while (r == 0 && sent < 5000)
        sent += (r = channel_send(ch, &m)) == 0;
    CU_ASSERT(setrlimit(RLIMIT_NOFILE, &old) == 0);
    CU_ASSERT(r == -1 && sent > 0);
    ipc_turn(s.base);
    for (unsigned i = 0; i < sent; i++) {
        CU_ASSERT_FATAL(channel_recv_now(fds[1], QUEUE, SMTP, 0, &buf, arena, &got, &e) == 1);
        fd_closep(&got.fd);
    }
    CU_ASSERT(s.closes == 0);
    channel_free(ch);
    fd_closep(&fds[1]);
    event_base_free(s.base);
}

/* As long as this is in force no descriptor can be had. */
static struct rlimit no_descriptors(int first_free)
{
    struct rlimit old, none;
    CU_ASSERT_FATAL(getrlimit(RLIMIT_NOFILE, &old) == 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)first_free, .rlim_max = old.rlim_max};
    CU_ASSERT(setrlimit(RLIMIT_NOFILE, &none) == 0);
    return old;
}

static int first_free(void)
{
    int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(fd);
    return fd;
}

/* What the receiver has no room for ends neither him nor the channel. */
static void no_room_for_a_descriptor(unsigned self, unsigned peer, struct msg *m, bool answered, unsigned closes)
{
    struct seen s = {.base = event_base_new(), .kept_fd = -1};
    struct err e;
    struct msg got;
    int fds[2];
    AUTO_FD memfd = ipc_memfd("x");
    AUTO_BUF buf = {0};
    AUTO_ARENA arena = arena_new(4096);
    CU_ASSERT_FATAL(channel_pair(fds) == 0);
    struct channel *ch = channel_new(s.base, fds[0], self, peer, &ops, &s);
    m->fd = memfd;
    msg_set_id(m, 77);
    CU_ASSERT(channel_send_now(fds[1], m, &e) == 0);
    struct rlimit old = no_descriptors(first_free());
    ipc_turn(s.base);
    CU_ASSERT(setrlimit(RLIMIT_NOFILE, &old) == 0);
    CU_ASSERT(s.closes == closes && s.messages == !answered && s.kept_fd == -1);
    if (answered && closes == 0) {
        CU_ASSERT(channel_recv_now(fds[1], self, peer, 0, &buf, arena, &got, &e) == 1);
        CU_ASSERT(got.type == MSG_unread && got.unread.id == 77);
    } else if (closes == 0) {
        CU_ASSERT(s.type == MSG_unread && s.last_id == 77);
    }
    if (closes == 0) { /* and the next one comes through */
        CU_ASSERT(channel_send_now(fds[1], m, &e) == 0);
        ipc_turn(s.base);
        CU_ASSERT(s.kept_fd >= 0 && s.type == m->type);
        channel_free(ch);
    }
    fd_closep(&s.kept_fd);
    fd_closep(&fds[1]);
    event_base_free(s.base);
}

static void a_channel_outlives_the_want_of_descriptors(void)
{
    struct msg ask = MSG_INIT(deliver_ask), reply = MSG_INIT(session_reply), start = MSG_INIT(link);
    memset(&ask.deliver_ask.grant, 0x55, sizeof ask.deliver_ask.grant);
    no_room_for_a_descriptor(DELIVER, SMTP, &ask, true, 0);
    no_room_for_a_descriptor(ACCESS, MASTER, &reply, false, 0);
    no_room_for_a_descriptor(SMTP, MASTER, &start, true, 1);
}

/* --- bundles --- */

static void bundles_keep_their_pieces(void)
{
    AUTO_BUF b = {0};
    struct bundle got;
    struct err e;
    struct str name, bytes;
    size_t at = 0;
    bundle_add(&b, STR("tls:"), STR("one"));
    bundle_add(&b, STR("tls:"), STR("two\0two"));
    bundle_add(&b, STR("empty"), STR(""));
    AUTO_FD fd = bundle_memfd(&b);
    CU_ASSERT_FATAL(fd >= 0 && bundle_open(fd, &got, &e) == 0);
    CU_ASSERT(write(fd, "x", 1) == -1 && ftruncate(fd, 0) == -1);
    CU_ASSERT(bundle_next(&got, &at, &name, &bytes));
    UNIT_STR(bytes, "one");
    CU_ASSERT(bundle_next(&got, &at, &name, &bytes) && bytes.n == 7);
    CU_ASSERT(bundle_next(&got, &at, &name, &bytes) && bytes.n == 0);
    UNIT_STR(name, "empty");
    CU_ASSERT(!bundle_next(&got, &at, &name, &bytes));
    CU_ASSERT(bundle_get(&got, STR("tls:"), &bytes) && bytes.n == 3);
    CU_ASSERT(!bundle_get(&got, STR("tls"), &bytes));
    bundle_close(&got);
}

static void bad_bundles_are_refused(void)
{
    struct bundle b;
    struct err e;
    AUTO_FD unsealed = ipc_memfd("whatever");
    AUTO_FD empty = ipc_memfd("");
    CU_ASSERT(bundle_open(unsealed, &b, &e) == -1 && b.p == NULL);
    CU_ASSERT(bundle_open(empty, &b, &e) == -1);
    AUTO_BUF lying = {0};
    bundle_add(&lying, STR("name"), STR("bytes"));
    for (size_t n = 0; n < lying.n; n++) {
        struct bundle cut = {lying.p, n};
        struct str name, bytes;
        size_t at = 0;
        CU_ASSERT(!bundle_next(&cut, &at, &name, &bytes));
    }
    memset(lying.p, 0xff, 8);
    struct bundle huge = {lying.p, lying.n};
    struct str bytes;
    CU_ASSERT(!bundle_get(&huge, STR("name"), &bytes));
}

/* --- shared counts --- */

static void counts_are_shared(void)
{
    AUTO_FD fd = counters_create();
    struct counters *a = counters_open(fd), *b = counters_open(fd);
    const unsigned char one[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1};
    const unsigned char two[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2};
    const unsigned char six[16] = {0x20, 1, [15] = 1}, six_near[16] = {0x20, 1, [15] = 2};
    CU_ASSERT_FATAL(a != NULL && b != NULL);
    CU_ASSERT(counters_add(a, 0, one) == 1);
    CU_ASSERT(counters_add(b, 1, one) == 2);
    CU_ASSERT(counters_add(b, 1, two) == 1);
    CU_ASSERT(counters_add(a, 0, six) == 1);
    CU_ASSERT(counters_add(b, 1, six_near) == 2); /* the same /64 */
    counters_sub(b, 1, one);
    CU_ASSERT(counters_add(a, 0, one) == 2);
    CU_ASSERT(counters_total(a) == 5);
    counters_wipe(b, 0); /* that program died */
    CU_ASSERT(counters_add(b, 1, one) == 1);
    counters_sub(a, 0, one); /* never below nothing */
    CU_ASSERT(counters_add(a, 0, one) == 2);
    counters_close(a);
    counters_close(b);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"every message comes through", messages_come_through},
        {"asks have ids", asks_have_ids},
        {"broken messages are refused", broken_messages_are_refused},
        {"limits hold on both sides", limits_hold_on_both_sides},
        {"lists cannot lie", lists_cannot_lie},
        {"channels carry messages", channels_carry_messages},
        {"many messages wait their turn", many_messages_wait_their_turn},
        {"channels end", channels_end},
        {"nonsense ends a channel", nonsense_ends_a_channel},
        {"descriptors travel", descriptors_travel},
        {"unwanted descriptors are closed", unwanted_descriptors_are_closed},
        {"a descriptor is never lost in the queue", a_descriptor_is_never_lost_in_the_queue},
        {"a channel outlives the want of descriptors", a_channel_outlives_the_want_of_descriptors},
        {"bundles keep their pieces", bundles_keep_their_pieces},
        {"bad bundles are refused", bad_bundles_are_refused},
        {"counts are shared", counts_are_shared},
        {NULL, NULL},
    };
    return sodium_init() < 0 ? 99 : unit_main("ipc", tests);
}
