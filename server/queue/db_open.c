/* Opening the queue's database: its layout, older ones, and what is none. */
#include "queue/db_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

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
    "CREATE INDEX recipient_local ON recipient(next_attempt, address)"
    " WHERE state = 0 AND route <> 1;"
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
    int result = r == SQLITE_ROW ? 0 : r == SQLITE_INTERRUPT ? 1 : queue_db_fail(db, text, e);
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

/* Every step in one transaction: the old version (0: an empty file) stays until the new one is
 * whole. */
static int raise_version(struct queue_db *db, int64_t from, struct err *e)
{
    static const char *const steps[DB_VERSION] = {schema, schema2, schema3, schema4, schema5};
    char text[160];
    sqlite3_snprintf(sizeof text, text, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
                     APPLICATION_ID, DB_VERSION);
    int r = queue_db_execute(db, "BEGIN IMMEDIATE", e);
    for (int64_t i = from; r == 0 && i < DB_VERSION; i++)
        r = queue_db_execute(db, steps[i], e);
    if (r != 0 || queue_db_execute(db, text, e) != 0 || queue_db_execute(db, "COMMIT", e) != 0)
        return -1;
    if (from)
        log_info("queue-database", LN("version", DB_VERSION), LN("from", from));
    return 0;
}

static int know(struct queue_db *db, struct err *e)
{
    int64_t application = 0, version = 0, tables = 0;
    if (first_value(db, "PRAGMA application_id", &application, NULL, e) != 0 ||
        first_value(db, "PRAGMA user_version", &version, NULL, e) != 0 ||
        first_value(db, "SELECT count(*) FROM sqlite_schema", &tables, NULL, e) != 0)
        return -1;
    if (tables == 0 && application == 0 && version == 0)
        return raise_version(db, 0, e);
    if (application != APPLICATION_ID)
        return err_perm(e, "queue.db is not a queue database of ours");
    if (version >= 1 && version < DB_VERSION)
        return check(db, e) == 0 ? raise_version(db, version, e) : -1;
    if (version != DB_VERSION)
        return err_perm(e, "queue.db has version %lld, this program knows %d; a newer one made it",
                        (long long)version, DB_VERSION);
    return check(db, e);
}

static int prepare(struct queue_db *db, struct err *e)
{
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(db->db, queue_db_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->st[i],
                               NULL) != SQLITE_OK)
            return queue_db_fail(db, "schema", e);
    return 0;
}

static int set_up(struct queue_db *db, struct err *e)
{
    sqlite3_extended_result_codes(db->db, 1);
    sqlite3_busy_timeout(db->db, BUSY_MS);
    if (queue_db_execute(db, "PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;"
                    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    "PRAGMA journal_size_limit = 4194304", e) != 0)
        return -1;
    return know(db, e) == 0 ? prepare(db, e) : -1;
}

int queue_db_open(const char *dir, struct queue_db **out, struct err *e)
{
    AUTO_BUF path = {0};
    struct queue_db *db = MEM_NEW(struct queue_db);
    buf_printf(&path, "%s/queue.db", dir);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int r = sqlite3_open_v2(buf_z(&path), &db->db, flags, NULL);
    r = r == SQLITE_OK ? set_up(db, e) : queue_db_fail(db, "open", e);
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
