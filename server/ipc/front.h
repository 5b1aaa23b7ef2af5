/*
 * What the programs that clients connect to have in common: settings with certificates, of which
 * each client keeps those it came under, listeners, and the tables that clients are counted in.
 */
#ifndef FACTEUR_IPC_FRONT_H
#define FACTEUR_IPC_FRONT_H

#include "io/tls.h"
#include "ipc/behind.h"
#include "ipc/bundle.h"
#include "ipc/counters.h"
#include "ipc/message.h"
#include "ipc/rates.h"

#include <event2/event.h>

/* How a front ends after SIGTERM: what is under way has until shortly before the master kills, and the
 * last replies have a moment to leave. */
#define FRONT_LAST_MOMENT_MS 4000
#define FRONT_LAST_REPLIES_MS 200

struct front_settings { /* shared, counted */
    unsigned holders;
    struct config *cfg;
    struct tls_server *tls;
};

struct front_settings *front_settings_hold(struct front_settings *s);
void front_settings_drop(struct front_settings *s); /* NULL is fine */

struct front {
    struct front_settings *settings; /* for new clients; NULL before the first configuration */
    struct front_listeners *listeners;
    struct counters *counters; /* NULL until the master gave them */
    unsigned row;              /* ours in the counters */
    struct rates *rates;       /* NULL until the master gave them */
    struct secret_pool *secrets; /* for passwords on their way to the directory */
};

/* fn is called for every connection accepted, after a load balancer's header where one is expected by
 * the settings then in force. owed: how many descriptors the clients here will still need, each for its session
 * or its message. f must stay where it is. */
void front_start(struct front *f, struct event_base *base, behind_fn fn, void *arg, const unsigned *owed);
/* New settings, made of cfg (taken over on success) and the bundle's certificates; clients that hold
 * the old ones keep them. 0, or -1 and a permanent error: all stays as it was. */
int front_configure(struct front *f, struct config *cfg, const struct bundle *b, struct err *e);
/* Takes the tables that the master hands out; other messages are left alone. */
void front_message(struct front *f, const struct msg *m);
/* Takes over fd; a listener with that number is replaced. When no descriptor is left for a new
 * connection, but for what is owed, it rests for a second instead of waking at once again. */
void front_listen(struct front *f, unsigned number, enum service service, int fd);
void front_unlisten(struct front *f, unsigned number);
/* Closes all listeners; no more can be added. */
void front_deafen(struct front *f);
void front_free(struct front *f);

#endif
