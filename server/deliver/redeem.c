/* Blocking questions to the directory. */
#include "deliver/redeem.h"
#include "base/clock.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

void deliver_redeemer_init(struct deliver_redeemer *r)
{
    *r = (struct deliver_redeemer){.fd = -1, .arena = arena_new(1024)};
}

void deliver_redeemer_free(struct deliver_redeemer *r)
{
    fd_closep(&r->fd);
    buf_free(&r->bytes);
    arena_free(r->arena);
    r->arena = NULL;
}

void deliver_redeemer_link(struct deliver_redeemer *r, int fd)
{
    struct timeval limit = {DELIVER_REDEEM_MS / 1000, 0};
    fd_closep(&r->fd);
    r->fd = fd;
    r->silent = false;
    /* A directory that stands still must not hold us in send(2) either. */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* Waits for the answer to id: 0, or -1 and the channel is closed when it has ended. */
static int await(struct deliver_redeemer *r, uint64_t id, struct msg_redeem_reply *out,
                 struct err *e)
{
    int64_t end = clock_mono_ms() + (r->silent ? DELIVER_REDEEM_SILENT_MS : DELIVER_REDEEM_MS);
    r->silent = true;
    for (;;) {
        struct msg m;
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        int64_t left = end - clock_mono_ms();
        if (poll(&p, 1, left > 0 ? (int)left : 0) <= 0)
            return err_temp(e, "no answer from the directory in time");
        arena_reset(r->arena);
        int got = channel_recv_now(r->fd, DIRECTORY, DELIVER, 0, &r->bytes, r->arena, &m, e);
        if (got != 1) {
            fd_closep(&r->fd);
            return got == 0 ? err_temp(e, "the directory went away") : -1;
        }
        fd_closep(&m.fd);
        if (m.type != MSG_redeem_reply || m.redeem_reply.id != id)
            continue;
        r->silent = false;
        *out = m.redeem_reply;
        return 0;
    }
}

int deliver_redeem(struct deliver_redeemer *r, const struct grant *g, unsigned use,
                   struct msg_redeem_reply *out, struct err *e)
{
    struct msg m = MSG_INIT(redeem_ask);
    if (r->fd < 0)
        return err_temp(e, "no channel to the directory");
    m.redeem_ask.id = ++r->last_id;
    m.redeem_ask.grant = *g;
    m.redeem_ask.use = (uint8_t)use;
    if (channel_send_now(r->fd, &m, e) != 0 || await(r, m.redeem_ask.id, out, e) != 0)
        return -1;
    if (out->verdict != VERDICT_YES)
        return err_temp(e, "the directory does not know this grant (verdict %u)",
                        (unsigned)out->verdict);
    return 0;
}
