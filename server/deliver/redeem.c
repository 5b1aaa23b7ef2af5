/* Blocking questions to the directory. */
#include "deliver/redeem.h"
#include "base/clock.h"
#include "base/log.h"

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
    fd_closep(&r->fd);
    r->fd = fd;
}

static int lost(struct deliver_redeemer *r, struct err *e)
{
    fd_closep(&r->fd);
    log_warning("ipc-lost", LZ("peer", "directory"), LZ("why", e->log));
    return -1;
}

/* Waits for the answer to id; answers to older questions (whose time was up) are passed over. */
static int await(struct deliver_redeemer *r, uint64_t id, struct msg_redeem_reply *out,
                 struct err *e)
{
    int64_t end = clock_mono_ms() + DELIVER_REDEEM_MS;
    for (;;) {
        struct msg m;
        int64_t left = end - clock_mono_ms();
        arena_reset(r->arena);
        int got = channel_recv_now(r->fd, DIRECTORY, DELIVER, left > 0 ? (int)left : 0, &r->bytes,
                                   r->arena, &m, e);
        if (got == 0)
            err_temp(e, "directory went away");
        if (got != 1)
            return -1;
        fd_closep(&m.fd);
        if (m.type == MSG_redeem_reply && m.redeem_reply.id == id) {
            *out = m.redeem_reply;
            return 0;
        }
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
        return lost(r, e);
    if (out->verdict != VERDICT_YES)
        return err_temp(e, "the directory does not know this grant (verdict %u)",
                        (unsigned)out->verdict);
    return 0;
}
