/*
 * The view of a folder that an IMAP or POP3 session holds, with stable sequence numbers.
 *
 * Messages are numbered by their place in the view (seq - 1). store_mailbox_sync looks at the folder
 * and tells what changed; a message that vanished stays in its place, marked gone, until a sync that is
 * allowed to take it out (RFC 3501 section 7.4.1 forbids EXPUNGE during FETCH, STORE and SEARCH).
 * The view is loaded from the index where that is up to date, and from the directories otherwise; with
 * an index every message has a mod-sequence (RFC 7162).
 */
#ifndef FACTEUR_STORE_MAILBOX_H
#define FACTEUR_STORE_MAILBOX_H

#include "store/folder.h"
#include "store/index.h"

#define STORE_DATE_UNKNOWN INT64_MIN

struct store_msg {
    uint32_t uid;
    uint32_t keywords;         /* bit n: store_mailbox_keyword(mb, n) */
    uint64_t size, vsize;      /* on disk; with CR LF (RFC822.SIZE): see store_mailbox_measure */
    int64_t date;              /* INTERNALDATE, seconds since 1970, or STORE_DATE_UNKNOWN */
    uint64_t modseq;           /* 0 when the mailbox has none */
    uint32_t name;             /* offset in the view's names */
    uint8_t name_len, base_len;
    uint8_t flags;             /* STORE_ bits */
    bool recent : 1, in_new : 1;
    bool gone : 1;             /* no longer in the folder; content cannot be had */
    bool news : 1;             /* flags changed and no sync has told so yet */
    bool changed : 1, dated : 1, stale : 1, rebased : 1, logged : 1, blank : 1; /* the view's own */
};

struct store_changes { /* belongs to the mailbox, valid until the next sync */
    /* In the order to be sent: highest first, so that each number is right when it is read. */
    const uint32_t *expunged_seq, *expunged_uid;
    size_t expunged;
    size_t waiting;          /* messages that are gone and have to stay in the view for now */
    const uint32_t *flagged; /* sequence numbers after the expunges, ascending: flags differ now */
    size_t flag_count;
    size_t exists, recent;   /* after the changes */
    bool exists_grew;        /* new messages at the end: send EXISTS (and RECENT) */
    bool keywords_changed;   /* new keyword names: send FLAGS */
};

struct store_mailbox;

/* Opens and looks. read_only (EXAMINE): nothing is moved from new/ and nothing can be changed. index may
 * be NULL. 0; 1 when there is no such folder; -1 and *e. root_fd and the index must stay open. */
int store_mailbox_open(int root_fd, struct str name, bool read_only, struct store_index *index,
                       struct store_mailbox **out, struct err *e);
/* The same for a session that needs no news and is soon over (POP3): nothing is watched, and the index is
 * opened only where there are so many messages that this is quicker than reading the maildir. */
int store_mailbox_open_once(int root_fd, struct str name, struct store_index *index,
                            struct store_mailbox **out, struct err *e);
void store_mailbox_close(struct store_mailbox *mb); /* NULL is fine */

/* How many messages opening, or the last sync, told of. What came into the view since has no number before it
 * is told (RFC 9051 7.4.1). */
size_t store_mailbox_count(const struct store_mailbox *mb);
/* index is seq - 1. The pointer is good until the next call that takes a mailbox that is not const: any
 * of them may look at the folder and find more messages. */
const struct store_msg *store_mailbox_at(const struct store_mailbox *mb, size_t index);
/* Index of the message with this UID, or of the first with a larger one (== count: none); *exact tells. */
size_t store_mailbox_find(const struct store_mailbox *mb, uint32_t uid, bool *exact);
size_t store_mailbox_recent(const struct store_mailbox *mb);
/* Index of the first message without \Seen; count when there is none. */
size_t store_mailbox_first_unseen(const struct store_mailbox *mb);
uint32_t store_mailbox_uidvalidity(const struct store_mailbox *mb);
uint32_t store_mailbox_uidnext(const struct store_mailbox *mb);
const unsigned char *store_mailbox_guid(const struct store_mailbox *mb); /* 16 bytes, MAILBOXID */
struct str store_mailbox_base(const struct store_mailbox *mb, size_t index);
/* What names the content of a message: the same for it and its copies (RFC 8474 5.1). Its base name
 * without sizes, or what the uidlist says of a copy. A view, good until the next call of any kind. */
