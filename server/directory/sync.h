/*
 * Being told of changes (RFC 4533, refreshAndPersist): a connection of its own on which the server
 * sends every entry below the search base once, and then each that changes. Nothing is answered
 * from what comes: a change makes the picture (picture.h) forget, and whoever asks asks again.
 *
 * While a server offers this, and the refresh came to its end, the picture is watched. A refresh
 * that stops early, a lost or silent connection, too many entries: no watching, and the stated
 * cache time holds. A change of what nobody may see or ask for (times of logins) is no change.
 */
#ifndef FACTEUR_DIRECTORY_SYNC_H
#define FACTEUR_DIRECTORY_SYNC_H

#include "directory/conns.h"

struct sync;

struct sync_ops {
    void (*watching)(void *arg, bool now); /* true: all changes are told from now on */
    /* dn: of the entry that changed, as the server wrote it; empty: any may have. */
    void (*changed)(void *arg, struct str dn);
};

/* settings are copied. base: where the tree to watch begins. */
struct sync *sync_new(struct event_base *loop, struct opener *opener,
                      const struct ldapmap_conn_settings *settings, struct str base,
                      const struct sync_ops *ops, void *arg);
/* Never from inside a callback. NULL is fine. */
void sync_free(struct sync *s);
bool sync_is_watching(const struct sync *s);
size_t sync_entries(const struct sync *s);

#endif
