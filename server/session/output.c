/* Bytes to the client; see output.h. */
#include "session/output.h"

#include "base/clock.h"
#include "session/squeeze.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GATHER = 32768, PIPE_PIECE = 4096 };

void output_init(struct output *o, int fd, int64_t timeout_ms)
{
    *o = (struct output){.fd = fd, .timeout_ms = timeout_ms};
}

void output_free(struct output *o)
{
    buf_free(&o->b);
    buf_free(&o->packed);
}

static int wait_writable(struct output *o)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};
    int64_t end = clock_mono_ms() + o->timeout_ms;
    for (;;) {
        int64_t left = end - clock_mono_ms();
        int r = left > 0 ? poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) : 0;
        if (r > 0)
            return 0;
        if (r == 0 || errno != EINTR)
            return -1;
    }
}

/* What can be written without blocking, at least 1; 0: try again; -1. A pipe that poll calls writable takes
 * 4096 bytes. */
static ssize_t write_some(struct output *o, const char *p, size_t n)
{
    ssize_t r = send(o->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool is_pipe = r < 0 && errno == ENOTSOCK;
    if (r > 0)
        return r;
    if (r < 0 && errno == EINTR)
        return 0;
    if (r == 0 || (errno != EAGAIN && !is_pipe) || wait_writable(o) != 0)
        return -1;
    if (!is_pipe)
        return 0;
    r = write(o->fd, p, n < PIPE_PIECE ? n : PIPE_PIECE);
    return r > 0 ? r : r < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : -1;
}

static void give_back(struct buf *b)
{
    buf_clear(b);
    if (b->cap > 4 * (size_t)GATHER)
        buf_free(b);
}

/* Writes what has gathered. flush: the client can read all of it, compressed or not. */
static void write_all(struct output *o, bool flush)
{
    struct buf *from = &o->b;
    size_t at = 0;
    if (o->squeeze) {
        squeeze_deflate(o->squeeze, buf_view(&o->b), flush, &o->packed);
        give_back(&o->b);
        from = &o->packed;
    }
    while (at < from->n && !o->failed) {
        ssize_t r = write_some(o, from->p + at, from->n - at);
        if (r < 0)
            o->failed = true;
        else
            at += (size_t)r;
    }
    o->written += at;
    give_back(from);
}

void output_flush(struct output *o)
{
    write_all(o, true);
}

void output_check(struct output *o)
{
    if (o->b.n >= GATHER)
        write_all(o, false);
}

struct buf *output_buf(struct output *o)
{
    return &o->b;
}

void output_str(struct output *o, struct str s)
{
    while (s.n > GATHER) {
        output_str(o, str_head(s, GATHER));
        s = str_skip(s, GATHER);
    }
    buf_str(&o->b, s);
    output_check(o);
}

void output_z(struct output *o, const char *z)
{
    output_str(o, str_from(z));
}

void output_number(struct output *o, uint64_t n)
{
    char digits[STR_U64_MAX];
    output_str(o, (struct str){digits, (size_t)(str_put_u64(digits, n) - digits)});
}

void output_printf(struct output *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&o->b, fmt, ap);
    va_end(ap);
    output_check(o);
}
