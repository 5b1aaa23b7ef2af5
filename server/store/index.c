/* Opening the index, and what to do when it cannot be used. */
#include "store/index_private.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "facteur.index.sqlite"
#define APPLICATION_ID 0x46616349 /* "FacI" */
#define LAYOUT 1
#define BUSY_MS 300
#define AGAIN_MS 60000
#define DISCARDS_MAX 3

/* Rows hold numbers as this machine writes them. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define INDEX_VERSION LAYOUT
#else
#define INDEX_VERSION (LAYOUT + 1000)
#endif

static const char schema[] =
    "CREATE TABLE about(born INTEGER NOT NULL) STRICT;"
    "INSERT INTO about VALUES(random() & 0x7fffffffffffffff | 1);"
    "CREATE TABLE folder(id INTEGER PRIMARY KEY AUTOINCREMENT, cur INTEGER NOT NULL UNIQUE, guid BLOB NOT NULL,"
    " uidvalidity INTEGER, uidnext INTEGER, cur_ns INTEGER, new_ns INTEGER, list_ns INTEGER,"
    " list_ino INTEGER, list_size INTEGER, taken_ns INTEGER, lines INTEGER, highest INTEGER,"
    " logged_since INTEGER, messages INTEGER, unseen INTEGER, deleted INTEGER, in_new INTEGER,"
    " size INTEGER) STRICT;"
    /* id: folder << 32 | uid */
    "CREATE TABLE message(id INTEGER PRIMARY KEY, modseq INTEGER NOT NULL, data BLOB NOT NULL)"
    " STRICT;"
    "CREATE INDEX message_modseq ON message(modseq);"
    "CREATE TABLE vanished(folder INTEGER NOT NULL, modseq INTEGER NOT NULL, first INTEGER NOT NULL,"
    " last INTEGER NOT NULL, PRIMARY KEY(folder, modseq, first)) STRICT, WITHOUT ROWID;"
    /* id: folder << 36 | kind << 32 | uid */
    "CREATE TABLE piece(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;";

#define FOLDER_COLUMNS                                                                             \
    "id, cur, guid, uidvalidity, uidnext, cur_ns, new_ns, list_ns, list_ino, list_size, taken_ns," \
    " lines, highest, logged_since, messages, unseen, deleted, in_new, size"

static const char *const sql[INDEX_STATEMENTS] = {
    [INDEX_BEGIN] = "BEGIN IMMEDIATE",
    [INDEX_COMMIT] = "COMMIT",
    [INDEX_ROLLBACK] = "ROLLBACK",
    [INDEX_FOLDER] = "SELECT " FOLDER_COLUMNS " FROM folder WHERE cur = ?1",
    [INDEX_PUT_FOLDER] = "INSERT OR REPLACE INTO folder(" FOLDER_COLUMNS ")"
                         " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)",
    [INDEX_ALL_ROWS] = "SELECT id, modseq, data FROM message WHERE id BETWEEN ?2 AND ?3"
                       " AND ?1 >= 0 ORDER BY id",
    [INDEX_ROWS] = "SELECT id, modseq, data FROM message INDEXED BY message_modseq"
                   " WHERE modseq > ?1 AND id BETWEEN ?2 AND ?3 ORDER BY id",
    [INDEX_PUT] = "INSERT OR REPLACE INTO message(id, modseq, data) VALUES(?1,?2,?3)",
    [INDEX_REMOVE] = "DELETE FROM message WHERE id BETWEEN ?1 AND ?2",
    [INDEX_CLEAR_FOLDER] = "DELETE FROM message WHERE id BETWEEN ?1 AND ?2",
    [INDEX_CLEAR_VANISHED] = "DELETE FROM vanished WHERE folder = ?1",
    [INDEX_CLEAR_PIECES] = "DELETE FROM piece WHERE id BETWEEN ?1 AND ?2",
    [INDEX_REMOVE_PIECES] = "DELETE FROM piece WHERE id BETWEEN ?1 AND ?2",
    [INDEX_VANISHED] = "SELECT first, last FROM vanished WHERE folder = ?1 AND modseq > ?2",
    [INDEX_PUT_VANISHED] = "INSERT OR REPLACE INTO vanished(folder, modseq, first, last)"
                           " VALUES(?1,?2,?3,?4)",
    [INDEX_COUNT_VANISHED] = "SELECT count(*) FROM vanished WHERE folder = ?1",
    [INDEX_TRIM_AT] = "SELECT modseq FROM vanished WHERE folder = ?1 ORDER BY modseq"
                      " LIMIT 1 OFFSET ?2",
    [INDEX_TRIM] = "DELETE FROM vanished WHERE folder = ?1 AND modseq <= ?2",
    [INDEX_PUT_PIECE] = "INSERT OR REPLACE INTO piece(id, data) VALUES(?1,?2)",
};

