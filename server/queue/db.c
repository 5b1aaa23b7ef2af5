/* SQL of the queue. */
#include "queue/db.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

#define APPLICATION_ID 0x46616374 /* "Fact" */
#define DB_VERSION 5
#define CHECK_MS 3000 /* a large database is checked this far at start */
#define BUSY_MS 2000

static const char schema[] =
    "CREATE TABLE message("
    " id INTEGER PRIMARY KEY, created INTEGER NOT NULL, size INTEGER NOT NULL,"
    " flags INTEGER NOT NULL, session TEXT NOT NULL, sender TEXT NOT NULL) STRICT;"
    "CREATE TABLE recipient("
    " id INTEGER PRIMARY KEY, message INTEGER NOT NULL REFERENCES message(id),"
    " address TEXT NOT NULL, original TEXT NOT NULL, next_attempt INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, state INTEGER NOT NULL, error TEXT NOT NULL) STRICT;"
    "CREATE INDEX recipient_due ON recipient(state, next_attempt, address);"
    "CREATE INDEX recipient_message ON recipient(message);";

/* What version 2 brought; the routes are those of enum queue_route. */
static const char schema2[] =
    "ALTER TABLE recipient ADD COLUMN route INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE recipient ADD COLUMN destination TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE recipient ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX recipient_local ON recipient(next_attempt, address) WHERE state = 0 AND route <> 1;"
    "CREATE INDEX recipient_remote ON recipient(destination, next_attempt, message)"
    " WHERE state = 0 AND route = 1;";

/* Version 3: RFC 3461, and lanes. sender_key says whose message it is, for fair shares. */
static const char schema3[] =
    "ALTER TABLE message ADD COLUMN ret INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE message ADD COLUMN envid TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE recipient ADD COLUMN notify INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE recipient ADD COLUMN orcpt TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE recipient ADD COLUMN sender_key INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX recipient_due; DROP INDEX recipient_local; DROP INDEX recipient_remote;"
    "CREATE INDEX recipient_local ON recipient(address, sender_key, next_attempt, message)"
    " WHERE state = 0 AND route <> 1;"
    "CREATE INDEX recipient_remote ON recipient(destination, sender_key, next_attempt, message)"
    " WHERE state = 0 AND route = 1;"
    "CREATE INDEX recipient_local_due ON recipient(address, next_attempt, message)"
    " WHERE state = 0 AND route <> 1;"
    "CREATE INDEX recipient_remote_due ON recipient(destination, next_attempt, message)"
    " WHERE state = 0 AND route = 1;"
    "CREATE INDEX recipient_next ON recipient(next_attempt) WHERE state = 0;"
    "CREATE INDEX recipient_held ON recipient(id) WHERE state = 1;";

/* Version 4: MTA-STS policies. */
static const char schema4[] =
    "CREATE TABLE sts_policy("
    " domain TEXT PRIMARY KEY, id TEXT NOT NULL, mode INTEGER NOT NULL, fetched INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, mx TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sts_policy_expires ON sts_policy(expires);";

/* Version 5: whom people who are away have told so. */
static const char schema5[] =
    "CREATE TABLE told("
    " owner TEXT NOT NULL, text INTEGER NOT NULL, sender TEXT NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY(owner, text, sender)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX told_at ON told(at);";

#define ROW                                                                                        \
    "SELECT m.id, m.created, m.size, m.flags, m.session, m.sender, r.id, r.address, r.original,"   \
    " r.next_attempt, r.attempts, r.state, r.error, r.route, r.destination, r.warned, m.ret,"         \
    " m.envid, r.notify, r.orcpt "

enum statement {
    ADD_MESSAGE, ADD_RECIPIENT, DONE, RETRY, WARNED, HOLD, SWEEP, UNSTICK, OLD, GET, LIST, PAGE, PAGE_OF,
    SET_HELD, RETRY_NOW, HAS,
    LAST_ID, COUNT_MESSAGES, COUNT_RECIPIENTS, KEEP_POLICY, END_POLICIES, TRIM_POLICIES, POLICIES,
    TELL, TOLD, FORGET_TOLD, DUE,
    /* of lanes: the local one, and the remote one behind it */
    LANE, LANE_REMOTE, NEXT, NEXT_REMOTE, SENDER, SENDER_REMOTE, OLDEST, OLDEST_REMOTE,
    TURN, TURN_REMOTE, TOGETHER, TOGETHER_REMOTE, STATEMENTS
};

