/* What the queue's database keeps beside mail: MTA-STS policies, and who was told of an absence. */
#include "queue/db_private.h"

/* --- policies --- */

int queue_db_keep_policy(struct queue_db *db, const struct queue_policy *p, int64_t now_ms,
                         struct err *e)
{
    sqlite3_stmt *st = db->st[KEEP_POLICY];
    queue_db_bind(st, 1, p->domain);
    queue_db_bind(st, 2, p->id);
    sqlite3_bind_int64(st, 3, p->mode);
    sqlite3_bind_int64(st, 4, p->fetched_ms);
    sqlite3_bind_int64(st, 5, p->expires_ms);
    queue_db_bind(st, 6, p->mx);
    sqlite3_bind_int64(db->st[END_POLICIES], 1, now_ms);
    sqlite3_bind_int64(db->st[TRIM_POLICIES], 1, QUEUE_POLICIES_MAX);
    if (queue_db_run(db, KEEP_POLICY, e) != 0 || queue_db_run(db, END_POLICIES, e) != 0)
        return -1;
    return queue_db_run(db, TRIM_POLICIES, e);
}

int queue_db_policies(struct queue_db *db, int64_t now_ms, queue_db_policy_fn fn, void *ctx,
                      struct err *e)
{
    sqlite3_stmt *st = db->st[POLICIES];
    int r;
    sqlite3_bind_int64(st, 1, now_ms);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        struct queue_policy p = {.domain = queue_db_column(st, 0), .id = queue_db_column(st, 1),
                                 .mode = (uint8_t)sqlite3_column_int(st, 2),
                                 .fetched_ms = sqlite3_column_int64(st, 3),
                                 .expires_ms = sqlite3_column_int64(st, 4),
                                 .mx = queue_db_column(st, 5)};
        fn(ctx, &p);
    }
    int result = r == SQLITE_DONE ? 0 : queue_db_fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

/* --- who was told that somebody is away --- */

int queue_db_tell(struct queue_db *db, const struct queue_told *t, int64_t after_ms, struct err *e)
{
    sqlite3_stmt *st = db->st[TELL];
    sqlite3_bind_int64(db->st[FORGET_TOLD], 1, after_ms);
    sqlite3_bind_int64(db->st[FORGET_TOLD], 2, t->at_ms);
    if (queue_db_run(db, FORGET_TOLD, e) != 0)
        return -1;
    queue_db_bind(st, 1, t->owner);
    sqlite3_bind_int64(st, 2, t->text);
    queue_db_bind(st, 3, t->sender);
    sqlite3_bind_int64(st, 4, t->at_ms);
    return queue_db_run(db, TELL, e);
}

int queue_db_told(struct queue_db *db, const struct queue_told *t, int64_t after_ms, bool *told,
                  uint64_t *others, struct err *e)
{
    sqlite3_stmt *st = db->st[TOLD];
    int64_t n[2];
    bool found;
    queue_db_bind(st, 1, t->owner);
    sqlite3_bind_int64(st, 2, t->text);
    queue_db_bind(st, 3, t->sender);
    sqlite3_bind_int64(st, 4, after_ms);
    sqlite3_bind_int64(st, 5, t->at_ms);
    int r = queue_db_numbers(db, TOLD, n, 2, &found, e);
    *others = (uint64_t)n[0];
    *told = n[1] > 0;
    return r;
}
