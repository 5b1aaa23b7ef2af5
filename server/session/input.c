/* Bytes from the client. */
#include "session/imap.h"

#include "base/clock.h"
#include "session/search_text.h"
#include "session/squeeze.h"
#include "session/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { READ_PIECE = 16384, SOON_MS = 100 };

/* Where the state is written before each wait, no wait may come before that. */
void imap_input_begin(struct imap_session *s)
{
    const struct timeval soon = {.tv_usec = SOON_MS * 1000};
    s->soon = s->settings->state_fd < 0 && !(fcntl(s->in_fd, F_GETFL) & O_NONBLOCK) &&
              setsockopt(s->in_fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0;
}

struct str imap_input(struct imap_session *s)
{
    return str_skip(buf_view(&s->in), s->in_at);
}

void imap_input_eat(struct imap_session *s, struct str rest)
{
    s->in_at = s->in.n - rest.n;
    if (s->in_at == s->in.n) {
        buf_clear(&s->in);
        s->in_at = 0;
    }
}

/* 1: readable; 0: silence. */
static int wait_readable(struct imap_session *s)
{
    struct pollfd p = {.fd = s->in_fd, .events = POLLIN};
    int64_t end = clock_mono_ms() + s->settings->inactivity_ms;
    search_text_silence(s);
    imap_nap_begin(s);
    for (;;) {
        int64_t now = clock_mono_ms(), due = search_text_due(s);
        due = imap_nap_due(s) < due ? imap_nap_due(s) : due;
        imap_state_write(s);
        int64_t left = (due < end ? due : end) - now;
        int r = poll(&p, 1, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
        if (r > 0)
            return 1;
        if ((r < 0 && errno != EINTR) || (r == 0 && now >= end))
            return 0;
        if (r == 0 && now >= search_text_due(s))
            search_text_work(s);
        else if (r == 0 && now >= imap_nap_due(s))
            imap_nap(s);
    }
}

const char *imap_input_stopped(void)
{
    if (session_stopped() == SIGHUP)
        return "[AUTHORIZATIONFAILED] This login is not valid any more";
    return session_stopped() ? "[UNAVAILABLE] The server is going down, try again later" : NULL;
}

/* --- reading --- */

bool imap_input_pending(const struct imap_session *s)
{
    return s->squeeze && squeeze_pending(s->squeeze);
}

static void take(struct imap_session *s, struct buf *to, ssize_t n)
{
    to->n += (size_t)n;
    s->bytes_in += (uint64_t)n;
}

/* Reads once: more than 0, or 0 at the end. */
static ssize_t read_some(struct imap_session *s, struct buf *to)
{
    char *at = buf_room(to, READ_PIECE);
    ssize_t r;
    do {
        r = read(s->in_fd, at, READ_PIECE);
    } while (r < 0 && errno == EINTR);
    if (r <= 0)
        return 0;
    take(s, to, r);
    return r;
}

/* What has come compressed becomes input, a piece of it. */
static int unpack(struct imap_session *s)
{
    if (squeeze_inflate(s->squeeze, READ_PIECE, &s->in) == 0)
        return 1;
    imap_bye(s, "The compressed data are damaged");
    return 0;
}

bool imap_input_soon(struct imap_session *s)
{
    AUTO_BUF packed = {0};
    struct buf *to = s->squeeze ? &packed : &s->in;
    if (!s->soon || s->out.failed || imap_input_pending(s))
        return false;
    ssize_t r = recv(s->in_fd, buf_room(to, READ_PIECE), READ_PIECE, 0);
    if (r < 0)
        return errno == EINTR; /* the signal may have been one that ends the session */
    if (r == 0) {
        s->done = true;
        return true;
    }
    take(s, to, r);
    if (s->squeeze) {
        squeeze_feed(s->squeeze, buf_view(&packed));
        unpack(s);
    }
    return true;
}

int imap_input_read(struct imap_session *s)
{
    if (s->in_at) {
        buf_consume(&s->in, s->in_at);
        s->in_at = 0;
    }
    output_flush(&s->out);
    if (s->out.failed) {
        s->done = true;
        return 0;
    }
    if (imap_input_pending(s))
        return unpack(s);
    if (!wait_readable(s)) {
        imap_bye(s, "Logged out after a long silence");
        return 0;
    }
    imap_state_spoil(s);
    AUTO_BUF packed = {0};
    if (read_some(s, s->squeeze ? &packed : &s->in) == 0) {
        s->done = true;
        return 0;
    }
    if (!s->squeeze)
        return 1;
    squeeze_feed(s->squeeze, buf_view(&packed));
    return unpack(s);
}
