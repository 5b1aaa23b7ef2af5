/* Changes of the queue's database, and what its files share. */
#include "queue/db_private.h"

#include <errno.h>

/* --- errors --- */

/* SQLite knows ENOSPC as "full"; a quota and a limit on file size are the same to us. */
static bool out_of_room(struct queue_db *db, int code, int system)
{
    return code == SQLITE_FULL ||
           (sqlite3_extended_errcode(db->db) == SQLITE_IOERR_WRITE &&
            (system == ENOSPC || system == EDQUOT || system == EFBIG));
}

int queue_db_fail(struct queue_db *db, const char *what, struct err *e)
{
    int system = errno; /* set to 0 before the call */
    int code = sqlite3_errcode(db->db) & 0xff;
    db->full = out_of_room(db, code, system);
    db->broken = !db->full && (code == SQLITE_IOERR || code == SQLITE_CORRUPT ||
                               code == SQLITE_NOTADB || code == SQLITE_MISUSE);
    return err_temp(e, "queue database: %s: %s (code %d, %s)", what, sqlite3_errmsg(db->db),
                    sqlite3_extended_errcode(db->db), strerror(system));
}

bool queue_db_is_full(const struct queue_db *db)
{
    return db->full;
}

bool queue_db_is_broken(const struct queue_db *db)
{
    return db->broken;
}

/* --- statements --- */

void queue_db_bind(sqlite3_stmt *st, int at, struct str s)
{
    sqlite3_bind_text64(st, at, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

int queue_db_run(struct queue_db *db, enum statement n, struct err *e)
{
    errno = 0;
    int r = sqlite3_step(db->st[n]);
    int result = r == SQLITE_DONE || r == SQLITE_ROW ? 0 : queue_db_fail(db, "change", e);
    sqlite3_reset(db->st[n]);
    sqlite3_clear_bindings(db->st[n]);
    return result;
}

int queue_db_execute(struct queue_db *db, const char *text, struct err *e)
{
    errno = 0;
    int r = sqlite3_exec(db->db, text, NULL, NULL, NULL);
    return r == SQLITE_OK ? 0 : queue_db_fail(db, text, e);
}

struct str queue_db_column(sqlite3_stmt *st, int at)
{
    const unsigned char *p = sqlite3_column_text(st, at);
    return (struct str){(const char *)p, (size_t)sqlite3_column_bytes(st, at)};
}

/* --- changes --- */

int queue_db_begin(struct queue_db *db, struct err *e)
{
    return queue_db_execute(db, "BEGIN IMMEDIATE", e);
}

int queue_db_commit(struct queue_db *db, struct err *e)
{
    return queue_db_execute(db, "COMMIT", e);
}

void queue_db_rollback(struct queue_db *db)
{
    if (!sqlite3_get_autocommit(db->db))
        sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

/* FNV-1a: two senders with one key share their share, which does no harm. */
static int64_t sender_key(struct str sender)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < sender.n; i++)
        h = (h ^ (unsigned char)sender.p[i]) * 1099511628211u;
    return (int64_t)(h >> 1);
}

int queue_db_add_recipient(struct queue_db *db, uint64_t message, struct str sender,
                           const struct queue_recipient *r, struct err *e)
{
    sqlite3_stmt *st = db->st[ADD_RECIPIENT];
    sqlite3_bind_int64(st, 1, (int64_t)message);
    queue_db_bind(st, 2, r->address);
    queue_db_bind(st, 3, r->original);
    sqlite3_bind_int64(st, 4, r->next_ms);
    sqlite3_bind_int64(st, 5, r->attempts);
    sqlite3_bind_int64(st, 6, r->state);
    queue_db_bind(st, 7, r->error);
    sqlite3_bind_int64(st, 8, r->route);
    queue_db_bind(st, 9, r->destination);
    sqlite3_bind_int64(st, 10, r->notify);
    queue_db_bind(st, 11, r->orcpt);
    sqlite3_bind_int64(st, 12, sender_key(sender));
    return queue_db_run(db, ADD_RECIPIENT, e);
}

int queue_db_add(struct queue_db *db, const struct queue_message *m,
                 const struct queue_recipient *recipients, size_t count, struct err *e)
{
    sqlite3_stmt *st = db->st[ADD_MESSAGE];
    sqlite3_bind_int64(st, 1, (int64_t)m->id);
    sqlite3_bind_int64(st, 2, m->created_ms);
    sqlite3_bind_int64(st, 3, (int64_t)m->size);
    sqlite3_bind_int64(st, 4, m->flags);
    queue_db_bind(st, 5, m->session);
    queue_db_bind(st, 6, m->sender);
    sqlite3_bind_int64(st, 7, m->ret);
    queue_db_bind(st, 8, m->envid);
    if (queue_db_run(db, ADD_MESSAGE, e) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (queue_db_add_recipient(db, m->id, m->sender, &recipients[i], e) != 0)
            return -1;
    return 0;
}

int queue_db_done(struct queue_db *db, uint64_t recipient, struct err *e)
{
    sqlite3_bind_int64(db->st[DONE], 1, (int64_t)recipient);
    return queue_db_run(db, DONE, e);
}

int queue_db_retry(struct queue_db *db, uint64_t recipient, int64_t next_ms, struct str why,
                   struct err *e)
{
    sqlite3_bind_int64(db->st[RETRY], 1, (int64_t)recipient);
    sqlite3_bind_int64(db->st[RETRY], 2, next_ms);
    queue_db_bind(db->st[RETRY], 3, why);
    return queue_db_run(db, RETRY, e);
}

int queue_db_warned(struct queue_db *db, uint64_t recipient, struct err *e)
{
    sqlite3_bind_int64(db->st[WARNED], 1, (int64_t)recipient);
    return queue_db_run(db, WARNED, e);
}

int queue_db_hold(struct queue_db *db, uint64_t recipient, struct str why, struct err *e)
{
    sqlite3_bind_int64(db->st[HOLD], 1, (int64_t)recipient);
    queue_db_bind(db->st[HOLD], 2, why);
    return queue_db_run(db, HOLD, e);
}

int queue_db_set_held(struct queue_db *db, uint64_t recipient, bool held, struct err *e)
{
    sqlite3_bind_int64(db->st[SET_HELD], 1, (int64_t)recipient);
    sqlite3_bind_int64(db->st[SET_HELD], 2, held);
    return queue_db_run(db, SET_HELD, e);
}

int queue_db_retry_now(struct queue_db *db, uint64_t recipient, int64_t now_ms, struct err *e)
{
    sqlite3_bind_int64(db->st[RETRY_NOW], 1, (int64_t)recipient);
    sqlite3_bind_int64(db->st[RETRY_NOW], 2, now_ms);
    return queue_db_run(db, RETRY_NOW, e);
}

int queue_db_sweep(struct queue_db *db, uint64_t message, bool *gone, struct err *e)
{
    sqlite3_bind_int64(db->st[SWEEP], 1, (int64_t)message);
    int r = queue_db_run(db, SWEEP, e);
    *gone = r == 0 && sqlite3_changes(db->db) > 0;
    return r;
}

int queue_db_unstick(struct queue_db *db, int64_t now_ms, int64_t limit_ms, bool *some,
                     struct err *e)
{
    sqlite3_bind_int64(db->st[UNSTICK], 1, now_ms);
    sqlite3_bind_int64(db->st[UNSTICK], 2, limit_ms);
    int r = queue_db_run(db, UNSTICK, e);
    *some = r == 0 && sqlite3_changes(db->db) > 0;
    return r;
}