static const char *const sql[STATEMENTS] = {
    [ADD_MESSAGE] = "INSERT INTO message(id, created, size, flags, session, sender, ret, envid)"
                    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [ADD_RECIPIENT] = "INSERT INTO recipient(message, address, original, next_attempt, attempts,"
                      " state, error, route, destination, notify, orcpt, sender_key)"
                      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)",
    [WARNED] = "UPDATE recipient SET warned = 1 WHERE id = ?1",
    [DONE] = "DELETE FROM recipient WHERE id = ?1",
    [RETRY] = "UPDATE recipient SET attempts = attempts + 1, next_attempt = ?2, error = ?3"
              " WHERE id = ?1",
    [HOLD] = "UPDATE recipient SET attempts = attempts + 1, state = 1, error = ?2 WHERE id = ?1",
    [SWEEP] = "DELETE FROM message WHERE id = ?1"
              " AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ?1)",
    [UNSTICK] = "UPDATE recipient SET next_attempt = ?1 WHERE state = 0 AND next_attempt > ?2",
    [OLD] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message"
                " WHERE r.message < ?1 AND r.state = 0 LIMIT ?2",
    [GET] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message WHERE r.id = ?1",
    [LIST] = ROW "FROM message m CROSS JOIN recipient r ON r.message = m.id ORDER BY m.id, r.id",
#define AT "(?3 = '' OR destination = ?3 OR (route <> 1 AND address LIKE '%@' || ?3))"
    [PAGE] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message"
                 " WHERE r.id > ?1 AND ?2 = 0 AND " AT " ORDER BY r.id LIMIT ?4",
    [PAGE_OF] = ROW "FROM recipient r CROSS JOIN message m ON m.id = r.message"
                    " WHERE r.message = ?2 AND r.id > ?1 AND " AT " ORDER BY r.id LIMIT ?4",
    [SET_HELD] = "UPDATE recipient SET state = ?2, error = iif(?2 = 1, 'held by hand', error)"
                 " WHERE id = ?1",
    [RETRY_NOW] = "UPDATE recipient SET next_attempt = ?2 WHERE id = ?1",
    [HAS] = "SELECT 1 FROM message WHERE id = ?1",
    [LAST_ID] = "SELECT max(id) FROM message",
    [TELL] = "INSERT OR REPLACE INTO told(owner, text, sender, at) VALUES(?1,?2,?3,?4)",
    [TOLD] = "SELECT count(*), count(*) FILTER (WHERE text = ?2 AND sender = ?3 AND at <= ?5)"
             " FROM told WHERE owner = ?1 AND at > ?4",
    [FORGET_TOLD] = "DELETE FROM told WHERE at <= ?1 OR at > ?2",
    [DUE] = "SELECT id FROM recipient WHERE message = ?1 AND state = 0 AND next_attempt <= ?2",
    [COUNT_MESSAGES] = "SELECT count(*), min(created) FROM message",
    [COUNT_RECIPIENTS] = "SELECT count(*),"
                         " count(*) FILTER (WHERE state = 0 AND next_attempt <= ?1),"
                         " count(*) FILTER (WHERE state = 1) FROM recipient",
    [KEEP_POLICY] = "INSERT OR REPLACE INTO sts_policy(domain, id, mode, fetched, expires, mx)"
                    " VALUES(?1,?2,?3,?4,?5,?6)",
    [END_POLICIES] = "DELETE FROM sts_policy WHERE expires <= ?1",
    [TRIM_POLICIES] = "DELETE FROM sts_policy WHERE domain IN"
                      " (SELECT domain FROM sts_policy ORDER BY expires DESC LIMIT -1 OFFSET ?1)",
    [POLICIES] = "SELECT domain, id, mode, fetched, expires, mx FROM sts_policy WHERE expires > ?1"
                 " ORDER BY expires",
