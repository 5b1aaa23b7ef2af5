/* Questions to the queue's database: recipients with their messages, and counts. */
#include "queue/db_private.h"

static bool give_row(sqlite3_stmt *st, queue_db_fn fn, void *ctx)
{
    struct queue_message m = {
        .id = (uint64_t)sqlite3_column_int64(st, 0), .created_ms = sqlite3_column_int64(st, 1),
        .size = (uint64_t)sqlite3_column_int64(st, 2),
        .flags = (uint32_t)sqlite3_column_int64(st, 3), .session = queue_db_column(st, 4),
        .sender = queue_db_column(st, 5), .ret = (uint8_t)sqlite3_column_int(st, 16),
        .envid = queue_db_column(st, 17),
    };
    struct queue_recipient r = {
        .id = (uint64_t)sqlite3_column_int64(st, 6), .address = queue_db_column(st, 7),
        .original = queue_db_column(st, 8), .next_ms = sqlite3_column_int64(st, 9),
        .attempts = (uint32_t)sqlite3_column_int64(st, 10),
        .state = sqlite3_column_int(st, 11) ? QUEUE_HELD : QUEUE_WAITING,
        .error = queue_db_column(st, 12),
        .route = (enum queue_route)sqlite3_column_int(st, 13),
        .destination = queue_db_column(st, 14),
        .warned = sqlite3_column_int(st, 15), .notify = (uint8_t)sqlite3_column_int(st, 18),
        .orcpt = queue_db_column(st, 19),
    };
    return fn(ctx, &m, &r);
}

int queue_db_each_row(struct queue_db *db, enum statement n, queue_db_fn fn, void *ctx,
                      struct err *e)
{
    int r;
    bool more = true;
    while (more && (r = sqlite3_step(db->st[n])) == SQLITE_ROW)
        more = give_row(db->st[n], fn, ctx);
    int result = !more || r == SQLITE_DONE ? 0 : queue_db_fail(db, "read", e);
    sqlite3_reset(db->st[n]);
    return result;
}

int queue_db_old(struct queue_db *db, uint64_t below, size_t max, queue_db_fn fn, void *ctx,
                 struct err *e)
{
    sqlite3_bind_int64(db->st[OLD], 1, (int64_t)below);
    sqlite3_bind_int64(db->st[OLD], 2, (int64_t)max);
    return queue_db_each_row(db, OLD, fn, ctx, e);
}

int queue_db_page(struct queue_db *db, uint64_t after, uint64_t message, struct str destination,
                  size_t max, queue_db_fn fn, void *ctx, struct err *e)
{
    enum statement n = message ? PAGE_OF : PAGE;
    sqlite3_bind_int64(db->st[n], 1, (int64_t)after);
    sqlite3_bind_int64(db->st[n], 2, (int64_t)message);
    queue_db_bind(db->st[n], 3, destination);
    sqlite3_bind_int64(db->st[n], 4, (int64_t)max);
    return queue_db_each_row(db, n, fn, ctx, e);
}

/* --- numbers --- */

int queue_db_numbers(struct queue_db *db, enum statement n, int64_t *v, int count, bool *found,
                   struct err *e)
{
    sqlite3_stmt *st = db->st[n];
    int r = sqlite3_step(st);
    *found = r == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
    for (int i = 0; i < count; i++)
        v[i] = r == SQLITE_ROW ? sqlite3_column_int64(st, i) : 0;
    int result = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : queue_db_fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

int queue_db_has(struct queue_db *db, uint64_t message, bool *has, struct err *e)
{
    int64_t one;
    sqlite3_bind_int64(db->st[HAS], 1, (int64_t)message);
    return queue_db_numbers(db, HAS, &one, 1, has, e);
}

int queue_db_last_id(struct queue_db *db, uint64_t *id, struct err *e)
{
    int64_t v;
    bool found;
    int r = queue_db_numbers(db, LAST_ID, &v, 1, &found, e);
    *id = (uint64_t)v;
    return r;
}

int queue_db_count(struct queue_db *db, int64_t now_ms, struct queue_counts *out, struct err *e)
{
    int64_t m[2], r[3];
    bool found;
    sqlite3_bind_int64(db->st[COUNT_RECIPIENTS], 1, now_ms);
    if (queue_db_numbers(db, COUNT_MESSAGES, m, 2, &found, e) != 0 ||
        queue_db_numbers(db, COUNT_RECIPIENTS, r, 3, &found, e) != 0)
        return -1;
    *out = (struct queue_counts){.messages = (uint64_t)m[0], .recipients = (uint64_t)r[0],
                                 .due = (uint64_t)r[1], .held = (uint64_t)r[2], .oldest_ms = m[1]};
    return 0;
}
