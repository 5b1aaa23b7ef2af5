/* What the files of the queue's database share. */
#ifndef FACTEUR_QUEUE_DB_PRIVATE_H
#define FACTEUR_QUEUE_DB_PRIVATE_H

#include "queue/db.h"

#include <sqlite3.h>

enum statement {
    /* db.c */
    ADD_MESSAGE, ADD_RECIPIENT, DONE, RETRY, WARNED, HOLD, SWEEP, UNSTICK, SET_HELD, RETRY_NOW,
    /* db_read.c */
    OLD, GET, PAGE, PAGE_OF, HAS, LAST_ID, COUNT_MESSAGES, COUNT_RECIPIENTS,
    /* db_notes.c */
    KEEP_POLICY, END_POLICIES, TRIM_POLICIES, POLICIES, TELL, TOLD, FORGET_TOLD,
    /* db_lanes.c: those of local lanes, each with the one of remote lanes behind it */
    DUE, LANE, LANE_REMOTE, NEXT, NEXT_REMOTE, SENDER, SENDER_REMOTE, OLDEST, OLDEST_REMOTE,
    TURN, TURN_REMOTE, TOGETHER, TOGETHER_REMOTE, STATEMENTS
};
extern const char *const queue_db_sql[STATEMENTS];

struct queue_db {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
    bool full, broken;
    int64_t check_until;
};

/* Fills e with what the last call to SQLite said; errno was 0 before it. Returns -1. */
int queue_db_fail(struct queue_db *db, const char *what, struct err *e);
void queue_db_bind(sqlite3_stmt *st, int at, struct str s);
/* Steps a statement that gives no row and is ready for its next use afterwards. */
int queue_db_run(struct queue_db *db, enum statement n, struct err *e);
int queue_db_execute(struct queue_db *db, const char *text, struct err *e);
struct str queue_db_column(sqlite3_stmt *st, int at); /* valid until the next step */
/* Gives fn the rows of a statement that selects what a message and a recipient are made of. */
int queue_db_each_row(struct queue_db *db, enum statement n, queue_db_fn fn, void *ctx,
                      struct err *e);
/* One row of count numbers; 0 where there is none, and found says so for the first. */
int queue_db_numbers(struct queue_db *db, enum statement n, int64_t *v, int count, bool *found,
                     struct err *e);

#endif
