/* The layers of confine.h, for this room alone. */
#ifndef FACTEUR_CONFINE_LAYERS_H
#define FACTEUR_CONFINE_LAYERS_H

#include "confine/confine.h"

/* Keeps only what the program of that kind needs (nothing for most); root only, before the ids
 * change. */
int caps_limit(unsigned self, struct err *e);
bool caps_none(void); /* the process has no capability at all */

/* rlimits; own_uid: the uid is used by this kind of program alone. */
int limits_set(bool own_uid, struct err *e);

/* The filter of a session that became the mailbox's owner, upon that of its parent. */
int confine_lock_owner(struct err *e);

#endif