struct str store_mailbox_object(struct store_mailbox *mb, size_t index);
/* When it was saved in this mailbox, seconds since 1970 (RFC 8514 3), as the file's name says; or
 * STORE_DATE_UNKNOWN when it was named by a program with ways of its own. */
int64_t store_mailbox_saved(const struct store_mailbox *mb, size_t index);
bool store_mailbox_read_only(const struct store_mailbox *mb);
struct store_folder *store_mailbox_folder(struct store_mailbox *mb);

/* Cheap: may anything have changed since the last look? On trouble true. */
bool store_mailbox_changed(struct store_mailbox *mb);
/* Milliseconds until a look is due although nothing shows (after changes of our own, behind which
 * others' can hide for a second): 0 now, -1 none. For IDLE: wait for inotify, at most this long. */
int store_mailbox_due_ms(const struct store_mailbox *mb);
/* A descriptor that polls readable when others may have changed something; -1: cannot be had. */
int store_mailbox_watch(const struct store_mailbox *mb);
/* Looks when something changed, and merges. expunge: gone messages leave the view. A UIDVALIDITY that
 * changed meanwhile, or a folder that was deleted, is a permanent *e: the session has to end. */
int store_mailbox_sync(struct store_mailbox *mb, bool expunge, const struct store_changes **out,
                       struct err *e);

/* ---- mod-sequences (RFC 7162) ---- */
/* HIGHESTMODSEQ; 0 when mod-sequences cannot be kept (NOMODSEQ). */
uint64_t store_mailbox_highest(const struct store_mailbox *mb);
/* Writes what changed to the index: after store and expunge calls, before their mod-sequences are told.
 * bulk: writes also what was left for a quiet moment (a first look at a large folder). */
void store_mailbox_settle(struct store_mailbox *mb, bool bulk);
/* The same after changes of flags whose mod-sequences nobody is told now: they are left for a quiet moment, so that the
 * answer does not wait for them, and many cost no more than one. */
void store_mailbox_settle_later(struct store_mailbox *mb);
/* Is something left for a quiet moment? */
bool store_mailbox_unsettled(const struct store_mailbox *mb);
/* Calls fn for ranges of UIDs that vanished after a mod-sequence, unordered; they may overlap, and hold
 * UIDs that never were. UIDs of messages that are there are not among them when the caller leaves those out. */
void store_mailbox_vanished(struct store_mailbox *mb, uint64_t since,
                            void (*fn)(void *ctx, uint32_t first, uint32_t last), void *ctx);
/* Around a check of mod-sequences and the changes that hang on it, so that no other session comes between
 * (RFC 7162 3.1.3). 0; 1 when the index is not to be had now: the check is still made. settle ends it. */
int store_mailbox_guard(struct store_mailbox *mb);

/* ---- pieces of answers that the index keeps ---- */
/* Before a command that asks for pieces of many messages: they need the rows that a first look left for a
 * quiet moment. */
void store_mailbox_prepare(struct store_mailbox *mb);
bool store_mailbox_piece(struct store_mailbox *mb, size_t index, enum store_piece kind,
                         struct str *out); /* good until the next call of this room */
void store_mailbox_keep(struct store_mailbox *mb, size_t index, enum store_piece kind, struct str text);
/* The same for a block of messages (store/index.h). Not of every message may be told, or believed, what is
 * said there. */
bool store_mailbox_in_blocks(const struct store_mailbox *mb, size_t index);
bool store_mailbox_block(struct store_mailbox *mb, uint32_t number, enum store_piece kind,
                         struct str *out);
void store_mailbox_keep_block(struct store_mailbox *mb, uint32_t number, enum store_piece kind,
                              struct str text);

