/*
 * Whose turn it is: lanes (a mailbox, or a destination) in which mail waits. Pure.
 *
 * A lane with something due stands in a ring and is served in turn; one whose mail is for later
 * waits in a heap; one that may not start more now is parked until an attempt of it ends. So nobody
 * waits for another's backlog, and every step costs the logarithm of the number of lanes.
 */
#ifndef FACTEUR_QUEUE_LANES_H
#define FACTEUR_QUEUE_LANES_H

#include "base/map.h"
#include "base/mem.h"

enum lane_place { LANE_OUT, LANE_RING, LANE_HEAP, LANE_PARKED };

struct lane {
    char *name;
    enum lane_place place;
    int64_t due_ms;          /* in the heap */
    size_t at;               /* its place in the heap */
    struct lane *next, *prev; /* in the ring */
    size_t jobs;             /* attempts under way */
    uint32_t failures;       /* that reached no server, one after the other */
    int64_t until_ms;        /* rests until then */
    int64_t after;           /* the sender who was served last */
    int64_t woken_ms;        /* while it was out: something became due then */
};

struct lanes {
    struct map *by_name;
    struct lane *ring; /* the one whose turn is next */
    struct lane **heap;
    size_t n, cap;
    int64_t now_ms; /* of the last lanes_take */
};

void lanes_init(struct lanes *l);
void lanes_free(struct lanes *l);

/* Something in that lane is due then. */
void lanes_due(struct lanes *l, struct str name, int64_t due_ms);
/* The next one with something due, taken out; NULL when there is none. */
struct lane *lanes_take(struct lanes *l, int64_t now_ms);
/* Puts it back: for when something is due (INT64_MAX: nothing waits, and it is freed after its last
 * job), or parked until a job of it is over or something else becomes due. */
void lanes_put(struct lanes *l, struct lane *lane, int64_t due_ms);
void lanes_park(struct lane *lane);
/* One of its jobs ended. */
void lanes_job_over(struct lanes *l, struct lane *lane, int64_t now_ms);
struct lane *lanes_find(const struct lanes *l, struct str name);
/* When the first of those that wait is due: INT64_MAX when none waits; 0 with one in the ring. */
int64_t lanes_next(const struct lanes *l);

#endif
