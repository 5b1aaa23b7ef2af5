/* The directory program: its state, and what the other programs may ask of it. */
#ifndef FACTEUR_DIRECTORY_DIRECTORY_H
#define FACTEUR_DIRECTORY_DIRECTORY_H

#include "directory/dirset.h"
#include "directory/grants.h"
#include "directory/peer.h"
#include "ipc/program.h"

struct directory_counts {
    uint64_t resolves, logins, senders, redeemed, maps;
    uint64_t cannot_say; /* answers of any kind */
};

struct directory {
    struct program *program;
    struct pools *pools;
    struct dirset *set; /* the configuration for new questions; NULL before the first */
    struct grants *grants;
    struct guard *guard;
    struct secret_pool *secrets;
    struct exchanges *exchanges;
    struct bearers *bearers;
    struct watch *watch;
    struct peer *peers; /* all of them */
    struct peer *master;
    uint64_t last_peer;
    struct event *sweep;
    bool helpers_busy; /* at the end */
    struct directory_counts counts;
};

/* One message of a peer; every ask gets its reply, at once or later. */
void directory_message(struct peer *p, struct msg *m);
/* The peer's channel has closed. */
void directory_peer_gone(struct peer *p);

#endif
