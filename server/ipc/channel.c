/* Channels between programs. */
#include "ipc/channel.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than any message with a password has: a buffer that grew would leave copies of it behind. */
#define ENCODED_FIRST 8192
#define BATCH 32 /* messages taken at one wake-up before others get their turn */

struct pending {
    struct pending *next;
    size_t n;
    int fd;
    char bytes[];
};

struct channel {
    int fd;
    unsigned self, peer;
    const struct channel_ops *ops;
    void *arg;
    struct event *readable, *writable;
    struct pending *first, **last;
    struct buf in, out; /* out: one message, wiped when it is sent */
    struct arena *arena;
    unsigned busy; /* inside that many callbacks */
    bool dead;     /* freed inside a callback */
    bool broken;
};

const char *program_name(unsigned program)
{
    static const char *const names[] = {"master", "smtp",    "access", "directory",
                                        "queue",  "deliver", "session", "relay", "filter"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (program == 1u << i)
            return names[i];
    return "unknown";
}

int channel_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

/* --- raw datagrams with at most one descriptor --- */

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int) * 4)];
};

static ssize_t send_raw(int fd, const void *p, size_t n, int passed, int flags)
{
    union control c = {0};
    struct iovec iov = {(void *)p, n};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (passed >= 0) {
        h.msg_control = &c;
        h.msg_controllen = CMSG_SPACE(sizeof(int));
        struct cmsghdr *cm = CMSG_FIRSTHDR(&h);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cm), &passed, sizeof passed);
    }
    ssize_t r;
    do
        r = sendmsg(fd, &h, flags | MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Keeps the first descriptor, closes any other. */
static int take_descriptor(struct msghdr *h)
{
    int kept = -1;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(h); cm; cm = CMSG_NXTHDR(h, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int got;
            memcpy(&got, CMSG_DATA(cm) + i * sizeof got, sizeof got);
            if (kept < 0)
                kept = got;
            else
                close(got);
        }
    }
    return kept;
}

#define LOST (-2) /* a descriptor that there was no room for: it went with its message (recvmsg(2)) */

static ssize_t recv_raw(int fd, struct buf *in, int *passed, int flags)
{
    union control c;
    buf_clear(in);
    struct iovec iov = {buf_room(in, MSG_LIMIT), MSG_LIMIT};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
                       .msg_controllen = sizeof c};
    ssize_t r;
    do
        r = recvmsg(fd, &h, flags | MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    *passed = -1;
    if (r < 0)
        return r;
    *passed = take_descriptor(&h);
    if (*passed < 0 && h.msg_flags & MSG_CTRUNC)
        *passed = LOST;
    in->n = (size_t)r;
    if (h.msg_flags & MSG_TRUNC)
        in->n = 0;
    return r;
}

/* A datagram into a message that has just the descriptor it should have. */
static int decode(struct buf *in, int passed, unsigned from, unsigned self, struct arena *arena,
                  struct msg *m, struct err *e)
{
    int r = msg_decode(buf_view(in), from, self, arena, m, e);
    if (r == 0 && msg_has_fd(m->type) != (passed >= 0))
        r = err_perm(e, "message %s: descriptor %s", msg_name(m->type),
                     passed >= 0 ? "not wanted" : "missing");
    if (r != 0) {
        fd_closep(&passed);
        return -1;
    }
    m->fd = passed;
    return 0;
}

/* --- event-driven --- */

static void channel_destroy(struct channel *ch)
{
    while (ch->first) {
        struct pending *p = ch->first;
        ch->first = p->next;
        fd_closep(&p->fd);
        mem_wipe(p->bytes, p->n);
        free(p);
    }
    event_free(ch->readable);
    event_free(ch->writable);
    close(ch->fd);
    buf_free(&ch->in);
    buf_free(&ch->out);
    arena_free(ch->arena);
    free(ch);
}

static void leave(struct channel *ch)
{
    if (--ch->busy == 0 && ch->dead)
        channel_destroy(ch);
}

void channel_fail(struct channel *ch)
{
    if (ch->broken || ch->dead)
        return;
    ch->broken = true;
    event_del(ch->readable);
    event_del(ch->writable);
    ch->ops->on_close(ch, ch->arg);
}

/* Nobody spoke nonsense, so the channel lives on: closed, it would take every client of access along, or leave
 * smtp without a queue. Who asked hears that he was not understood; who was answered, that there is no answer.
 * False: what has no number is what a program begins with, and another start may find what this one lacks. */
static bool unread(struct channel *ch)
{
    struct msg m, say = MSG_INIT(unread);
    struct err e = {0};
    if (msg_decode(buf_view(&ch->in), ch->peer, ch->self, ch->arena, &m, &e) != 0 || !msg_has_fd(m.type))
        return false;
    log_warning("ipc-no-descriptor", LZ("from", program_name(ch->peer)), LZ("message", msg_name(m.type)));
    say.unread.id = msg_id(&m);
    if (say.unread.id == 0)
        return ch->peer != MASTER;
    if (msg_may_go(MSG_unread, ch->self, ch->peer))
        channel_send(ch, &say);
    else
        ch->ops->on_message(ch, ch->arg, &say);
    return true;
}