#define LOCAL "state = 0 AND route <> 1"
#define REMOTE "state = 0 AND route = 1"
    [LANE] = "SELECT address, min(next_attempt) FROM recipient WHERE " LOCAL " GROUP BY address",
    [LANE_REMOTE] = "SELECT destination, min(next_attempt) FROM recipient WHERE " REMOTE
                    " GROUP BY destination",
    [NEXT] = "SELECT next_attempt FROM recipient WHERE " LOCAL " AND address = ?1"
             " AND next_attempt > ?2 ORDER BY next_attempt LIMIT 1",
    [NEXT_REMOTE] = "SELECT next_attempt FROM recipient WHERE " REMOTE " AND destination = ?1"
                    " AND next_attempt > ?2 ORDER BY next_attempt LIMIT 1",
    [SENDER] = "SELECT sender_key FROM recipient WHERE " LOCAL " AND address = ?1"
               " AND sender_key > ?2 ORDER BY sender_key LIMIT 1",
    [SENDER_REMOTE] = "SELECT sender_key FROM recipient WHERE " REMOTE " AND destination = ?1"
                      " AND sender_key > ?2 ORDER BY sender_key LIMIT 1",
    [OLDEST] = "SELECT id, message, sender_key FROM recipient WHERE " LOCAL " AND address = ?1"
               " AND next_attempt <= ?2 ORDER BY next_attempt",
    [OLDEST_REMOTE] = "SELECT id, message, sender_key FROM recipient WHERE " REMOTE
                      " AND destination = ?1 AND next_attempt <= ?2 ORDER BY next_attempt",
    [TURN] = "SELECT id, message, sender_key FROM recipient WHERE " LOCAL " AND address = ?1"
             " AND next_attempt <= ?2 AND sender_key = ?3 ORDER BY next_attempt",
    [TURN_REMOTE] = "SELECT id, message, sender_key FROM recipient WHERE " REMOTE
                    " AND destination = ?1 AND next_attempt <= ?2 AND sender_key = ?3"
                    " ORDER BY next_attempt",
    [TOGETHER] = "SELECT id FROM recipient WHERE message = ?3 AND " LOCAL " AND address = ?1"
                 " AND next_attempt <= ?2",
    [TOGETHER_REMOTE] = "SELECT id FROM recipient WHERE message = ?3 AND " REMOTE
                        " AND destination = ?1 AND next_attempt <= ?2",
};

struct queue_db {
    sqlite3 *db;
    sqlite3_stmt *st[STATEMENTS];
    bool full, broken;
    int64_t check_until;
};

/* --- errors --- */

/* SQLite knows ENOSPC as "full"; a quota and a limit on file size are the same to us. */
static bool out_of_room(struct queue_db *db, int code, int system)
{
    return code == SQLITE_FULL ||
           (sqlite3_extended_errcode(db->db) == SQLITE_IOERR_WRITE &&
            (system == ENOSPC || system == EDQUOT || system == EFBIG));
}

static int fail(struct queue_db *db, const char *what, struct err *e)
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

