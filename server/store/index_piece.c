/* Pieces of answers kept in the index. */
#include "store/index_private.h"

#define STEPS_MAX 64                  /* rows passed over before seeking anew */
#define PENDING_MAX ((size_t)4 << 20) /* bytes held back before they are written */
#define PIECE_MAX ((size_t)256 << 10) /* larger ones are cheap enough to compute */

void store_index_pause(struct store_index *x)
{
    if (!x || !x->file.db)
        return;
    for (size_t i = 1; i < STORE_PIECES; i++) {
        sqlite3_reset(x->cursor[i].st);
        x->cursor[i].open = false;
    }
}

/* ---- what is to be written ---- */

static void forget_kind(struct store_index *x, struct index_pending *p)
{
    x->pending_bytes -= p->rows.n;
    p->at = 0;
    buf_clear(&p->rows);
    if (p->rows.cap > PENDING_MAX / 4)
        buf_free(&p->rows);
}

void index_forget_pending(struct store_index *x)
{
    for (size_t i = 0; i < STORE_PIECES; i++) {
        buf_free(&x->pending[i].rows);
        x->pending[i].at = 0;
    }
    x->pending_bytes = 0;
}

/* The row at an offset: its id, what it holds, and the offset of the next one. */
static int64_t row_at(const struct index_pending *p, size_t at, struct str *text, size_t *next)
{
    int64_t id;
    uint64_t n;
    const char *row = p->rows.p + at;
    memcpy(&id, row, sizeof id);
    memcpy(&n, row + sizeof id, sizeof n);
    *text = (struct str){row + sizeof id + sizeof n, (size_t)n};
    *next = at + sizeof id + sizeof n + (size_t)n;
    return id;
}

static int write_kind(struct store_index *x, const struct index_pending *p)
{
    sqlite3_stmt *st = x->st[INDEX_PUT_PIECE];
    struct str text;
    for (size_t at = 0; at < p->rows.n;) {
        sqlite3_bind_int64(st, 1, row_at(p, at, &text, &at));
        sqlite3_bind_blob64(st, 2, text.p, text.n, SQLITE_STATIC);
        if (index_run(x, INDEX_PUT_PIECE) != 0)
            return -1;
    }
    return 0;
}

int index_write_pending(struct store_index *x)
{
    int r = 0;
    for (size_t i = 0; i < STORE_PIECES && r == 0 && x->pending_bytes; i++) {
        r = write_kind(x, &x->pending[i]);
        forget_kind(x, &x->pending[i]);
    }
    return r;
}

/* Kinds first to last. What cannot be written is forgotten: it can be computed again. */
static void flush_kinds(struct store_index *x, size_t first, size_t last)
{
    int r = store_index_begin(x);
    bool begun = r == 0;
    for (size_t i = first; i <= last && r == 0; i++)
        r = write_kind(x, &x->pending[i]);
    if (begun && (r != 0 || store_index_commit(x) != 0))
        store_index_rollback(x);
    for (size_t i = first; i <= last; i++)
        forget_kind(x, &x->pending[i]);
}

void store_index_flush(struct store_index *x)
{
    if (x && x->pending_bytes)
        flush_kinds(x, 0, STORE_PIECES - 1);
}

void store_index_keep(struct store_index *x, int64_t folder, enum store_piece kind, uint32_t uid,
                      struct str text)
{
    int64_t id = index_piece_id(folder, (unsigned)kind, uid);
    uint64_t n = text.n;
    if (!x || !folder || text.n == 0 || text.n > PIECE_MAX || x->in_change)
        return;
    struct index_pending *p = &x->pending[kind];
    if (p->rows.n && id <= p->last)
        flush_kinds(x, kind, kind);
    if (p->rows.n == 0)
        p->first = id;
    p->last = id;
    size_t before = p->rows.n;
    buf_add(&p->rows, &id, sizeof id);
    buf_add(&p->rows, &n, sizeof n);
    buf_str(&p->rows, text);
    x->pending_bytes += p->rows.n - before;
    if (x->pending_bytes > PENDING_MAX)
        store_index_flush(x);
}

/* ---- looking ---- */

/* What is asked for may be among what is to be written. */
static bool find_pending(struct index_pending *p, int64_t id, struct str *out)
{
    size_t next;
    if (p->rows.n == 0 || id < p->first || id > p->last)
        return false;
    if (p->at >= p->rows.n || row_at(p, p->at, out, &next) > id)
        p->at = 0;
    while (p->at < p->rows.n) {
        int64_t found = row_at(p, p->at, out, &next);
        if (found >= id)
            return found == id;
        p->at = next;
    }
    return false;
}

/* -1 after trouble. */
static int step(struct store_index *x, struct index_cursor *c)
{
    int r = sqlite3_step(c->st);
    if (r == SQLITE_ROW) {
        c->at = sqlite3_column_int64(c->st, 0);
        return 0;
    }
    if (r != SQLITE_DONE)
        return index_trouble(x);
    sqlite3_reset(c->st);
    c->at = INT64_MAX;
    return 0;
}

static int seek(struct store_index *x, struct index_cursor *c, int64_t id)
{
    sqlite3_reset(c->st);
    sqlite3_bind_int64(c->st, 1, id);
    sqlite3_bind_int64(c->st, 2, id | UINT32_MAX);
    c->open = true;
    c->sought = id;
    return step(x, c);
}

bool store_index_piece(struct store_index *x, int64_t folder, enum store_piece kind, uint32_t uid,
                       struct str *out)
{
    int64_t id = index_piece_id(folder, (unsigned)kind, uid);
    if (!folder || !x || (!x->file.db && index_ready(x) != 0))
        return false;
    if (find_pending(&x->pending[kind], id, out))
        return true;
    struct index_cursor *c = &x->cursor[kind];
    if (c->open && id >= c->sought && id >> 32 == c->sought >> 32)
        for (int i = 0; c->at < id && i < STEPS_MAX; i++)
            if (step(x, c) != 0)
                return false;
    if ((!c->open || id < c->sought || id >> 32 != c->sought >> 32 || c->at < id) &&
        seek(x, c, id) != 0)
        return false;
    if (c->at != id)
        return false;
    const void *p = sqlite3_column_blob(c->st, 1);
    *out = (struct str){p, (size_t)sqlite3_column_bytes(c->st, 1)};
    return p != NULL;
}
