/* Opening the index, and what to do when it cannot be used. */
#include "store/index_private.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "facteur.index.sqlite"
#define APPLICATION_ID 0x46616349 /* "FacI" */
#define LAYOUT 3
#define BUSY_MS 300
#define AGAIN_MS 60000
#define DISCARDS_MAX 3
#define LOG_MAX 32768   /* pages, 128 MiB of log: not to wait for the client's silence any longer */
#define LOG_SMALL 125   /* pages of log that are left as they are at the end */

/* Rows hold numbers as this machine writes them. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define INDEX_VERSION LAYOUT
#else
#define INDEX_VERSION (LAYOUT + 1000)
#endif

static const char schema[] =
    "CREATE TABLE about(born INTEGER NOT NULL, base INTEGER NOT NULL) STRICT;"
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
    [INDEX_PUT] = "INSERT INTO message(id, modseq, data) VALUES(?1,?2,?3) ON CONFLICT(id)"
                  " DO UPDATE SET modseq = excluded.modseq, data = excluded.data",
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
    [INDEX_LARGEST] = "SELECT max(base, ifnull((SELECT max(highest) FROM folder), 0)) FROM about",
    [INDEX_PUT_PIECE] = "INSERT OR REPLACE INTO piece(id, data) VALUES(?1,?2)",
    [INDEX_REMOVE_BLOCK] = "DELETE FROM piece WHERE id = ?1 AND NOT EXISTS"
                           " (SELECT 1 FROM message WHERE id BETWEEN ?2 AND ?3)",
};

static const char piece_sql[] = "SELECT id, data FROM piece WHERE id BETWEEN ?1 AND ?2 ORDER BY id";

struct store_index *store_index_new(int root_fd)
{
    struct store_index *x = MEM_NEW(struct store_index);
    x->root_fd = root_fd;
    for (size_t i = 0; i < INDEX_WATCHES; i++)
        x->watch_fd[i] = -1;
    return x;
}

static void close_database(struct store_index *x)
{
    /* It would wait for the disk; store_index_rest has done it where it is due. */
    if (x->file.db)
        sqlite3_db_config(x->file.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (size_t i = 0; i < INDEX_STATEMENTS; i++) {
        sqlite3_finalize(x->st[i]);
        x->st[i] = NULL;
    }
    for (size_t i = 0; i < STORE_PIECES; i++) {
        sqlite3_finalize(x->cursor[i].st);
        x->cursor[i] = (struct index_cursor){0};
    }
    sqlite3_close(x->file.db);
    x->file.db = NULL;
    x->in_change = false;
}

void store_index_leave_watch(struct store_index *x, int fd)
{
    size_t i = 0;
    while (i < INDEX_WATCHES - 1 && x->watch_fd[i] >= 0)
        i++;
    fd_closep(&x->watch_fd[i]);
    x->watch_fd[i] = fd;
}

int store_index_take_watch(struct store_index *x)
{
    int fd = -1;
    for (size_t i = 0; i < INDEX_WATCHES && fd < 0; i++) {
        fd = x->watch_fd[i];
        x->watch_fd[i] = -1;
    }
    return fd;
}

/* ---- trouble ---- */

static bool is_ours(const struct store_index *x)
{
    return store_database_in_place(&x->file, x->root_fd, FILE_NAME);
}

/* Making and removing the file is one session's at a time: the log and its shared memory go by the
 * file's name, and those of one database must not be taken for another's. -1: not now. */