static void bind_str(sqlite3_stmt *st, int at, struct str s)
{
    sqlite3_bind_text64(st, at, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* Steps a statement that gives no row and is ready for its next use afterwards. */
static int run(struct queue_db *db, enum statement n, struct err *e)
{
    errno = 0;
    int r = sqlite3_step(db->st[n]);
    int result = r == SQLITE_DONE || r == SQLITE_ROW ? 0 : fail(db, "change", e);
    sqlite3_reset(db->st[n]);
    sqlite3_clear_bindings(db->st[n]);
    return result;
}

static int execute(struct queue_db *db, const char *text, struct err *e)
{
    errno = 0;
    return sqlite3_exec(db->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, text, e);
}

static struct str column(sqlite3_stmt *st, int at)
{
    const unsigned char *p = sqlite3_column_text(st, at);
    return (struct str){(const char *)p, (size_t)sqlite3_column_bytes(st, at)};
}

/* --- opening --- */

static int stop_checking(void *arg)
{
    struct queue_db *db = arg;
    return clock_mono_ms() > db->check_until;
}

static int first_value(struct queue_db *db, const char *text, int64_t *number, char word[200],
                       struct err *e)
{
    sqlite3_stmt *st = NULL;
    int r = sqlite3_prepare_v2(db->db, text, -1, &st, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(st);
    if (r == SQLITE_ROW && number)
        *number = sqlite3_column_int64(st, 0);
    if (r == SQLITE_ROW && word)
        sqlite3_snprintf(200, word, "%s", sqlite3_column_text(st, 0));
    int result = r == SQLITE_ROW ? 0 : r == SQLITE_INTERRUPT ? 1 : fail(db, text, e);
    sqlite3_finalize(st);
    return result;
}

/* A damaged database stops the start: mail that waits in it must not be passed over in silence. */
static int check(struct queue_db *db, struct err *e)
{
    char word[200] = "";
    db->check_until = clock_mono_ms() + CHECK_MS;
    sqlite3_progress_handler(db->db, 100000, stop_checking, db);
    int r = first_value(db, "PRAGMA quick_check(1)", NULL, word, e);
    sqlite3_progress_handler(db->db, 0, NULL, NULL);
    if (r == 1)
        log_info("queue-check", LZ("why", "large: checked in part"));
    if (r == 0 && strcmp(word, "ok") != 0)
        return err_perm(e, "queue database is damaged: %s", word);
    return r < 0 ? -1 : 0;
}

/* Every step in one transaction: the old version (0: an empty file) stays whole until the new one is. */
static int raise_version(struct queue_db *db, int64_t from, struct err *e)
{
    static const char *const steps[DB_VERSION] = {schema, schema2, schema3, schema4, schema5};
    char text[160];
    sqlite3_snprintf(sizeof text, text, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                     APPLICATION_ID, DB_VERSION);
    int r = execute(db, "BEGIN IMMEDIATE", e);
    for (int64_t i = from; r == 0 && i < DB_VERSION; i++)
        r = execute(db, steps[i], e);
    if (r != 0 || execute(db, text, e) != 0 || execute(db, "COMMIT", e) != 0)
        return -1;
    if (from)
        log_info("queue-database", LN("version", DB_VERSION), LN("from", from));
    return 0;
}

static int know(struct queue_db *db, bool read_only, struct err *e)
{
    int64_t application = 0, version = 0, tables = 0;
    if (first_value(db, "PRAGMA application_id", &application, NULL, e) != 0 ||
        first_value(db, "PRAGMA user_version", &version, NULL, e) != 0 ||
        first_value(db, "SELECT count(*) FROM sqlite_schema", &tables, NULL, e) != 0)
        return -1;
    if (tables == 0 && application == 0 && version == 0)
        return read_only ? err_perm(e, "queue database is empty") : raise_version(db, 0, e);
    if (application != APPLICATION_ID)
        return err_perm(e, "queue.db is not a queue database of ours");
    if (version >= 1 && version < DB_VERSION && !read_only)
        return check(db, e) == 0 ? raise_version(db, version, e) : -1;
    if (version != DB_VERSION)
        return err_perm(e, "queue.db has version %lld, this program knows %d; a newer one made it",
                        (long long)version, DB_VERSION);
    return check(db, e);
}

static int prepare(struct queue_db *db, struct err *e)
{
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->st[i], NULL) !=
            SQLITE_OK)
            return fail(db, "schema", e);
    return 0;
}

static int set_up(struct queue_db *db, bool read_only, struct err *e)
{
    sqlite3_extended_result_codes(db->db, 1);
    sqlite3_busy_timeout(db->db, BUSY_MS);
    if (execute(db, "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;"
                    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON", e) != 0)
        return -1;
    if (!read_only && execute(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                  "PRAGMA journal_size_limit = 4194304", e) != 0)
        return -1;
    return know(db, read_only, e) == 0 ? prepare(db, e) : -1;
}

int queue_db_open(const char *dir, bool read_only, struct queue_db **out, struct err *e)
{
    AUTO_BUF path = {0};
    struct queue_db *db = MEM_NEW(struct queue_db);
    buf_printf(&path, "%s/queue.db", dir);
    int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int r = sqlite3_open_v2(buf_z(&path), &db->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    r = r == SQLITE_OK ? set_up(db, read_only, e) : fail(db, "open", e);
    if (r != 0) {
        int code = sqlite3_errcode(db->db) & 0xff;
        if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
            e->kind = ERR_PERMANENT;
        err_prefix(e, "%s", buf_z(&path));
        queue_db_close(db);
        return -1;
    }
    *out = db;
    return 0;
}

void queue_db_close(struct queue_db *db)
{
    if (!db)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(db->st[i]);
    sqlite3_close(db->db);
    free(db);
}

/* --- changes --- */

int queue_db_begin(struct queue_db *db, struct err *e)
{
    return execute(db, "BEGIN IMMEDIATE", e);
}

int queue_db_commit(struct queue_db *db, struct err *e)
{
    return execute(db, "COMMIT", e);
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
    bind_str(st, 2, r->address);
    bind_str(st, 3, r->original);
    sqlite3_bind_int64(st, 4, r->next_ms);
    sqlite3_bind_int64(st, 5, r->attempts);
    sqlite3_bind_int64(st, 6, r->state);
    bind_str(st, 7, r->error);
    sqlite3_bind_int64(st, 8, r->route);
    bind_str(st, 9, r->destination);
    sqlite3_bind_int64(st, 10, r->notify);
    bind_str(st, 11, r->orcpt);
    sqlite3_bind_int64(st, 12, sender_key(sender));
    return run(db, ADD_RECIPIENT, e);
}

int queue_db_add(struct queue_db *db, const struct queue_message *m,
                 const struct queue_recipient *recipients, size_t count, struct err *e)
{
    sqlite3_stmt *st = db->st[ADD_MESSAGE];
    sqlite3_bind_int64(st, 1, (int64_t)m->id);
    sqlite3_bind_int64(st, 2, m->created_ms);
    sqlite3_bind_int64(st, 3, (int64_t)m->size);
    sqlite3_bind_int64(st, 4, m->flags);
    bind_str(st, 5, m->session);
    bind_str(st, 6, m->sender);
    sqlite3_bind_int64(st, 7, m->ret);
    bind_str(st, 8, m->envid);
    if (run(db, ADD_MESSAGE, e) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (queue_db_add_recipient(db, m->id, m->sender, &recipients[i], e) != 0)
            return -1;
    return 0;
}

int queue_db_done(struct queue_db *db, uint64_t recipient, struct err *e)
{
    sqlite3_bind_int64(db->st[DONE], 1, (int64_t)recipient);
    return run(db, DONE, e);
}

int queue_db_retry(struct queue_db *db, uint64_t recipient, int64_t next_ms, struct str why,
                   struct err *e)
{
    sqlite3_bind_int64(db->st[RETRY], 1, (int64_t)recipient);
    sqlite3_bind_int64(db->st[RETRY], 2, next_ms);
    bind_str(db->st[RETRY], 3, why);
    return run(db, RETRY, e);
}

int queue_db_warned(struct queue_db *db, uint64_t recipient, struct err *e)
{
    sqlite3_bind_int64(db->st[WARNED], 1, (int64_t)recipient);
    return run(db, WARNED, e);
}

int queue_db_hold(struct queue_db *db, uint64_t recipient, struct str why, struct err *e)
{
    sqlite3_bind_int64(db->st[HOLD], 1, (int64_t)recipient);
    bind_str(db->st[HOLD], 2, why);
    return run(db, HOLD, e);
}

int queue_db_set_held(struct queue_db *db, uint64_t recipient, bool held, struct err *e)
{
    sqlite3_bind_int64(db->st[SET_HELD], 1, (int64_t)recipient);
    sqlite3_bind_int64(db->st[SET_HELD], 2, held);
    return run(db, SET_HELD, e);
}

int queue_db_retry_now(struct queue_db *db, uint64_t recipient, int64_t now_ms, struct err *e)
{
    sqlite3_bind_int64(db->st[RETRY_NOW], 1, (int64_t)recipient);
    sqlite3_bind_int64(db->st[RETRY_NOW], 2, now_ms);
    return run(db, RETRY_NOW, e);
}

int queue_db_sweep(struct queue_db *db, uint64_t message, bool *gone, struct err *e)
{
    sqlite3_bind_int64(db->st[SWEEP], 1, (int64_t)message);
    int r = run(db, SWEEP, e);
    *gone = r == 0 && sqlite3_changes(db->db) > 0;
    return r;
}

int queue_db_unstick(struct queue_db *db, int64_t now_ms, int64_t limit_ms, bool *some,
                     struct err *e)
{
    sqlite3_bind_int64(db->st[UNSTICK], 1, now_ms);
    sqlite3_bind_int64(db->st[UNSTICK], 2, limit_ms);
    int r = run(db, UNSTICK, e);
    *some = r == 0 && sqlite3_changes(db->db) > 0;
    return r;
}

/* --- questions --- */

static bool give_row(sqlite3_stmt *st, queue_db_fn fn, void *ctx)
{
    struct queue_message m = {
        .id = (uint64_t)sqlite3_column_int64(st, 0), .created_ms = sqlite3_column_int64(st, 1),
        .size = (uint64_t)sqlite3_column_int64(st, 2),
        .flags = (uint32_t)sqlite3_column_int64(st, 3), .session = column(st, 4),
        .sender = column(st, 5), .ret = (uint8_t)sqlite3_column_int(st, 16),
        .envid = column(st, 17),
    };
    struct queue_recipient r = {
        .id = (uint64_t)sqlite3_column_int64(st, 6), .address = column(st, 7),
        .original = column(st, 8), .next_ms = sqlite3_column_int64(st, 9),
        .attempts = (uint32_t)sqlite3_column_int64(st, 10),
        .state = sqlite3_column_int(st, 11) ? QUEUE_HELD : QUEUE_WAITING, .error = column(st, 12),
        .route = (enum queue_route)sqlite3_column_int(st, 13), .destination = column(st, 14),
        .warned = sqlite3_column_int(st, 15), .notify = (uint8_t)sqlite3_column_int(st, 18),
        .orcpt = column(st, 19),
    };
    return fn(ctx, &m, &r);
}

static int each_row(struct queue_db *db, enum statement n, queue_db_fn fn, void *ctx, struct err *e)
{
    int r;
    bool more = true;
    while (more && (r = sqlite3_step(db->st[n])) == SQLITE_ROW)
        more = give_row(db->st[n], fn, ctx);
    int result = !more || r == SQLITE_DONE ? 0 : fail(db, "read", e);
    sqlite3_reset(db->st[n]);
    return result;
}

/* --- lanes --- */

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
    bind_str(st, 1, l->name);
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
        result = fail(l->db, "read", e);
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
    int result = *found || r == SQLITE_DONE ? 0 : fail(l->db, "read", e);
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
            result = fail(l->db, "read", e);
        } else if (l->is_free(l->ctx, (uint64_t)sqlite3_column_int64(st, 0))) {
            sqlite3_bind_int64(get, 1, sqlite3_column_int64(st, 0));
            result = each_row(l->db, GET, fn, l->ctx, e);
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
    int result = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : fail(db, "read", e);
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
    int result = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

int queue_db_lanes(struct queue_db *db, bool remote, queue_db_lane_fn fn, void *ctx, struct err *e)
{
    sqlite3_stmt *st = db->st[remote ? LANE_REMOTE : LANE];
    int r;
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        fn(ctx, column(st, 0), sqlite3_column_int64(st, 1));
    int result = r == SQLITE_DONE ? 0 : fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

int queue_db_old(struct queue_db *db, uint64_t below, size_t max, queue_db_fn fn, void *ctx,
                 struct err *e)
{
    sqlite3_bind_int64(db->st[OLD], 1, (int64_t)below);
    sqlite3_bind_int64(db->st[OLD], 2, (int64_t)max);
    return each_row(db, OLD, fn, ctx, e);
}

int queue_db_list(struct queue_db *db, queue_db_fn fn, void *ctx, struct err *e)
{
    return each_row(db, LIST, fn, ctx, e);
}

int queue_db_page(struct queue_db *db, uint64_t after, uint64_t message, struct str destination,
                  size_t max, queue_db_fn fn, void *ctx, struct err *e)
{
    enum statement n = message ? PAGE_OF : PAGE;
    sqlite3_bind_int64(db->st[n], 1, (int64_t)after);
    sqlite3_bind_int64(db->st[n], 2, (int64_t)message);
    bind_str(db->st[n], 3, destination);
    sqlite3_bind_int64(db->st[n], 4, (int64_t)max);
    return each_row(db, n, fn, ctx, e);
}

/* --- policies --- */

int queue_db_keep_policy(struct queue_db *db, const struct queue_policy *p, int64_t now_ms,
                         struct err *e)
{
    sqlite3_stmt *st = db->st[KEEP_POLICY];
    bind_str(st, 1, p->domain);
    bind_str(st, 2, p->id);
    sqlite3_bind_int64(st, 3, p->mode);
    sqlite3_bind_int64(st, 4, p->fetched_ms);
    sqlite3_bind_int64(st, 5, p->expires_ms);
    bind_str(st, 6, p->mx);
    sqlite3_bind_int64(db->st[END_POLICIES], 1, now_ms);
    sqlite3_bind_int64(db->st[TRIM_POLICIES], 1, QUEUE_POLICIES_MAX);
    if (run(db, KEEP_POLICY, e) != 0 || run(db, END_POLICIES, e) != 0)
        return -1;
    return run(db, TRIM_POLICIES, e);
}

int queue_db_policies(struct queue_db *db, int64_t now_ms, queue_db_policy_fn fn, void *ctx,
                      struct err *e)
{
    sqlite3_stmt *st = db->st[POLICIES];
    int r;
    sqlite3_bind_int64(st, 1, now_ms);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        struct queue_policy p = {.domain = column(st, 0), .id = column(st, 1),
                                 .mode = (uint8_t)sqlite3_column_int(st, 2),
                                 .fetched_ms = sqlite3_column_int64(st, 3),
                                 .expires_ms = sqlite3_column_int64(st, 4), .mx = column(st, 5)};
        fn(ctx, &p);
    }
    int result = r == SQLITE_DONE ? 0 : fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

/* --- numbers --- */

/* One row of count numbers; 0 where there is none, and found says so for the first. */
static int numbers(struct queue_db *db, enum statement n, int64_t *v, int count, bool *found,
                   struct err *e)
{
    sqlite3_stmt *st = db->st[n];
    int r = sqlite3_step(st);
    *found = r == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL;
    for (int i = 0; i < count; i++)
        v[i] = r == SQLITE_ROW ? sqlite3_column_int64(st, i) : 0;
    int result = r == SQLITE_ROW || r == SQLITE_DONE ? 0 : fail(db, "read", e);
    sqlite3_reset(st);
    return result;
}

int queue_db_has(struct queue_db *db, uint64_t message, bool *has, struct err *e)
{
    int64_t one;
    sqlite3_bind_int64(db->st[HAS], 1, (int64_t)message);
    return numbers(db, HAS, &one, 1, has, e);
}

int queue_db_last_id(struct queue_db *db, uint64_t *id, struct err *e)
{
    int64_t v;
    bool found;
    int r = numbers(db, LAST_ID, &v, 1, &found, e);
    *id = (uint64_t)v;
    return r;
}

int queue_db_count(struct queue_db *db, int64_t now_ms, struct queue_counts *out, struct err *e)
{
    int64_t m[2], r[3];
    bool found;
    sqlite3_bind_int64(db->st[COUNT_RECIPIENTS], 1, now_ms);
    if (numbers(db, COUNT_MESSAGES, m, 2, &found, e) != 0 ||
        numbers(db, COUNT_RECIPIENTS, r, 3, &found, e) != 0)
        return -1;
    *out = (struct queue_counts){.messages = (uint64_t)m[0], .recipients = (uint64_t)r[0],
                                 .due = (uint64_t)r[1], .held = (uint64_t)r[2], .oldest_ms = m[1]};
    return 0;
}

/* --- who was told that somebody is away --- */

int queue_db_tell(struct queue_db *db, const struct queue_told *t, int64_t after_ms, struct err *e)
{
    sqlite3_stmt *st = db->st[TELL];
    sqlite3_bind_int64(db->st[FORGET_TOLD], 1, after_ms);
    sqlite3_bind_int64(db->st[FORGET_TOLD], 2, t->at_ms);
    if (run(db, FORGET_TOLD, e) != 0)
        return -1;
    bind_str(st, 1, t->owner);
    sqlite3_bind_int64(st, 2, t->text);
    bind_str(st, 3, t->sender);
    sqlite3_bind_int64(st, 4, t->at_ms);
    return run(db, TELL, e);
}

int queue_db_told(struct queue_db *db, const struct queue_told *t, int64_t after_ms, bool *told,
                  uint64_t *others, struct err *e)
{
    sqlite3_stmt *st = db->st[TOLD];
    int64_t n[2];
    bool found;
    bind_str(st, 1, t->owner);
    sqlite3_bind_int64(st, 2, t->text);
    bind_str(st, 3, t->sender);
    sqlite3_bind_int64(st, 4, after_ms);
    sqlite3_bind_int64(st, 5, t->at_ms);
    int r = numbers(db, TOLD, n, 2, &found, e);
    *others = (uint64_t)n[0];
    *told = n[1] > 0;
    return r;
}
