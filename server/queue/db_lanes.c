/* Lanes in the queue's database: what is due for a mailbox or a destination, and for whom. */
#include "queue/db_private.h"

#define SENDERS_LOOKED_AT 32 /* whose turn it could be, before the oldest message goes */

struct lane {
    struct queue_db *db;
    bool remote;
    struct str name;
    int64_t now_ms;
    queue_db_free is_free;
    void *ctx;
};

static sqlite3_stmt *lane_statement(const struct lane *l, enum statement local)
{
    sqlite3_stmt *st = l->db->st[(int)local + (l->remote ? 1 : 0)];
    queue_db_bind(st, 1, l->name);
    sqlite3_bind_int64(st, 2, l->now_ms);
    return st;
}

struct turn {
    int64_t message, sender; /* message 0: there is none */
};

/* The first one that is free: few are not, for they are under way. */
static int first_free(const struct lane *l, sqlite3_stmt *st, struct turn *out, struct err *e)
{
    int r = SQLITE_DONE, result = 0;
    out->message = 0;
    while (out->message == 0 && (r = sqlite3_step(st)) == SQLITE_ROW)
        if (l->is_free(l->ctx, (uint64_t)sqlite3_column_int64(st, 0)))
            *out = (struct turn){sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2)};
    if (out->message == 0 && r != SQLITE_DONE)
        result = queue_db_fail(l->db, "read", e);
    sqlite3_reset(st);
    return result;
}

static int next_sender(const struct lane *l, int64_t after, int64_t *key, bool *found,
                       struct err *e)
{
    sqlite3_stmt *st = lane_statement(l, SENDER);
    sqlite3_bind_int64(st, 2, after);
    int r = sqlite3_step(st);
    *found = r == SQLITE_ROW;
    *key = *found ? sqlite3_column_int64(st, 0) : -1;
    int result = *found || r == SQLITE_DONE ? 0 : queue_db_fail(l->db, "read", e);
    sqlite3_reset(st);
    return result;
}

/* Nothing is due in most lanes most of the time, and one look says so. Otherwise senders take
 * turns; where many of them wait for later, the oldest message goes instead of a long search. */
static int whose_turn(const struct lane *l, int64_t after, struct turn *out, struct err *e)
{
    struct turn oldest;
    int64_t key = after;
    if (first_free(l, lane_statement(l, OLDEST), &oldest, e) != 0)
        return -1;
    for (int i = 0; i < SENDERS_LOOKED_AT && oldest.message; i++) {
        bool found;
        if (next_sender(l, key, &key, &found, e) != 0)
            return -1;
        if (!found)
            continue; /* once around: key is below all of them */
        sqlite3_stmt *st = lane_statement(l, TURN);
        sqlite3_bind_int64(st, 3, key);
        if (first_free(l, st, out, e) != 0)
            return -1;
        if (out->message)
            return 0;
    }
    *out = oldest;
    return 0;
}

static int give_together(const struct lane *l, int64_t message, size_t max, queue_db_fn fn,
                         struct err *e)
{
    sqlite3_stmt *st = lane_statement(l, TOGETHER), *get = l->db->st[GET];
    size_t n = 0;
    int r, result = 0;
    sqlite3_bind_int64(st, 3, message);
    while (result == 0 && n < max && (r = sqlite3_step(st)) != SQLITE_DONE) {
        if (r != SQLITE_ROW) {
            result = queue_db_fail(l->db, "read", e);
        } else if (l->is_free(l->ctx, (uint64_t)sqlite3_column_int64(st, 0))) {
            sqlite3_bind_int64(get, 1, sqlite3_column_int64(st, 0));
            result = queue_db_each_row(l->db, GET, fn, l->ctx, e);
            n++;
        }
    }
    sqlite3_reset(st);
    return result;
}

int queue_db_pick(struct queue_db *db, bool remote, struct str name, int64_t now_ms, size_t max,
                  int64_t *after, queue_db_free is_free, queue_db_fn fn, void *ctx, struct err *e)
{
    struct lane l = {db, remote, name, now_ms, is_free, ctx};
    struct turn t = {0, 0};
    if (whose_turn(&l, *after, &t, e) != 0)
        return -1;
    if (t.message == 0)
        return 0;
    *after = t.sender;
    return give_together(&l, t.message, max, fn, e);
}

int queue_db_has_due(struct queue_db *db, uint64_t message, int64_t now_ms, queue_db_free is_free,
                     void *ctx, bool *due, struct err *e)
{
    sqlite3_stmt *st = db->st[DUE];
    int r;
    *due = false;
    sqlite3_bind_int64(st, 1, (int64_t)message);
    sqlite3_bind_int64(st, 2, now_ms);
    while ((r = sqlite3_step(st)) == SQLITE_ROW && !*due)
        *due = is_free(ctx, (uint64_t)sqlite3_column_int64(st, 0));
    int result = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : queue_db_fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

int queue_db_lane_next(struct queue_db *db, bool remote, struct str name, int64_t now_ms,
                       int64_t *next_ms, struct err *e)
{
    struct lane l = {.db = db, .remote = remote, .name = name, .now_ms = now_ms};
    sqlite3_stmt *st = lane_statement(&l, NEXT);
    int r = sqlite3_step(st);
    *next_ms = r == SQLITE_ROW ? sqlite3_column_int64(st, 0) : INT64_MAX;
    int result = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : queue_db_fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

int queue_db_lanes(struct queue_db *db, bool remote, queue_db_lane_fn fn, void *ctx, struct err *e)
{
    sqlite3_stmt *st = db->st[remote ? LANE_REMOTE : LANE];
    int r;
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        fn(ctx, queue_db_column(st, 0), sqlite3_column_int64(st, 1));
    int result = r == SQLITE_DONE ? 0 : queue_db_fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}