static void handle(struct channel *ch, int passed)
{
    struct msg m;
    struct err e = {0};
    arena_reset(ch->arena);
    if (passed == LOST && unread(ch)) {
        mem_wipe(ch->in.p, ch->in.n);
        return;
    }
    if (decode(&ch->in, passed, ch->peer, ch->self, ch->arena, &m, &e) != 0) {
        log_error("ipc-bad-message", LZ("from", program_name(ch->peer)), LZ("why", e.log));
        channel_fail(ch);
        return;
    }
    ch->ops->on_message(ch, ch->arg, &m);
    fd_closep(&m.fd);
    mem_wipe(ch->in.p, ch->in.n);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct channel *ch = arg;
    (void)what;
    ch->busy++;
    for (int i = 0; i < BATCH && !ch->dead && !ch->broken; i++) {
        int passed;
        ssize_t r = recv_raw((int)fd, &ch->in, &passed, MSG_DONTWAIT);
        if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (r <= 0)
            channel_fail(ch);
        else
            handle(ch, passed);
    }
    leave(ch);
}

/* The socket's buffer is full, or the kernel has no memory just now: a message that were dropped for
 * that would leave the other side waiting for it. */
static bool send_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct channel *ch = arg;
    (void)what;
    ch->busy++;
    while (ch->first) {
        struct pending *p = ch->first;
        if (send_raw((int)fd, p->bytes, p->n, p->fd, MSG_DONTWAIT) < 0) {
            if (!send_later(errno))
                channel_fail(ch);
            break;
        }
        ch->first = p->next;
        if (!ch->first)
            ch->last = &ch->first;
        fd_closep(&p->fd);
        mem_wipe(p->bytes, p->n);
        free(p);
    }
    if (!ch->first && !ch->broken)
        event_del(ch->writable);
    leave(ch);
}

struct channel *channel_new(struct event_base *base, int fd, unsigned self, unsigned peer,
                            const struct channel_ops *ops, void *arg)
{
    struct channel *ch = MEM_NEW(struct channel);
    evutil_make_socket_nonblocking(fd);
    *ch = (struct channel){.fd = fd, .self = self, .peer = peer, .ops = ops, .arg = arg};
    ch->last = &ch->first;
    ch->arena = arena_new(4096);
    ch->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, ch);
    ch->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, ch);
    event_add(ch->readable, NULL);
    return ch;
}

void channel_free(struct channel *ch)
{
    if (!ch)
        return;
    ch->dead = true;
    if (ch->busy == 0)
        channel_destroy(ch);
}

/* A message that has lost its descriptor would end the channel at the other side. */
static int enqueue(struct channel *ch, const struct buf *b, int passed)
{
    int fd = passed >= 0 ? fcntl(passed, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0 && passed >= 0)
        return -1;
    struct pending *p = mem_alloc(sizeof *p + b->n);
    p->n = b->n;
    p->fd = fd;
    memcpy(p->bytes, b->p, b->n);
    *ch->last = p;
    ch->last = &p->next;
    event_add(ch->writable, NULL);
    return 0;
}

int channel_send(struct channel *ch, const struct msg *m)
{
    struct err e;
    struct buf *b = &ch->out;
    if (ch->broken || ch->dead)
        return -1;
    buf_clear(b);
    buf_room(b, ENCODED_FIRST);
    if (msg_encode(m, b, &e) != 0) {
        log_error("ipc-encode", LZ("why", e.log));
        return -1;
    }
    bool queued = ch->first != NULL;
    ssize_t sent = queued ? -1 : send_raw(ch->fd, b->p, b->n, m->fd, MSG_DONTWAIT);
    int r = 0;
    if (queued || (sent < 0 && send_later(errno)))
        r = enqueue(ch, b, m->fd);
    else if (sent < 0)
        r = -1;
    mem_wipe(b->p, b->n);
    return r;
}

unsigned channel_peer(const struct channel *ch)
{
    return ch->peer;
}

/* --- blocking --- */

int channel_send_now(int fd, const struct msg *m, struct err *e)
{
    AUTO_BUF b = {0};
    buf_room(&b, ENCODED_FIRST);
    if (msg_encode(m, &b, e) != 0)
        return -1;
    ssize_t r = send_raw(fd, b.p, b.n, m->fd, 0);
    mem_wipe(b.p, b.n);
    return r < 0 ? err_temp(e, "message %s: %s", msg_name(m->type), strerror(errno)) : 0;
}

int channel_recv_now(int fd, unsigned from, unsigned self, int timeout_ms, struct buf *buf,
                     struct arena *arena, struct msg *m, struct err *e)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = 1, passed;
    while (timeout_ms != 0 && (ready = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    ssize_t r = ready > 0 ? recv_raw(fd, buf, &passed, timeout_ms ? 0 : MSG_DONTWAIT) : -1;
    if (ready <= 0 || (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)))
        return err_temp(e, "no answer from %s in time", program_name(from));
    if (r == 0)
        return 0;
    if (r < 0)
        return err_temp(e, "channel to %s: %s", program_name(from), strerror(errno));
    return decode(buf, passed, from, self, arena, m, e) == 0 ? 1 : -1;
}
