/* What the files of the index share. */
#ifndef FACTEUR_STORE_INDEX_PRIVATE_H
#define FACTEUR_STORE_INDEX_PRIVATE_H

#include "store/database.h"
#include "store/index.h"

enum index_statement {
    INDEX_BEGIN, INDEX_COMMIT, INDEX_ROLLBACK,
    INDEX_FOLDER, INDEX_PUT_FOLDER, INDEX_ALL_ROWS, INDEX_ROWS, INDEX_PUT, INDEX_REMOVE,
    INDEX_CLEAR_FOLDER, INDEX_CLEAR_VANISHED, INDEX_CLEAR_PIECES, INDEX_REMOVE_PIECES,
    INDEX_VANISHED, INDEX_PUT_VANISHED, INDEX_COUNT_VANISHED, INDEX_TRIM_AT, INDEX_TRIM,
    INDEX_LARGEST, INDEX_PUT_PIECE, INDEX_REMOVE_BLOCK, INDEX_STATEMENTS
};

struct index_pending { /* pieces of one kind to be written: id, size, bytes, one after the other */
    struct buf rows;     /* ids rise */
    int64_t first, last; /* of the ids */
    size_t at;           /* where a search goes on */
};

struct index_cursor { /* an open reading of pieces of one kind */
    sqlite3_stmt *st;
    int64_t at;        /* id of the row at hand; INT64_MAX: there are no more */
    int64_t sought;    /* ids from here on were looked through up to at */
    bool open;
};

struct store_index {
    int root_fd;
#define INDEX_WATCHES 2 /* of the selected mailbox, and of what STATUS keeps */
    int watch_fd[INDEX_WATCHES]; /* see store_index_leave_watch */
    struct store_database file;
    sqlite3_stmt *st[INDEX_STATEMENTS];
    struct index_cursor cursor[STORE_PIECES];
    uint64_t generation;
    int64_t not_before;  /* monotonic ms: do not try again earlier */
    unsigned discarded;  /* damaged files removed by this session */
    bool in_change;
    int log_frames;      /* pages in the write-ahead log after the last change */
    uint64_t floor;      /* of mod-sequences, as the file has it; 0: not read yet */
    struct index_pending pending[STORE_PIECES];
    size_t pending_bytes;
};

/* Makes sure that the database is open, and is the one that lies in the maildir: 0 or -1. */
int index_ready(struct store_index *x);
/* After a failed call of SQLite: closes, discards or waits, as the error asks for. Returns -1. */
int index_trouble(struct store_index *x);
/* The bound that no mod-sequence has passed, as the file has it. */
uint64_t index_floor(const struct store_index *x);
/* Forgets the pieces that are to be written; or writes them inside a change, before some are removed. */
void index_forget_pending(struct store_index *x);
int index_write_pending(struct store_index *x);
/* Runs a statement that gives no row, and makes it ready again: 0 or -1. */
int index_run(struct store_index *x, enum index_statement n);

static inline int64_t index_message_id(int64_t folder, uint32_t uid)
{
    return folder << 32 | uid;
}

static inline int64_t index_piece_id(int64_t folder, unsigned kind, uint32_t uid)
{
    return folder << 36 | (int64_t)kind << 32 | uid;
}

#endif
