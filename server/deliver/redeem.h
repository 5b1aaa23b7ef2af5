/*
 * Redeeming grants at the directory, blocking: the worker does one thing at a time, and nothing
 * else waits in it meanwhile. Owns the descriptor of the channel.
 *
 * A directory that was silent once is waited for only briefly until it answers again; what it
 * answers too late is passed over by its id. Only a channel that has ended is given up: the master
 * then lays a new one.
 */
#ifndef FACTEUR_DELIVER_REDEEM_H
#define FACTEUR_DELIVER_REDEEM_H

#include "ipc/channel.h"

#define DELIVER_REDEEM_MS 10000
#define DELIVER_REDEEM_SILENT_MS 1000

struct deliver_redeemer {
    int fd; /* -1: no channel */
    bool silent; /* the last question had no answer in time */
    uint64_t last_id;
    struct buf bytes;
    struct arena *arena;
};

void deliver_redeemer_init(struct deliver_redeemer *r);
void deliver_redeemer_free(struct deliver_redeemer *r);
/* A new channel in place of the old one; owns fd. */
void deliver_redeemer_link(struct deliver_redeemer *r, int fd);

/* use: REDEEM_LOOK or REDEEM_USE. 0, and the strings of *out stay valid until the next call; -1
 * and a temporary error when the directory does not answer or does not answer yes. */
int deliver_redeem(struct deliver_redeemer *r, const struct grant *g, unsigned use,
                   struct msg_redeem_reply *out, struct err *e);

#endif
