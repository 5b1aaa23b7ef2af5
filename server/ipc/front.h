/*
 * What the programs that clients connect to have in common: settings with certificates, of which
 * each client keeps those it came under, and listeners.
 */
#ifndef FACTEUR_IPC_FRONT_H
#define FACTEUR_IPC_FRONT_H

#include "io/tls.h"
#include "ipc/behind.h"
#include "ipc/bundle.h"
#include "ipc/message.h"

#include <event2/event.h>

struct front_settings { /* shared, counted */
    unsigned holders;
    struct config *cfg;
    struct tls_server *tls;
};

/* Replaces *current by settings made of cfg (taken over on success) and the bundle's certificates;
 * clients that hold the old ones keep them. 0, or -1 and a permanent error: *current is untouched. */
int front_settings_replace(struct front_settings **current, struct config *cfg,
                           const struct bundle *b, struct err *e);
struct front_settings *front_settings_hold(struct front_settings *s);
void front_settings_drop(struct front_settings *s); /* NULL is fine */

struct front_listeners;

/* fn is called for every connection accepted, after a load balancer's header where one is expected by
 * *settings, which are looked at for each. */
struct front_listeners *front_listeners_new(struct event_base *base,
                                            struct front_settings *const *settings, behind_fn fn,
                                            void *arg);
void front_listeners_free(struct front_listeners *l); /* closes them; NULL is fine */

/* Takes over fd; a listener with that number is replaced. When no descriptor is left for a new
 * connection it rests for a second instead of waking at once again. */
void front_listeners_add(struct front_listeners *l, unsigned number, enum service service, int fd);
void front_listeners_remove(struct front_listeners *l, unsigned number);

#endif
