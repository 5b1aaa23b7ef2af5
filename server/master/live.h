/*
 * The mailbox sessions that run: whose they are, so that the directory can be told of them, and so
 * that they end when it says that a user may not be logged in any more.
 */
#ifndef FACTEUR_MASTER_LIVE_H
#define FACTEUR_MASTER_LIVE_H

#include "base/str.h"

struct master;
struct live;

struct live *live_new(struct master *m);
void live_free(struct live *l);

/* name: of redeem_reply. The directory is told. */
void live_began(struct live *l, uint32_t pid, uint32_t uid, struct str login, struct str name);
void live_over(struct live *l, uint32_t pid);
void live_all_over(struct live *l); /* the session program is gone */
void live_tell_all(struct live *l); /* a directory program that knows nothing yet is ready */

/* Has every session of this user say goodbye. */
void live_end_user(struct live *l, struct str login, uint32_t uid);

#endif