static const char piece_sql[] = "SELECT id, data FROM piece WHERE id BETWEEN ?1 AND ?2 ORDER BY id";

struct store_index *store_index_new(int root_fd)
{
    struct store_index *x = MEM_NEW(struct store_index);
    x->root_fd = root_fd;
    return x;
}

static void close_database(struct store_index *x)
{
    for (size_t i = 0; i < INDEX_STATEMENTS; i++) {
        sqlite3_finalize(x->st[i]);
        x->st[i] = NULL;
    }
    for (size_t i = 0; i < STORE_PIECES; i++) {
        sqlite3_finalize(x->cursor[i].st);
        x->cursor[i] = (struct index_cursor){0};
    }
    sqlite3_close(x->db);
    x->db = NULL;
    x->in_change = false;
}

void store_index_rest(struct store_index *x)
{
    if (!x)
        return;
    store_index_flush(x);
    close_database(x);
    buf_free(&x->pending);
    sqlite3_release_memory(INT_MAX);
}

void store_index_free(struct store_index *x)
{
    if (!x)
        return;
    store_index_rest(x);
    free(x);
}

/* ---- trouble ---- */

static bool is_ours(struct store_index *x)
{
    struct stat st;
    return fstatat(x->root_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == x->ino &&
           st.st_dev == x->dev;
}

/* Removes the file, unless somebody has put another one in its place already. */
static void discard(struct store_index *x, const char *why)
{
    log_warning("index-discarded", LZ("why", why));
    bool ours = is_ours(x);
    close_database(x);
    x->pending.n = x->pending_count = 0;
    if (ours) {
        unlinkat(x->root_fd, FILE_NAME, 0);
        unlinkat(x->root_fd, FILE_NAME "-wal", 0);
        unlinkat(x->root_fd, FILE_NAME "-shm", 0);
    }
    if (++x->discarded >= DISCARDS_MAX)
        x->not_before = clock_mono_ms() + AGAIN_MS;
}

static void set_aside(struct store_index *x, const char *why)
{
    log_warning("index-unused", LZ("why", why));
    close_database(x);
    x->pending.n = x->pending_count = 0;
    x->not_before = clock_mono_ms() + AGAIN_MS;
}

int index_trouble(struct store_index *x)
{
    char why[200];
    int code = sqlite3_errcode(x->db) & 0xff;
    snprintf(why, sizeof why, "%s", sqlite3_errmsg(x->db));
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        store_index_rollback(x);
        return -1;
    case SQLITE_OK: /* no row where there must be one */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: /* the layout is not what the statements expect */
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
        discard(x, why);
        return -1;
    default:
        set_aside(x, why);
        return -1;
    }
}

/* ---- opening ---- */

