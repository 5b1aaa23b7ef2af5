/*
 * The other programs, as the directory answers them: one peer a channel. A question that is under
 * way holds its peer; when the channel is gone meanwhile the answer is dropped.
 */
#ifndef FACTEUR_DIRECTORY_PEER_H
#define FACTEUR_DIRECTORY_PEER_H

#include "ipc/channel.h"

struct directory;

#define PEER_UNDER_WAY_MAX 4000

struct peer {
    struct peer *next, **at; /* among all of the program */
    struct directory *d;
    struct channel *ch; /* NULL: gone */
    unsigned program;   /* SMTP, QUEUE, … */
    uint64_t number;    /* never used twice: what grants are bound to */
    size_t under_way;   /* questions */
    bool keep;          /* the channel lives on */
};

/* A peer for a channel of its own (takes over fd); messages go to directory_message. */
struct peer *peer_new(struct directory *d, unsigned program, int fd);
/* A peer for the master's channel, which belongs to the program. */
struct peer *peer_of_master(struct directory *d, struct channel *ch);

void peer_free_all(struct directory *d); /* at the end of the program */

void peer_hold(struct peer *p);
void peer_release(struct peer *p);
void peer_send(struct peer *p, const struct msg *m); /* nothing when it is gone */

#endif
