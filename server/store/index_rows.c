/* The index's folders, messages, and what vanished. */
#include "store/index_private.h"
#include "base/clock.h"

#define TICK_NS 20000000 /* directory times may be as coarse as this */
#define VANISHED_MAX 20000

#define HEAD 30 /* bytes of a message's row before its name */

bool store_index_believable(const struct store_index_folder *f)
{
    int64_t last = f->stamp.cur_ns > f->stamp.new_ns ? f->stamp.cur_ns : f->stamp.new_ns;
    return f->id && f->taken_ns - last > TICK_NS;
}

/* ---- folders ---- */

static void read_folder(sqlite3_stmt *st, struct store_index_folder *f)
{
    int c = 3;
    *f = (struct store_index_folder){.id = sqlite3_column_int64(st, 0),
                                     .cur_ino = (uint64_t)sqlite3_column_int64(st, 1)};
    if (sqlite3_column_bytes(st, 2) == (int)sizeof f->guid)
        memcpy(f->guid, sqlite3_column_blob(st, 2), sizeof f->guid);
    f->uidvalidity = (uint32_t)sqlite3_column_int64(st, c++);
    f->uidnext = (uint32_t)sqlite3_column_int64(st, c++);
    f->stamp.cur_ns = sqlite3_column_int64(st, c++);
    f->stamp.new_ns = sqlite3_column_int64(st, c++);
    f->stamp.list_ns = sqlite3_column_int64(st, c++);
    f->stamp.list_ino = (uint64_t)sqlite3_column_int64(st, c++);
    f->stamp.list_size = (uint64_t)sqlite3_column_int64(st, c++);
    f->taken_ns = sqlite3_column_int64(st, c++);
    f->lines = (uint64_t)sqlite3_column_int64(st, c++);
    f->highest = (uint64_t)sqlite3_column_int64(st, c++);
    f->logged_since = (uint64_t)sqlite3_column_int64(st, c++);
    f->messages = (uint64_t)sqlite3_column_int64(st, c++);
    f->unseen = (uint64_t)sqlite3_column_int64(st, c++);
    f->deleted = (uint64_t)sqlite3_column_int64(st, c++);
    f->in_new = (uint64_t)sqlite3_column_int64(st, c++);
    f->size = (uint64_t)sqlite3_column_int64(st, c++);
}

int store_index_folder(struct store_index *x, uint64_t cur_ino, struct store_index_folder *out)
{
    *out = (struct store_index_folder){0};
    if (index_ready(x) != 0)
        return -1;
    sqlite3_stmt *st = x->st[INDEX_FOLDER];
    sqlite3_bind_int64(st, 1, (int64_t)cur_ino);
    int r = sqlite3_step(st);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return index_trouble(x);
    if (r == SQLITE_ROW)
        read_folder(st, out);
    sqlite3_reset(st);
    return r == SQLITE_ROW ? 0 : 1;
}

int store_index_put_folder(struct store_index *x, struct store_index_folder *f)
{
    const int64_t rest[] = {
        f->uidvalidity, f->uidnext, f->stamp.cur_ns, f->stamp.new_ns, f->stamp.list_ns,
        (int64_t)f->stamp.list_ino, (int64_t)f->stamp.list_size, f->taken_ns, (int64_t)f->lines,
        (int64_t)f->highest, (int64_t)f->logged_since, (int64_t)f->messages, (int64_t)f->unseen,
        (int64_t)f->deleted, (int64_t)f->in_new, (int64_t)f->size};
    sqlite3_stmt *st = x->st[INDEX_PUT_FOLDER];
    if (f->id)
        sqlite3_bind_int64(st, 1, f->id);
    sqlite3_bind_int64(st, 2, (int64_t)f->cur_ino);
    sqlite3_bind_blob(st, 3, f->guid, sizeof f->guid, SQLITE_STATIC);
    for (int i = 0; i < (int)(sizeof rest / sizeof *rest); i++)
        sqlite3_bind_int64(st, 4 + i, rest[i]);
    if (index_run(x, INDEX_PUT_FOLDER) != 0)
        return -1;
    if (f->id)
        return 0;
    f->id = sqlite3_last_insert_rowid(x->file.db);
    return 0;
}

static int run_range(struct store_index *x, enum index_statement n, int64_t first, int64_t last)
{
    sqlite3_bind_int64(x->st[n], 1, first);
    sqlite3_bind_int64(x->st[n], 2, last);
    return index_run(x, n);
}

