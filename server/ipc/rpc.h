/*
 * Asking other programs and hearing back: pairs replies with their asks, over one channel or over
 * several equal ones (deliver workers: the one with the fewest asks under way is taken).
 *
 * An answer of another kind than was asked for closes the channel. When a channel closes, every ask under way on it is answered with NULL: the outcome is unknown.
 * When there is no channel at all (the program is being restarted) the callback comes with NULL too,
 * from the event loop, never from inside rpc_call.
 */
#ifndef FACTEUR_IPC_RPC_H
#define FACTEUR_IPC_RPC_H

#include "ipc/channel.h"

struct rpc;

/* reply: NULL when no answer will come (channel gone, time up). For a reply with more != 0 the
 * callback comes again; the handler may take reply->fd by setting it to -1. */
typedef void (*rpc_fn)(void *arg, struct msg *reply);

struct rpc *rpc_new(struct event_base *base, unsigned self, unsigned peer);
void rpc_free(struct rpc *r); /* no callbacks are made */

/* Adds a channel (takes ownership of fd); the one of the same index is replaced. */
void rpc_link(struct rpc *r, unsigned index, int fd);

/* Sends m with a new id and calls fn with the answer. m->fd stays the caller's. Returns the id for
 * rpc_cancel; never 0. */
uint64_t rpc_call(struct rpc *r, struct msg *m, int64_t timeout_ms, rpc_fn fn, void *arg);

/* The asker is gone: no callback for this id any more. */
void rpc_cancel(struct rpc *r, uint64_t id);

/* The asker is gone, and the answer goes to somebody else, who gives back what comes with it. */
void rpc_abandon(struct rpc *r, uint64_t id, rpc_fn fn, void *arg);

/* Sends a message without an answer to any one of the channels. */
void rpc_tell(struct rpc *r, struct msg *m);
/* What the others tell so, a message without an id, goes to fn; else it is passed over. */
void rpc_on_told(struct rpc *r, rpc_fn fn, void *arg);

size_t rpc_under_way(const struct rpc *r);
bool rpc_connected(const struct rpc *r);

#endif
