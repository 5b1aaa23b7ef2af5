/* The text index in SQLite's FTS5; see text.h. */
#include "store/text.h"

#include "store/database.h"
#include "store/text_grams.h"
#include "store/text_known.h"
#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "facteur.text.sqlite"
#define APPLICATION_ID 0x46616354 /* "FacT" */
#define LAYOUT 3
#define AGAIN_MS 60000
#define NEEDLE_TRIGRAMS 48 /* of a long needle; more would find no fewer */
#define DEAD_MIN 10000     /* messages that must be gone before the index is made anew */

/* Without positions: half the size of the text instead of three times it, and what is found is looked
 * into anyhow. Without content: expunged text stays only as trigrams, until the index is made anew. */
#define FTS(name)                                                                                  \
    "CREATE VIRTUAL TABLE " name " USING fts5(t, content='', detail=none, columnsize=0,"           \
    " tokenize='" TEXT_GRAMS "');"                                                                \
    /* Written in pieces of 2 MiB. Merges go in small steps and late: one that has to be whole would keep \
     * a client waiting, and those of every few pieces cost more than all the rest. */                    \
    "INSERT INTO " name "(" name ", rank) VALUES('hashsize', 2097152), ('automerge', 16),"          \
    " ('crisismerge', 64);"

static const char schema[] =
    "CREATE TABLE about(live INTEGER NOT NULL, dead INTEGER NOT NULL) STRICT;"
    "INSERT INTO about VALUES(0, 0);"
    "CREATE TABLE folder(id INTEGER PRIMARY KEY AUTOINCREMENT, guid BLOB NOT NULL,"
    " uidvalidity INTEGER NOT NULL, upto INTEGER NOT NULL, UNIQUE(guid, uidvalidity)) STRICT;"
    TEXT_KNOWN_TABLE FTS("body") FTS("head"); /* row ids of texts: folder << 32 | uid */

enum statement {
    DO_BEGIN, DO_COMMIT, DO_VERSION, DO_FOLDER, DO_NEW_FOLDER, DO_UPTO, DO_KNOWN,
    DO_PUT_KNOWN, DO_DROP_KNOWN, DO_ADD_BODY, DO_ADD_HEAD, DO_FIND_BODY, DO_FIND_HEAD, DO_COUNT, DO_ABOUT,
    DO_STATEMENTS
};

static const char *const sql[DO_STATEMENTS] = {
    [DO_BEGIN] = "BEGIN IMMEDIATE",
    [DO_COMMIT] = "COMMIT",
    [DO_VERSION] = "PRAGMA data_version",
    [DO_FOLDER] = "SELECT id, upto FROM folder WHERE guid = ?1 AND uidvalidity = ?2",
    [DO_NEW_FOLDER] = "INSERT INTO folder(guid, uidvalidity, upto) VALUES(?1, ?2, 0)",
    [DO_UPTO] = "UPDATE folder SET upto = max(upto, ?2) WHERE id = ?1",
    [DO_KNOWN] = TEXT_KNOWN_GET,
    [DO_PUT_KNOWN] = TEXT_KNOWN_PUT,
    [DO_DROP_KNOWN] = TEXT_KNOWN_DROP,
    [DO_ADD_BODY] = "INSERT INTO body(rowid, t) VALUES(?1, ?2)",
    [DO_ADD_HEAD] = "INSERT INTO head(rowid, t) VALUES(?1, ?2)",
    [DO_FIND_BODY] = "SELECT rowid FROM body WHERE body MATCH ?1 AND rowid BETWEEN ?2 AND ?3",
    [DO_FIND_HEAD] = "SELECT rowid FROM head WHERE head MATCH ?1 AND rowid BETWEEN ?2 AND ?3",
    [DO_COUNT] = "UPDATE about SET live = live + ?1, dead = dead + ?2",
    [DO_ABOUT] = "SELECT live, dead FROM about",
};

struct store_text {
    int root_fd;
    struct store_database file;
    sqlite3_stmt *st[DO_STATEMENTS];
    int64_t not_before; /* monotonic ms: do not try again earlier */
    uint64_t opened;    /* how often; a part of the version */
    bool in_change;
    int64_t added;      /* messages of this change, which are counted at its end */
    struct text_known known;
};

uint64_t store_text_base(struct str base)
{
    uint64_t h;
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "facteur text 1"; /* not a secret */
    crypto_shorthash((unsigned char *)&h, (const unsigned char *)(base.n ? base.p : ""), base.n,
                     key);
    return h;
}