/* Gives memory back, for a session that is going to wait. */
void store_mailbox_rest(struct store_mailbox *mb);

/* ---- views without messages in memory ---- */
/* Keeps no more than which UIDs the client knows, for a long wait; false when the index lacks something of
 * the view now, or changes are not told yet. Until store_mailbox_wake, only what follows may be called:
 * changed, due_ms, watch, sync (which wakes it when something changed), the names of keywords, write_known,
 * close. */
bool store_mailbox_sleep(struct store_mailbox *mb);
bool store_mailbox_asleep(const struct store_mailbox *mb);
/* The messages are there again; what changed meanwhile is told by the next sync. 0, or -1 and *e, as sync.
 * Nothing to do when it is awake. */
int store_mailbox_wake(struct store_mailbox *mb, struct err *e);
/* Appends what the client knows, in a form for store_mailbox_resume. told: the mod-sequence up to which all
 * changes were told. Right after a sync. */
void store_mailbox_write_known(const struct store_mailbox *mb, uint64_t told, struct buf *out);
/* Opens a mailbox in place of a view that is gone: numbers are as its client knows them. It is asleep, and
 * the first sync tells what changed. Arguments and result as store_mailbox_open; a UIDVALIDITY that changed
 * is a permanent *e when it wakes. */
int store_mailbox_resume(int root_fd, struct str name, bool read_only, struct store_index *index,
                         struct str known, struct store_mailbox **out, struct err *e);

/* STATUS of a folder, from the index alone where it is up to date. 0; 1: no such folder; -1 and *e. kept (may be
 * NULL): a view for the next question, NULL at first, which the caller closes before the index. */
enum { STORE_STATUS_SIZE = 1, STORE_STATUS_DELETED_SIZE = 2 };
int store_status(int root_fd, struct str name, struct store_index *index, struct store_mailbox **kept,
                 unsigned want, struct store_status *out, struct err *e);

/* ---- keywords ---- */
struct str store_mailbox_keyword(const struct store_mailbox *mb, unsigned bit); /* empty: none */
int store_mailbox_keyword_find(const struct store_mailbox *mb, struct str name); /* bit or -1 */
int store_mailbox_keyword_add(struct store_mailbox *mb, struct str name, unsigned *bit, struct err *e);

/* ---- messages: 0; 1 when the message is gone (it is marked so); -1 and *e ---- */
/* Opens its file; st may be NULL. */
int store_mailbox_read(struct store_mailbox *mb, size_t index, int *fd, struct stat *st, struct err *e);
/* Makes size, vsize and date of the message known. What the name says is believed when S fits the file;
 * who sends the content should still count what is sent. */
int store_mailbox_measure(struct store_mailbox *mb, size_t index, struct err *e);

enum store_op { STORE_OP_SET, STORE_OP_ADD, STORE_OP_REMOVE };
/* Changes flags and keywords by renaming the file; the view has them at once, without a change to be
 * told by the next sync. Works on what the file name says now, not on what the view believed. */
int store_mailbox_store(struct store_mailbox *mb, size_t index, enum store_op op, uint8_t flags,
                        uint32_t keywords, struct err *e);
/* Has the next sync tell the message's flags, though nobody else changed them. */
void store_mailbox_announce(struct store_mailbox *mb, size_t index);
/* Removes the file; the message is gone from the view at the next sync that may expunge. */
int store_mailbox_expunge(struct store_mailbox *mb, size_t index, struct err *e);

/* Copies messages (indexes, ascending) to another folder of this user, all or none, keeping flags,
 * keywords and dates. move: then removes the originals. Gone messages are left out: src_uids and dst_uids
 * (malloc'd, *copied entries each; free() them) name what was done (COPYUID, RFC 4315). */
int store_mailbox_copy(struct store_mailbox *mb, const size_t *indexes, size_t count,
                       struct store_folder *to, bool move, uint32_t *uidvalidity, uint32_t **src_uids,
                       uint32_t **dst_uids, size_t *copied, struct err *e);

#endif