int store_index_clear_folder(struct store_index *x, int64_t folder)
{
    if (index_write_pending(x) != 0)
        return -1;
    sqlite3_bind_int64(x->st[INDEX_CLEAR_VANISHED], 1, folder);
    if (index_run(x, INDEX_CLEAR_VANISHED) != 0 ||
        run_range(x, INDEX_CLEAR_FOLDER, index_message_id(folder, 0),
                  index_message_id(folder, UINT32_MAX)) != 0)
        return -1;
    return run_range(x, INDEX_CLEAR_PIECES, index_piece_id(folder, 0, 0),
                     index_piece_id(folder, 15, UINT32_MAX));
}

/* ---- messages ---- */

static void put(char **p, const void *v, size_t n)
{
    memcpy(*p, v, n);
    *p += n;
}

static size_t pack(const struct store_index_row *row, char out[HEAD + STORE_NAME_MAX])
{
    char *p = out;
    uint8_t bits = row->in_new;
    put(&p, &row->flags, 1);
    put(&p, &bits, 1);
    put(&p, &row->keywords, 4);
    put(&p, &row->size, 8);
    put(&p, &row->vsize, 8);
    put(&p, &row->date, 8);
    put(&p, row->name.p, row->name.n);
    return (size_t)(p - out);
}

static bool unpack(struct store_index_row *row, struct str data)
{
    if (data.n <= HEAD || data.n > HEAD + STORE_NAME_MAX)
        return false;
    row->flags = (uint8_t)data.p[0];
    row->in_new = data.p[1] != 0;
    memcpy(&row->keywords, data.p + 2, 4);
    memcpy(&row->size, data.p + 6, 8);
    memcpy(&row->vsize, data.p + 14, 8);
    memcpy(&row->date, data.p + 22, 8);
    row->name = str_skip(data, HEAD);
    return true;
}

int store_index_rows(struct store_index *x, int64_t folder, uint64_t after,
                     void (*fn)(void *, const struct store_index_row *), void *ctx)
{
    int r;
    if (index_ready(x) != 0)
        return -1;
    sqlite3_stmt *st = x->st[after ? INDEX_ROWS : INDEX_ALL_ROWS];
    sqlite3_bind_int64(st, 1, (int64_t)after);
    sqlite3_bind_int64(st, 2, index_message_id(folder, 0));
    sqlite3_bind_int64(st, 3, index_message_id(folder, UINT32_MAX));
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_index_row row = {.uid = (uint32_t)sqlite3_column_int64(st, 0),
                                      .modseq = (uint64_t)sqlite3_column_int64(st, 1)};
        const char *data = sqlite3_column_blob(st, 2);
        if (unpack(&row, (struct str){data, (size_t)sqlite3_column_bytes(st, 2)}))
            fn(ctx, &row);
    }
    if (r != SQLITE_DONE)
        return index_trouble(x);
    sqlite3_reset(st);
    return 0;
}

int store_index_put(struct store_index *x, int64_t folder, const struct store_index_row *row)
{
    char data[HEAD + STORE_NAME_MAX];
    sqlite3_stmt *st = x->st[INDEX_PUT];
    size_t n = pack(row, data);
    sqlite3_bind_int64(st, 1, index_message_id(folder, row->uid));
    sqlite3_bind_int64(st, 2, (int64_t)row->modseq);
    sqlite3_bind_blob(st, 3, data, (int)n, SQLITE_STATIC);
    return index_run(x, INDEX_PUT);
}

static int remove_pieces(struct store_index *x, int64_t folder, uint32_t first, uint32_t last)
{
    if (index_write_pending(x) != 0)
        return -1;
    for (unsigned kind = 1; kind < STORE_PIECE_DATES; kind++)
        if (run_range(x, INDEX_REMOVE_PIECES, index_piece_id(folder, kind, first),
                      index_piece_id(folder, kind, last)) != 0)
            return -1;
    return 0;
}

/* Removes a block of which no message is left. */
static int remove_empty_block(struct store_index *x, int64_t folder, uint32_t block)
{
    sqlite3_stmt *st = x->st[INDEX_REMOVE_BLOCK];
    sqlite3_bind_int64(st, 1, index_piece_id(folder, STORE_PIECE_DATES, block));
    sqlite3_bind_int64(st, 2, index_message_id(folder, block * STORE_BLOCK));
    sqlite3_bind_int64(st, 3, index_message_id(folder, block * STORE_BLOCK + (STORE_BLOCK - 1)));
    return index_run(x, INDEX_REMOVE_BLOCK);
}

/* What blocks know of messages that are gone does no harm: a UID is never given again. */
static int remove_blocks(struct store_index *x, int64_t folder, uint32_t first, uint32_t last)
{
    first /= STORE_BLOCK;
    last /= STORE_BLOCK;
    if (last - first > 1 &&
        run_range(x, INDEX_REMOVE_PIECES, index_piece_id(folder, STORE_PIECE_DATES, first + 1),
                  index_piece_id(folder, STORE_PIECE_DATES, last - 1)) != 0)
        return -1;
    if (last != first && remove_empty_block(x, folder, last) != 0)
        return -1;
    return remove_empty_block(x, folder, first);
}

