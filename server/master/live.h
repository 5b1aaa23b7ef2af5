/*
 * The mailbox sessions that run: whose they are, so that the directory can be told of them, and so
 * that they end when it says that a user may not be logged in any more.
 *
 * A session outlives the death of its parent, the session program. The master is its reaper then, so it
 * learns of its end and may signal it.
 */
#ifndef FACTEUR_MASTER_LIVE_H
#define FACTEUR_MASTER_LIVE_H

#include "base/str.h"

struct master;
struct live;

struct live *live_new(struct master *m);
void live_free(struct live *l);

/* name: of redeem_reply; client: the address. The directory is told. */
void live_began(struct live *l, uint32_t pid, uint32_t uid, struct str login, struct str name,
                struct str client);
/* How many sessions this user has from this address. Looks at all sessions. */
size_t live_count(const struct live *l, uint32_t uid, struct str client);
/* False: there is no such session. *uid: whose it was. */
bool live_over(struct live *l, uint32_t pid, uint32_t *uid);
/* The session program is gone. Its sessions go on; fn hears of those whose end it had not told. */
void live_adopt(struct live *l, void (*fn)(void *arg, uint32_t uid), void *arg);
void live_stop_adopted(struct live *l); /* all ends: they say goodbye */
void live_tell_all(struct live *l); /* a directory program that knows nothing yet is ready */

/* Has every session of this user say goodbye. */
void live_end_user(struct live *l, struct str login, uint32_t uid);

#endif