static int lock_file(struct store_index *x)
{
    AUTO_FD fd = openat(x->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < BUSY_MS / 5; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            int locked = fd;
            fd = -1;
            return locked;
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return -1;
}

/* Removes the file, unless somebody has put another one in its place already. */
static void discard(struct store_index *x, const char *why)
{
    AUTO_FD lock = lock_file(x);
    log_warning("index-discarded", LZ("why", why));
    bool ours = is_ours(x);
    close_database(x);
    index_forget_pending(x);
    if (ours && lock >= 0)
        store_database_remove(x->root_fd, FILE_NAME);
    if (++x->discarded >= DISCARDS_MAX || lock < 0)
        x->not_before = clock_mono_ms() + AGAIN_MS;
}

static void set_aside(struct store_index *x, const char *why)
{
    log_warning("index-unused", LZ("why", why));
    close_database(x);
    index_forget_pending(x);
    x->not_before = clock_mono_ms() + AGAIN_MS;
}

int index_trouble(struct store_index *x)
{
    char why[200];
    int code = sqlite3_errcode(x->file.db) & 0xff;
    snprintf(why, sizeof why, "%s", sqlite3_errmsg(x->file.db));
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        store_index_rollback(x);
        return -1;
    case SQLITE_OK: /* no row where there must be one */
    case SQLITE_ROW:
    case SQLITE_DONE:
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
    int r = sqlite3_prepare_v2(x->file.db, text, -1, &st, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return r == SQLITE_ROW ? 0 : -1;
}

static int execute(struct store_index *x, const char *text)
{
    return sqlite3_exec(x->file.db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

/* The log is written home while the client is silent: its next command is not to wait for the disk. */
static int note_log(void *ctx, sqlite3 *db, const char *name, int frames)
{
    struct store_index *x = ctx;
    (void)db;
    (void)name;
    x->log_frames = frames;
    return SQLITE_OK;
}

static int open_file(struct store_index *x, int flags)
{
    static const char settings[] =
        "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;"
        "PRAGMA journal_size_limit=8388608;"
        "PRAGMA cell_size_check=1";
    int persist = 1;
    if (store_database_open(&x->file, x->root_fd, FILE_NAME, flags) != 0)
        return -1;
    sqlite3_busy_timeout(x->file.db, BUSY_MS);
    sqlite3_db_config(x->file.db, SQLITE_DBCONFIG_LOOKASIDE, NULL, 256, 60);
    sqlite3_file_control(x->file.db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
    if (execute(x, settings) != 0)
        return -1;
    sqlite3_wal_hook(x->file.db, note_log, x);
    return 0;
}

static bool has_layout(struct store_index *x)
{
    int64_t version, application, born;
    if (first_number(x, "PRAGMA user_version", &version) != 0 || version != INDEX_VERSION ||
        first_number(x, "PRAGMA application_id", &application) != 0 ||
        application != APPLICATION_ID || first_number(x, "SELECT born FROM about", &born) != 0 ||
        born <= 0)
        return false;
    x->generation = (uint64_t)born; /* inodes come again */
    return true;
}

static bool is_busy(struct store_index *x)
{
    int code = x->file.db ? sqlite3_errcode(x->file.db) & 0xff : SQLITE_OK;
    return code == SQLITE_BUSY || code == SQLITE_LOCKED;
}

static int prepare(struct store_index *x)
{
    for (size_t i = 0; i < INDEX_STATEMENTS; i++)
        if (sqlite3_prepare_v3(x->file.db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &x->st[i], NULL) !=
            SQLITE_OK)
            return -1;
    for (size_t i = 1; i < STORE_PIECES; i++)
        if (sqlite3_prepare_v3(x->file.db, piece_sql, -1, SQLITE_PREPARE_PERSISTENT, &x->cursor[i].st,
                               NULL) != SQLITE_OK)
            return -1;
    return 0;
}

/* 0; 1: there is no such file, or it is of no use; -1: not now. */
static int open_existing(struct store_index *x)
{
    struct stat st;
    if (fstatat(x->root_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 1 : -1;
    if (S_ISREG(st.st_mode) && st.st_size == 0)
        return 1;
    if (open_file(x, 0) == 0 && has_layout(x) && prepare(x) == 0)
        return 0;
    int code = x->file.db ? sqlite3_errcode(x->file.db) & 0xff : SQLITE_CANTOPEN;
    return is_busy(x) || code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM ||
                   code == SQLITE_FULL || code == SQLITE_IOERR ? -1 : 1;
}

static int create(struct store_index *x)
{
    char mark[240];
    /* Mod-sequences begin above those of a database that was here before. */
    snprintf(mark, sizeof mark,
             "INSERT INTO about VALUES(random() & 0x7fffffffffffffff | 1, %lld);"
             "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
             (long long)index_floor(x), APPLICATION_ID, INDEX_VERSION);
    store_database_remove(x->root_fd, FILE_NAME);
    /* Who selects a mailbox for the first time need not wait for the disk: nothing is in it yet, and a
     * file of which a power cut left half is made anew. */
    if (open_file(x, O_CREAT | O_EXCL) == 0 &&
        execute(x, "PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE") == 0 &&
        execute(x, schema) == 0 && execute(x, mark) == 0 &&
        execute(x, "PRAGMA synchronous=NORMAL") == 0 && has_layout(x) && prepare(x) == 0)
        return 0;
    return -1;
}

/* Under the lock, since another session may be making one just now. */
static int replace(struct store_index *x)
{
    close_database(x);
    AUTO_FD lock = lock_file(x);
    if (lock < 0)
        return -1;
    int r = open_existing(x);
    if (r <= 0)
        return r;
    struct stat st;
    if (fstatat(x->root_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
        log_warning("index-discarded",
                    LZ("why", x->file.db ? sqlite3_errmsg(x->file.db) : "of another layout"));
    close_database(x);
    return create(x);
}

int index_ready(struct store_index *x)
{
    if (!x)
        return -1;
    if (x->file.db && !x->in_change && !is_ours(x)) { /* removed or replaced: that one counts now */
        close_database(x);
        index_forget_pending(x);
    }
    if (x->file.db)
        return 0;
    if (x->not_before && clock_mono_ms() < x->not_before)
        return -1;
    x->not_before = 0;
    errno = 0;
    int r = open_existing(x);
    if (r > 0)
        r = replace(x);
    if (r == 0)
        return 0;
    if (is_busy(x))
        close_database(x);
    else
        set_aside(x, x->file.db ? sqlite3_errmsg(x->file.db) : strerror(errno));
    return -1;
}

uint64_t store_index_generation(struct store_index *x)
{
    return index_ready(x) == 0 ? x->generation : 0;
}

uint64_t store_index_in_use(struct store_index *x)
{
    return x && x->file.db ? x->generation : store_index_generation(x);
}

/* ---- rest ---- */

/* Writes the log home. SQLite syncs the beginning of a new log, and with it all that the file system has under
 * way, the renames of a large STORE too: so it is begun here, where nobody waits. */
static void write_log_home(struct store_index *x, int mode)
{
    char mark[40]; /* a change that changes nothing; an UPDATE of that kind writes nothing */
    int pages = 0, written = 0;
    snprintf(mark, sizeof mark, "PRAGMA user_version=%d", INDEX_VERSION);
    x->log_frames = 0;
    if (sqlite3_wal_checkpoint_v2(x->file.db, NULL, mode, &pages, &written) == SQLITE_OK &&
        pages == written)
        (void)execute(x, mark);
}

void store_index_rest(struct store_index *x)
{
    if (!x)
        return;
    store_index_flush(x);
    store_index_pause(x);
    if (x->file.db && x->log_frames > LOG_SMALL) {
        sqlite3_busy_timeout(x->file.db, 0); /* others that read have it written later */
        write_log_home(x, SQLITE_CHECKPOINT_TRUNCATE);
    }
    close_database(x);
    index_forget_pending(x);
    sqlite3_release_memory(INT_MAX);
}

void store_index_free(struct store_index *x)
{
    if (!x)
        return;
    store_index_rest(x);
    for (size_t i = 0; i < INDEX_WATCHES; i++)
        fd_closep(&x->watch_fd[i]);
    free(x);
}

bool store_index_untidy(const struct store_index *x)
{
    return x && x->file.db && (x->pending_bytes || x->log_frames >= LOG_MAX);
}

void store_index_tidy(struct store_index *x)
{
    store_index_flush(x);
    store_index_pause(x);
    if (x && x->file.db && x->log_frames >= LOG_MAX)
        write_log_home(x, SQLITE_CHECKPOINT_PASSIVE);
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

bool store_index_in_change(const struct store_index *x)
{
    return x->in_change;
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
    if (!x || !x->file.db)
        return;
    for (size_t i = 0; i < INDEX_STATEMENTS; i++)
        sqlite3_reset(x->st[i]);
    store_index_pause(x);
    if (!sqlite3_get_autocommit(x->file.db)) {
        sqlite3_step(x->st[INDEX_ROLLBACK]);
        sqlite3_reset(x->st[INDEX_ROLLBACK]);
    }
    x->in_change = false;
}