int store_index_forget(struct store_index *x, int64_t folder, uint32_t uid)
{
    int64_t block = index_piece_id(folder, STORE_PIECE_DATES, uid / STORE_BLOCK);
    return remove_pieces(x, folder, uid, uid) == 0 ? run_range(x, INDEX_REMOVE_PIECES, block, block)
                                                   : -1;
}

int store_index_remove(struct store_index *x, int64_t folder, uint64_t modseq, uint32_t first,
                       uint32_t last)
{
    sqlite3_stmt *st = x->st[INDEX_PUT_VANISHED];
    if (run_range(x, INDEX_REMOVE, index_message_id(folder, first),
                  index_message_id(folder, last)) != 0 ||
        remove_pieces(x, folder, first, last) != 0 || remove_blocks(x, folder, first, last) != 0)
        return -1;
    sqlite3_bind_int64(st, 1, folder);
    sqlite3_bind_int64(st, 2, (int64_t)modseq);
    sqlite3_bind_int64(st, 3, first);
    sqlite3_bind_int64(st, 4, last);
    return index_run(x, INDEX_PUT_VANISHED);
}

int store_index_vanished(struct store_index *x, int64_t folder, uint64_t after,
                         void (*fn)(void *, uint32_t, uint32_t), void *ctx)
{
    int r;
    if (index_ready(x) != 0)
        return -1;
    sqlite3_stmt *st = x->st[INDEX_VANISHED];
    sqlite3_bind_int64(st, 1, folder);
    sqlite3_bind_int64(st, 2, (int64_t)after);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        fn(ctx, (uint32_t)sqlite3_column_int64(st, 0), (uint32_t)sqlite3_column_int64(st, 1));
    if (r != SQLITE_DONE)
        return index_trouble(x);
    sqlite3_reset(st);
    return 0;
}

static int number_of(struct store_index *x, enum index_statement n, int64_t a, int64_t b,
                     int64_t *out)
{
    sqlite3_stmt *st = x->st[n];
    if (a >= 0)
        sqlite3_bind_int64(st, 1, a);
    if (b >= 0)
        sqlite3_bind_int64(st, 2, b);
    int r = sqlite3_step(st);
    *out = r == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return index_trouble(x);
    sqlite3_reset(st);
    return 0;
}

int store_index_trim(struct store_index *x, int64_t folder, uint64_t *logged_since)
{
    int64_t count, at;
    if (number_of(x, INDEX_COUNT_VANISHED, folder, -1, &count) != 0)
        return -1;
    if (count <= VANISHED_MAX)
        return 0;
    if (number_of(x, INDEX_TRIM_AT, folder, count / 2, &at) != 0 ||
        run_range(x, INDEX_TRIM, folder, at) != 0)
        return -1;
    *logged_since = (uint64_t)at > *logged_since ? (uint64_t)at : *logged_since;
    return 0;
}

/* ---- mod-sequences ---- */

#define FLOOR_FILE "facteur.modseq"
#define FLOOR_STEP UINT64_C(3600000000) /* an hour in microseconds */

uint64_t index_floor(const struct store_index *x)
{
    AUTO_BUF text = {0};
    uint64_t v = 0;
    if (store_file_read(x->root_fd, FLOOR_FILE, &text, 64, NULL) != 0 ||
        str_u64(str_trim(buf_view(&text)), &v) != 0 || v > INT64_MAX / 2)
        return 0;
    return v;
}

static void raise_floor(struct store_index *x, uint64_t above)
{
    AUTO_BUF text = {0};
    uint64_t there = index_floor(x), bound = above + FLOOR_STEP;
    bound = bound > there ? bound : there;
    buf_printf(&text, "%llu\n", (unsigned long long)bound);
    if (store_file_replace(x->root_fd, FLOOR_FILE, buf_view(&text), NULL) == 0)
        x->floor = bound;
}

/*
 * Mod-sequences follow the clock, so that those of a database made anew are larger than those of the
 * one that was lost. The file holds a bound that none has passed, for a clock that was set back.
 */
uint64_t store_index_modseq(struct store_index *x, uint64_t above)
{
    uint64_t now = (uint64_t)clock_real_us();
    int64_t largest = 0;
    if (x && above == 0 && index_ready(x) == 0 && number_of(x, INDEX_LARGEST, -1, -1, &largest) == 0)
        above = (uint64_t)largest;
    uint64_t next = now > above ? now : above + 1;
    if (x && x->floor == 0)
        x->floor = index_floor(x);
    if (x && next > x->floor)
        raise_floor(x, next);
    return next;
}
