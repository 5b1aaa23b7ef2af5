/* The layout of the queue's database: old ones are brought up to date, what is none is refused. */
#include "tests/unit/queue_fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

static void run_sql(const struct place *p, const char *text)
{
    char path[128];
    sqlite3 *raw;
    place_path(path, p, "queue.db");
    CU_ASSERT_FATAL(sqlite3_open(path, &raw) == SQLITE_OK);
    CU_ASSERT(sqlite3_exec(raw, text, NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(raw);
}

static void expect_refused(const struct place *p, enum err_kind kind, const char *word)
{
    struct queue_db *db = NULL;
    struct err e = {0};
    CU_ASSERT(queue_db_open(p->dir, &db, &e) == -1);
    bool good = e.kind == kind && strstr(e.log, word) && strstr(e.log, "queue.db");
    if (!good)
        printf("# kind %d, \"%s\", want %d with \"%s\"\n", e.kind, e.log, kind, word);
    CU_ASSERT(good);
}

static void newer_version(void)
{
    struct place p = place_new();
    queue_db_close(queue_open(&p));
    run_sql(&p, "PRAGMA user_version = 6");
    expect_refused(&p, ERR_PERMANENT, "version 6");
    place_remove(&p);
}

static bool look_at_old(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    size_t *n = ctx;
    CU_ASSERT(r->route == QUEUE_LOCAL && r->destination.n == 0 && !r->warned);
    CU_ASSERT(r->notify == 0 && r->orcpt.n == 0 && m->ret == 0 && m->envid.n == 0);
    UNIT_STR(r->address, "a");
    ++*n;
    return true;
}

#define LANE_INDEXES                                                                               \
    "DROP INDEX recipient_local; DROP INDEX recipient_remote; DROP INDEX recipient_local_due;"     \
    "DROP INDEX recipient_remote_due; DROP INDEX recipient_next; DROP INDEX recipient_held;"

static const char back_to_4[] = "DROP TABLE told; PRAGMA user_version = 4";
static const char back_to_3[] = "DROP TABLE sts_policy; PRAGMA user_version = 3";
static const char back_to_2[] =
    LANE_INDEXES "ALTER TABLE message DROP COLUMN ret; ALTER TABLE message DROP COLUMN envid;"
    "ALTER TABLE recipient DROP COLUMN notify; ALTER TABLE recipient DROP COLUMN orcpt;"
    "ALTER TABLE recipient DROP COLUMN sender_key;"
    "CREATE INDEX recipient_due ON recipient(state, next_attempt, address);"
    "CREATE INDEX recipient_local ON recipient(next_attempt, address)"
    " WHERE state = 0 AND route <> 1;"
    "CREATE INDEX recipient_remote ON recipient(destination, next_attempt, message)"
    " WHERE state = 0 AND route = 1; PRAGMA user_version = 2";
static const char back_to_1[] =
    "DROP INDEX recipient_local; DROP INDEX recipient_remote;"
    "ALTER TABLE recipient DROP COLUMN route; ALTER TABLE recipient DROP COLUMN destination;"
    "ALTER TABLE recipient DROP COLUMN warned; PRAGMA user_version = 1";

/* One of an older version, with mail in it. */
static void older_version(int version)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    size_t n = 0;
    queue_add(db, 5, 100, STR("a"), STR(""));
    queue_db_close(db);
    run_sql(&p, back_to_4);
    if (version <= 3)
        run_sql(&p, back_to_3);
    if (version <= 2)
        run_sql(&p, back_to_2);
    if (version == 1)
        run_sql(&p, back_to_1);
    for (int again = 0; again < 2; again++) {
        db = queue_open(&p);
        queue_list(db, look_at_old, &n);
        queue_expect_lanes(db, false, "a=100 ");
        queue_expect_lanes(db, true, "");
        queue_db_close(db);
    }
    CU_ASSERT(n == 2);
    place_remove(&p);
}

static void older_version_1(void)
{
    older_version(1);
}

static void older_version_2(void)
{
    older_version(2);
}

static void older_version_3(void)
{
    older_version(3);
}

static void older_version_4(void)
{
    older_version(4);
}

static void foreign_database(void)
{
    struct place p = place_new();
    run_sql(&p, "CREATE TABLE t(x)");
    expect_refused(&p, ERR_PERMANENT, "not a queue database");
    place_remove(&p);
}

static void overwrite(const struct place *p, off_t at, size_t n)
{
    char path[128];
    place_path(path, p, "queue.db");
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT, 0600);
    AUTO_FREE char *junk = mem_alloc(n);
    memset(junk, 0x5a, n);
    CU_ASSERT(pwrite(fd, junk, n, at) == (ssize_t)n);
}

static void not_a_database(void)
{
    struct place p = place_new();
    overwrite(&p, 0, 8192);
    expect_refused(&p, ERR_PERMANENT, "not a database");
    place_remove(&p);
}

static void damaged_database(void)
{
    struct place p = place_new();
    struct queue_db *db = queue_open(&p);
    for (uint64_t i = 1; i < 200; i++)
        queue_add(db, i, 1, STR("somebody@somewhere.example"), STR(""));
    queue_db_close(db);
    overwrite(&p, 2 * 4096, 4096);
    expect_refused(&p, ERR_PERMANENT, "damaged");
    place_remove(&p);
}

static void locked_database(void)
{
    struct place p = place_new();
    char path[128];
    sqlite3 *raw;
    queue_db_close(queue_open(&p));
    place_path(path, &p, "queue.db");
    CU_ASSERT_FATAL(sqlite3_open(path, &raw) == SQLITE_OK);
    CU_ASSERT(sqlite3_exec(raw, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE", 0, 0, 0) == 0);
    expect_refused(&p, ERR_TEMPORARY, "locked");
    sqlite3_close(raw);
    queue_db_close(queue_open(&p));
    place_remove(&p);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"a newer version is refused", newer_version},
        {"a version 1 is brought up to date", older_version_1},
        {"a version 2 is brought up to date", older_version_2},
        {"a version 3 is brought up to date", older_version_3},
        {"a version 4 is brought up to date", older_version_4},
        {"a foreign database is refused", foreign_database},
        {"a file that is no database is refused", not_a_database},
        {"a damaged database is refused", damaged_database},
        {"a locked database is refused", locked_database},
        {NULL, NULL},
    };
    return unit_main("queue-layout", tests);
}
