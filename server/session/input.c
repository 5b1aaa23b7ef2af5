/* Bytes from the client. */
#include "session/imap.h"

#include "base/clock.h"
#include "session/search_text.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { READ_PIECE = 16384 };

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
    for (;;) {
        int64_t now = clock_mono_ms(), due = search_text_due(s);
        int64_t left = (due < end ? due : end) - now;
        int r = poll(&p, 1, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
        if (r > 0)
            return 1;
        if ((r < 0 && errno != EINTR) || (r == 0 && now >= end))
            return 0;
        if (r == 0 && now >= due)
            search_text_work(s);
    }
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
    if (!wait_readable(s)) {
        imap_bye(s, "Logged out after a long silence");
        return 0;
    }
    char *at = buf_room(&s->in, READ_PIECE);
    ssize_t r;
    do {
        r = read(s->in_fd, at, READ_PIECE);
    } while (r < 0 && errno == EINTR);
    if (r <= 0) {
        s->done = true;
        return 0;
    }
    s->in.n += (size_t)r;
    s->bytes_in += (uint64_t)r;
    return 1;
}
