/* A private directory for tests of the queue, and a database in it. */
#ifndef FACTEUR_TESTS_QUEUE_FIXTURE_H
#define FACTEUR_TESTS_QUEUE_FIXTURE_H

#include "base/mem.h"
#include "queue/db.h"
#include "tests/unit/unit.h"

struct place {
    char dir[64];
};

struct place place_new(void);
void place_remove(const struct place *p);
void place_path(char out[128], const struct place *p, const char *name);

struct queue_db *queue_open(const struct place *p);
/* A message for one mailbox at that time, or for a second one, a millisecond later. */
void queue_add(struct queue_db *db, uint64_t id, int64_t next, struct str first, struct str second);
/* Every recipient, as the administrator's list asks for them. */
void queue_list(struct queue_db *db, queue_db_fn fn, void *ctx);
/* want: "lane=when " of each. */
void queue_expect_lanes(struct queue_db *db, bool remote, const char *want);

#endif
