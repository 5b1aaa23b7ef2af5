/*
 * Redeeming grants at the directory, blocking: the worker does one thing at a time, and nothing else
 * waits in it meanwhile. Owns the descriptor of the channel. When no answer comes in time the channel
 * is closed, and every grant is "cannot say" until the master gives a new one.
 */
#ifndef FACTEUR_DELIVER_REDEEM_H
#define FACTEUR_DELIVER_REDEEM_H

#include "ipc/channel.h"

#define DELIVER_REDEEM_MS 10000

struct deliver_redeemer {
    int fd; /* -1: no channel */
    uint64_t last_id;
    struct buf bytes;
    struct arena *arena;
};

void deliver_redeemer_init(struct deliver_redeemer *r);
void deliver_redeemer_free(struct deliver_redeemer *r);
/* A new channel in place of the old one; owns fd. */
void deliver_redeemer_link(struct deliver_redeemer *r, int fd);

/* use: REDEEM_LOOK or REDEEM_USE. 0, and the strings of *out stay valid until the next call; -1 and a
 * temporary error when the directory does not answer or does not answer yes. */
int deliver_redeem(struct deliver_redeemer *r, const struct grant *g, unsigned use,
                   struct msg_redeem_reply *out, struct err *e);

#endif