static int first_number(struct store_index *x, const char *text, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    *out = -1;
    int r = sqlite3_prepare_v2(x->db, text, -1, &st, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : -1;
}

static int execute(struct store_index *x, const char *text)
{
    return sqlite3_exec(x->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static int create(struct store_index *x)
{
    char mark[120];
    int64_t version;
    snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
             APPLICATION_ID, INDEX_VERSION);
    if (execute(x, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE") != 0 ||
        first_number(x, "PRAGMA user_version", &version) != 0)
        return -1;
    if (version != 0) /* another session was first */
        return execute(x, "COMMIT");
    return execute(x, schema) == 0 ? execute(x, mark) : -1;
}

static int check_layout(struct store_index *x)
{
    int64_t version, application, pages;
    if (first_number(x, "PRAGMA user_version", &version) != 0 ||
        first_number(x, "PRAGMA page_count", &pages) != 0)
        return index_trouble(x);
    if (version == 0 && pages == 0) {
        if (create(x) != 0 || first_number(x, "PRAGMA user_version", &version) != 0)
            return index_trouble(x);
    }
    if (first_number(x, "PRAGMA application_id", &application) != 0)
        return index_trouble(x);
    if (version == INDEX_VERSION && application == APPLICATION_ID)
        return 0;
    discard(x, "another layout");
    return -1;
}

/* The database's own number: inodes come again. */
static int read_born(struct store_index *x)
{
    int64_t born;
    if (first_number(x, "SELECT born FROM about", &born) != 0 || born <= 0)
        return index_trouble(x);
    x->generation = (uint64_t)born;
    return 0;
}

static int prepare(struct store_index *x)
{
    for (size_t i = 0; i < INDEX_STATEMENTS; i++)
        if (sqlite3_prepare_v3(x->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &x->st[i], NULL) !=
            SQLITE_OK)
            return index_trouble(x);
    for (size_t i = 1; i < STORE_PIECES; i++)
        if (sqlite3_prepare_v3(x->db, piece_sql, -1, SQLITE_PREPARE_PERSISTENT, &x->cursor[i].st,
                               NULL) != SQLITE_OK)
            return index_trouble(x);
    return 0;
}

/* SQLite wants a path. The directory's real one has no symbolic link in it. */
static int real_path(const struct store_index *x, char out[PATH_MAX])
{
    char link[48];
    snprintf(link, sizeof link, "/proc/self/fd/%d", x->root_fd);
    ssize_t n = readlink(link, out, PATH_MAX - sizeof "/" FILE_NAME);
    if (n <= 0 || out[0] != '/')
        return -1;
    memcpy(out + n, "/" FILE_NAME, sizeof "/" FILE_NAME);
    return 0;
}

static int open_file(struct store_index *x)
{
    char path[PATH_MAX];
    struct stat st, again;
    AUTO_FD fd = store_file_open(x->root_fd, FILE_NAME, O_RDWR | O_CREAT, &st);
    if (fd < 0 || real_path(x, path) != 0)
        return -1;
    if (sqlite3_open_v2(path, &x->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                            SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK)
        return -1;
    x->dev = st.st_dev;
    x->ino = st.st_ino;
    /* The path may have led elsewhere: a maildir that was moved meanwhile, a file just replaced. */
    return stat(path, &again) == 0 && again.st_ino == st.st_ino && again.st_dev == st.st_dev ? 0 : -1;
}

static int open_database(struct store_index *x)
{
    static const char settings[] =
        "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;"
        "PRAGMA wal_autocheckpoint=4000; PRAGMA cell_size_check=1";
    if (open_file(x) != 0) {
        set_aside(x, x->db ? sqlite3_errmsg(x->db) : strerror(errno));
        return -1;
    }
    sqlite3_extended_result_codes(x->db, 1);
    sqlite3_busy_timeout(x->db, BUSY_MS);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 256, 60);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (check_layout(x) != 0)
        return -1;
    if (execute(x, settings) != 0)
        return index_trouble(x);
    return read_born(x) == 0 ? prepare(x) : -1;
}

int index_ready(struct store_index *x)
{
    if (!x)
        return -1;
    if (x->db && !x->in_change && !is_ours(x)) { /* removed or replaced: that one counts now */
        close_database(x);
        x->pending.n = x->pending_count = 0;
    }
    if (x->db)
        return 0;
    if (x->not_before && clock_mono_ms() < x->not_before)
        return -1;
    x->not_before = 0;
    /* A damaged or outdated file is gone after the first attempt. */
    int r = open_database(x);
    if (r != 0 && !x->not_before)
        r = open_database(x);
    if (r != 0) {
        close_database(x);
        return -1;
    }
    return 0;
}

uint64_t store_index_generation(struct store_index *x)
{
    return index_ready(x) == 0 ? x->generation : 0;
}

uint64_t store_index_in_use(struct store_index *x)
{
    return x && x->db ? x->generation : store_index_generation(x);
}

/* ---- changes ---- */

int index_run(struct store_index *x, enum index_statement n)
{
    int r = sqlite3_step(x->st[n]);
    if (r != SQLITE_DONE && r != SQLITE_ROW)
        return index_trouble(x);
    sqlite3_reset(x->st[n]);
    sqlite3_clear_bindings(x->st[n]);
    return 0;
}

int store_index_begin(struct store_index *x)
{
    if (index_ready(x) != 0)
        return -1;
    if (x->in_change)
        return 0;
    store_index_pause(x);
    if (index_run(x, INDEX_BEGIN) != 0)
        return -1;
    x->in_change = true;
    return 0;
}

int store_index_commit(struct store_index *x)
{
    if (!x || !x->in_change)
        return -1;
    int r = index_run(x, INDEX_COMMIT);
    if (r != 0)
        store_index_rollback(x);
    x->in_change = false;
    return r;
}

void store_index_rollback(struct store_index *x)
{
    if (!x || !x->db)
        return;
    for (size_t i = 0; i < INDEX_STATEMENTS; i++)
        sqlite3_reset(x->st[i]);
    store_index_pause(x);
    if (!sqlite3_get_autocommit(x->db)) {
        sqlite3_step(x->st[INDEX_ROLLBACK]);
        sqlite3_reset(x->st[INDEX_ROLLBACK]);
    }
    x->in_change = false;
}