struct store_text *store_text_new(int root_fd)
{
    struct store_text *t = MEM_NEW(struct store_text);
    t->root_fd = root_fd;
    return t;
}

void store_text_rest(struct store_text *t)
{
    for (size_t i = 0; i < DO_STATEMENTS; i++) {
        sqlite3_finalize(t->st[i]);
        t->st[i] = NULL;
    }
    sqlite3_close(t->file.db);
    t->file.db = NULL;
    t->in_change = false;
    text_known_forget(&t->known);
}

void store_text_free(struct store_text *t)
{
    if (!t)
        return;
    store_text_rest(t);
    free(t);
}

bool store_text_exists(const struct store_text *t)
{
    struct stat st;
    return fstatat(t->root_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- trouble --- */

static bool is_ours(const struct store_text *t)
{
    return store_database_in_place(&t->file, t->root_fd, FILE_NAME);
}

/* Removes the file, unless somebody has put another one in its place. */
static void discard(struct store_text *t, const char *why)
{
    log_warning("text-index-discarded", LZ("why", why));
    bool ours = is_ours(t);
    store_text_rest(t);
    t->not_before = clock_mono_ms() + AGAIN_MS;
    if (!ours)
        return;
    store_database_remove(t->root_fd, FILE_NAME);
}

/* After a failed call: takes back what was open. Returns -1. */
static int trouble(struct store_text *t)
{
    char why[200];
    int code = sqlite3_errcode(t->file.db) & 0xff;
    snprintf(why, sizeof why, "%s", sqlite3_errmsg(t->file.db));
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_INTERRUPT) {
        for (size_t i = 0; i < DO_STATEMENTS; i++)
            sqlite3_reset(t->st[i]);
        if (!sqlite3_get_autocommit(t->file.db))
            sqlite3_exec(t->file.db, "ROLLBACK", NULL, NULL, NULL);
        t->in_change = false;
        text_known_forget(&t->known);
        return -1;
    }
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_FORMAT ||
        code == SQLITE_ERROR || code == SQLITE_SCHEMA || code == SQLITE_CONSTRAINT ||
        code == SQLITE_MISMATCH || code == SQLITE_OK) {
        discard(t, why);
        return -1;
    }
    /* A full disk, too little memory, no permission. */
    log_warning("text-index-unused", LZ("why", why));
    store_text_rest(t);
    t->not_before = clock_mono_ms() + AGAIN_MS;
    return -1;
}

/* --- opening --- */

static int execute(struct store_text *t, const char *text)
{
    return sqlite3_exec(t->file.db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : trouble(t);
}

static int pragma(struct store_text *t, const char *text, int64_t *out)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(t->file.db, text, -1, &st, NULL) != SQLITE_OK ||
        sqlite3_step(st) != SQLITE_ROW) {
        sqlite3_finalize(st);
        return trouble(t);
    }
    *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return 0;
}

static int create(struct store_text *t)
{
    char mark[120];
    int64_t version;
    snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             APPLICATION_ID, LAYOUT);
    if (execute(t, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE") != 0 ||
        pragma(t, "PRAGMA user_version", &version) != 0)
        return -1;
    if (version != 0) /* another session was first */
        return execute(t, "COMMIT");
    return execute(t, schema) == 0 ? execute(t, mark) : -1;
}

static int check_layout(struct store_text *t)
{
    int64_t version, application, pages;
    if (pragma(t, "PRAGMA user_version", &version) != 0 ||
        pragma(t, "PRAGMA page_count", &pages) != 0)
        return -1;
    if (version == 0 && pages == 0 &&
        (create(t) != 0 || pragma(t, "PRAGMA user_version", &version) != 0))
        return -1;
    if (pragma(t, "PRAGMA application_id", &application) != 0)
        return -1;
    if (version == LAYOUT && application == APPLICATION_ID)
        return 0;
    discard(t, "another layout");
    return -1;
}

static int open_database(struct store_text *t)
{
    if (store_database_open(&t->file, t->root_fd, FILE_NAME, O_CREAT) != 0) {
        store_text_rest(t);
        t->not_before = clock_mono_ms() + AGAIN_MS;
        return -1;
    }
    sqlite3_extended_result_codes(t->file.db, 1);
    if (text_grams_register(t->file.db) != 0)
        return trouble(t);
    if (check_layout(t) != 0 ||
        execute(t, "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY;"
                   "PRAGMA cell_size_check=1") != 0)
        return -1;
    for (size_t i = 0; i < DO_STATEMENTS; i++)
        if (sqlite3_prepare_v3(t->file.db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &t->st[i], NULL) !=
            SQLITE_OK)
            return trouble(t);
    t->known.get = t->st[DO_KNOWN];
    t->known.put = t->st[DO_PUT_KNOWN];
    t->known.drop = t->st[DO_DROP_KNOWN];
    t->opened++;
    return 0;
}

