/*
 * The index: one SQLite database a user, a cache that can be thrown away at any moment.
 *
 * For each folder, found by the inode of its cur/: what lay in it at a stamp, each message's
 * mod-sequence (RFC 7162), what vanished, and pieces of answers computed before. The file is
 * <maildir>/facteur.index.sqlite, 0600. What keeps it from being used (locked, damaged, an old
 * layout, a full or read-only disk) is never an error for the caller: a function says -1, "not now",
 * and the session works from the maildir. A damaged file is removed and made anew. Several sessions
 * use it at once. Runs as the owner.
 */
#ifndef FACTEUR_STORE_INDEX_H
#define FACTEUR_STORE_INDEX_H

#include "store/folder.h"

struct store_index;

/* One for a session; the database is opened at its first use. root_fd (the maildir) must stay open. */
struct store_index *store_index_new(int root_fd);
void store_index_free(struct store_index *x); /* NULL is fine, here and everywhere below */
/* Writes a long log home, closes the database and gives its memory back; the next use opens it again. */
void store_index_rest(struct store_index *x);
/* What a mailbox leaves for the next one of this session (store_watch_leave); -1: nothing. */
void store_index_leave_watch(struct store_index *x, int fd);
int store_index_take_watch(struct store_index *x);
/* The number that the database in use was born with; 0: none can be used now. Ids of folders mean
 * something only together with it. */
uint64_t store_index_generation(struct store_index *x);
/* The same without looking whether it still lies in the maildir. */
uint64_t store_index_in_use(struct store_index *x);

struct store_index_folder {
    int64_t id;            /* 0: no row yet */
    uint64_t cur_ino;      /* of the folder's cur/ */
    unsigned char guid[16];
    uint32_t uidvalidity, uidnext;
    struct store_stamp stamp; /* what the rows show */
    int64_t taken_ns;      /* when the stamp was looked at, by store_folder_now(); 0: the rows may be behind */
    uint64_t lines;        /* lines of the uidlist at that stamp */
    uint64_t highest;      /* mod-sequence */
    uint64_t logged_since; /* what vanished later than this mod-sequence is in the log */
    uint64_t messages, unseen, deleted, in_new, size; /* size: STORE_SIZE_UNKNOWN when not known */
};

struct store_index_row {
    uint32_t uid, keywords;
    uint64_t size, vsize, modseq;
    int64_t date;          /* INT64_MIN: not known */
    struct str name;       /* the whole file name */
    uint8_t flags;
    bool in_new;
};

/* Is the stamp old enough that no later change can hide behind it? */
bool store_index_believable(const struct store_index_folder *f);

/* 0; 1: it has no such folder (out->id is 0); -1. */
int store_index_folder(struct store_index *x, uint64_t cur_ino, struct store_index_folder *out);
/* Calls fn for each message with a mod-sequence above after, ascending by UID. 0 or -1 (then some
 * may have been given). */
int store_index_rows(struct store_index *x, int64_t folder, uint64_t after,
                     void (*fn)(void *ctx, const struct store_index_row *row), void *ctx);
/* Calls fn for each range of UIDs that vanished after a mod-sequence. */
int store_index_vanished(struct store_index *x, int64_t folder, uint64_t after,
                         void (*fn)(void *ctx, uint32_t first, uint32_t last), void *ctx);

/* Changes stand between these. A failure inside takes all back. begin waits a moment at most. */
int store_index_begin(struct store_index *x);
int store_index_commit(struct store_index *x);
bool store_index_in_change(const struct store_index *x);
void store_index_rollback(struct store_index *x); /* fine when nothing is open */
/* Writes the folder's row; gives it an id that was never in use when it has none (one with the same
 * cur/ is replaced then: clear that one first). */
int store_index_put_folder(struct store_index *x, struct store_index_folder *f);
int store_index_clear_folder(struct store_index *x, int64_t folder);
int store_index_put(struct store_index *x, int64_t folder, const struct store_index_row *row);
/* Removes the messages first to last with all that is known of them, and notes that they vanished. */
int store_index_remove(struct store_index *x, int64_t folder, uint64_t modseq, uint32_t first,
                       uint32_t last);
/* Forgets the oldest half of what vanished when it has become long; *logged_since follows. */
int store_index_trim(struct store_index *x, int64_t folder, uint64_t *logged_since);

/* The next mod-sequence above one (0: above all that were ever given out, those of a lost database
 * included): at least the clock in microseconds. A bound for all of them is kept in
 * <maildir>/facteur.modseq. */
uint64_t store_index_modseq(struct store_index *x, uint64_t above);

/* ---- pieces of answers, by message ---- */
enum store_piece {
    STORE_PIECE_ENVELOPE = 1,
    STORE_PIECE_BODY,
    STORE_PIECE_STRUCTURE,
    STORE_PIECE_FIELDS,  /* the usual header fields */
    STORE_PIECE_PREVIEW,
    STORE_PIECE_ORDER,   /* what SORT and THREAD compare */
    STORE_PIECE_OBJECT,  /* see store_mailbox_object */
    STORE_PIECE_DATES,   /* a block: one piece for STORE_BLOCK messages, found by UID / STORE_BLOCK */
    STORE_PIECES
};
#define STORE_BLOCK 1024u

/* True and a view that is good until the next call of this room. Asked for in rising order of UIDs it
 * costs least. uid: of a block its number. */
bool store_index_piece(struct store_index *x, int64_t folder, enum store_piece kind, uint32_t uid,
                       struct str *out);
/* Remembers a piece; written with others later (store_index_tidy), or now when they are many. Not inside of
 * begin and commit. */
void store_index_keep(struct store_index *x, int64_t folder, enum store_piece kind, uint32_t uid,
                      struct str text);
void store_index_flush(struct store_index *x);
/* What nobody is to wait for: writes pieces. The log stays until the client rests, unless it has become very
 * long. Is there something to do? */
void store_index_tidy(struct store_index *x);
bool store_index_untidy(const struct store_index *x);
/* Forgets what is remembered of a message. Inside begin and commit. */
int store_index_forget(struct store_index *x, int64_t folder, uint32_t uid);
/* Ends the reading that store_index_piece keeps open, so that others' changes are seen. */
void store_index_pause(struct store_index *x);

#endif