static int ready(struct store_text *t)
{
    if (t->file.db && !t->in_change && !is_ours(t)) /* removed or replaced: that one counts now */
        store_text_rest(t);
    if (t->file.db)
        return 0;
    if (t->not_before && clock_mono_ms() < t->not_before)
        return -1;
    t->not_before = 0;
    return open_database(t);
}

/* --- statements --- */

static int64_t row_id(int64_t folder, uint32_t uid)
{
    return folder << 32 | uid;
}

static sqlite3_stmt *with(struct store_text *t, enum statement n, int64_t a, int64_t b, int64_t c)
{
    sqlite3_stmt *st = t->st[n];
    const int64_t v[] = {a, b, c};
    for (int i = 0; i < sqlite3_bind_parameter_count(st); i++)
        sqlite3_bind_int64(st, i + 1, v[i]);
    return st;
}

/* Runs a statement that gives no row. */
static int run(struct store_text *t, sqlite3_stmt *st)
{
    int r = sqlite3_step(st);
    if (r != SQLITE_DONE)
        return trouble(t);
    sqlite3_reset(st);
    return 0;
}

/* One row, or none: 0 or 1; the caller resets. -1. */
static int get(struct store_text *t, sqlite3_stmt *st)
{
    int r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        return 0;
    if (r != SQLITE_DONE)
        return trouble(t);
    sqlite3_reset(st);
    return 1;
}

uint64_t store_text_version(struct store_text *t)
{
    if (ready(t) != 0 || get(t, t->st[DO_VERSION]) != 0)
        return 0;
    uint64_t v = t->opened << 32 ^ (uint64_t)sqlite3_column_int64(t->st[DO_VERSION], 0);
    sqlite3_reset(t->st[DO_VERSION]);
    return v;
}

static int find_folder(struct store_text *t, const unsigned char guid[16], uint32_t uidvalidity,
                       int64_t *folder, uint32_t *upto)
{
    sqlite3_stmt *st = t->st[DO_FOLDER];
    sqlite3_bind_blob(st, 1, guid, 16, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, uidvalidity);
    int r = get(t, st);
    if (r != 0)
        return r;
    *folder = sqlite3_column_int64(st, 0);
    *upto = (uint32_t)sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    return 0;
}

int store_text_folder(struct store_text *t, const unsigned char guid[16], uint32_t uidvalidity,
                      bool make, int64_t *folder, uint32_t *upto)
{
    *folder = 0;
    *upto = 0;
    if ((!make && !store_text_exists(t)) || ready(t) != 0)
        return make ? -1 : 1;
    int r = find_folder(t, guid, uidvalidity, folder, upto);
    if (r <= 0 || !make)
        return r;
    sqlite3_stmt *st = t->st[DO_NEW_FOLDER];
    sqlite3_bind_blob(st, 1, guid, 16, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, uidvalidity);
    return run(t, st) == 0 ? find_folder(t, guid, uidvalidity, folder, upto) : -1;
}

int store_text_known(struct store_text *t, int64_t folder,
                     void (*fn)(void *ctx, uint32_t uid, uint64_t base), void *ctx)
{
    if (ready(t) != 0)
        return -1;
    if (text_known_each(&t->known, row_id(folder, 0), row_id(folder, UINT32_MAX), fn, ctx) != SQLITE_OK)
        return trouble(t);
    return 0;
}

/* --- looking for text --- */

static size_t char_size(struct str s)
{
    size_t n = 1;
    while (n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* "abc" AND "bcd" AND ...: trigrams of the needle. 0, or -1 when it is too short. */
static int write_query(struct str needle, struct buf *out)
{
    for (unsigned n = 0; n < NEEDLE_TRIGRAMS; n++) {
        struct str rest = needle;
        for (int i = 0; i < 3; i++) {
            if (rest.n == 0)
                return n ? 0 : -1;
            rest = str_skip(rest, char_size(rest));
        }
        buf_str(out, n ? STR(" AND \"") : STR("\""));
        for (const char *p = needle.p; p < rest.p; p++) {
            if (*p == '"')
                buf_byte(out, '"');
            buf_byte(out, *p);
        }
        buf_byte(out, '"');
        needle = str_skip(needle, char_size(needle));
    }
    return 0;
}

static int find_in(struct store_text *t, enum statement n, int64_t folder, const struct buf *query,
                   void (*fn)(void *ctx, uint32_t uid), void *ctx)
{
    int r;
    sqlite3_stmt *st = t->st[n];
    sqlite3_bind_text(st, 1, query->p, (int)query->n, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, row_id(folder, 0));
    sqlite3_bind_int64(st, 3, row_id(folder, UINT32_MAX));
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        fn(ctx, (uint32_t)sqlite3_column_int64(st, 0));
    if (r != SQLITE_DONE && r != SQLITE_ERROR) /* which a query can be the reason of */
        return trouble(t);
    sqlite3_reset(st);
    return r == SQLITE_DONE ? 0 : -1;
}

int store_text_find(struct store_text *t, int64_t folder, unsigned where, struct str needle,
                    void (*fn)(void *ctx, uint32_t uid), void *ctx)
{
    AUTO_BUF query = {0};
    if (write_query(needle, &query) != 0 || ready(t) != 0)
        return -1;
    if ((where & STORE_TEXT_BODY) && find_in(t, DO_FIND_BODY, folder, &query, fn, ctx) != 0)
        return -1;
    return where & STORE_TEXT_HEAD ? find_in(t, DO_FIND_HEAD, folder, &query, fn, ctx) : 0;
}

/* --- changes --- */

int store_text_begin(struct store_text *t)
{
    if (ready(t) != 0 || run(t, t->st[DO_BEGIN]) != 0)
        return -1;
    t->in_change = true;
    t->added = 0;
    return 0;
}

int store_text_commit(struct store_text *t)
{
    if (!t->file.db || !t->in_change)
        return -1;
    if (text_known_write(&t->known) != SQLITE_OK)
        return trouble(t);
    text_known_forget(&t->known);
    /* Once: an UPDATE could be taken back alone, and FTS5 writes out what it holds before each such one. */
    if (t->added && run(t, with(t, DO_COUNT, t->added, 0, 0)) != 0)
        return -1;
    t->in_change = false;
    return run(t, t->st[DO_COMMIT]);
}

/* *had: the index has it already. */
static int set_known(struct store_text *t, int64_t row, uint64_t hash, bool *had)
{
    uint64_t before = 0;
    if (!t->file.db || !t->in_change)
        return -1;
    if (text_known_set(&t->known, row, hash, &before) != SQLITE_OK)
        return trouble(t);
    *had = before != 0;
    return 0;
}

static int add_text(struct store_text *t, enum statement n, int64_t id, struct str text)
{
    sqlite3_stmt *st = t->st[n];
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_text(st, 2, text.n ? text.p : "", (int)text.n, SQLITE_STATIC);
    return run(t, st);
}

int store_text_add(struct store_text *t, int64_t folder, uint32_t uid, uint64_t base,
                   const struct str *head, const struct str *body)
{
    int64_t id = row_id(folder, uid);
    bool had = false;
    if (!t->file.db || !t->in_change)
        return -1;
    if (!head || !body || head->n >= INT_MAX || body->n >= INT_MAX)
        return 0;
    if (set_known(t, id, base ? base : 1, &had) != 0)
        return -1;
    if (had)
        return 0;
    if (add_text(t, DO_ADD_BODY, id, *body) != 0 || add_text(t, DO_ADD_HEAD, id, *head) != 0)
        return -1;
    t->added++;
    return 0;
}

int store_text_set_upto(struct store_text *t, int64_t folder, uint32_t upto)
{
    return t->file.db && t->in_change ? run(t, with(t, DO_UPTO, folder, upto, 0)) : -1;
}

int store_text_drop(struct store_text *t, int64_t folder, const uint32_t *uids, size_t n)
{
    int64_t gone = 0, live, dead;
    for (size_t i = 0; i < n; i++) {
        bool had = false;
        if (set_known(t, row_id(folder, uids[i]), 0, &had) != 0)
            return -1;
        gone += had;
    }
    if (!t->file.db || run(t, with(t, DO_COUNT, -gone, gone, 0)) != 0 || get(t, t->st[DO_ABOUT]) != 0)
        return -1;
    live = sqlite3_column_int64(t->st[DO_ABOUT], 0);
    dead = sqlite3_column_int64(t->st[DO_ABOUT], 1);
    sqlite3_reset(t->st[DO_ABOUT]);
    if (dead <= DEAD_MIN || dead <= live)
        return 0;
    discard(t, "most of its messages are gone");
    t->not_before = 0;
    return -1;
}
