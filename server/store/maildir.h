/*
 * Maildir++ directories and writing messages into them durably.
 *
 * A maildir is a directory descriptor; everything below is relative to it, nothing is followed, only
 * regular files are opened. Runs as the owner. Lines end with LF on disk; a message counts S (bytes on
 * disk) and W (bytes when each LF without a CR before it becomes CR LF). The file's mtime is
 * IMAP's INTERNALDATE.
 */
#ifndef FACTEUR_STORE_MAILDIR_H
#define FACTEUR_STORE_MAILDIR_H

#include "store/fs.h"
#include "store/name.h"

/*
 * Opens the maildir called name (relative, "mailbox") below home_fd (O_PATH is enough). A missing one
 * is made with cur, new, tmp, the folders Sent, Drafts, Trash, Junk and Archive, and these subscribed:
 * complete under a temporary name, then renamed, so a crash leaves no half. *fd is the caller's.
 */
int store_maildir_open(int home_fd, struct str name, bool create, int *fd, struct err *e);

/* Makes cur, new and tmp where they are missing (a maildir someone made by hand). */
int store_maildir_complete(int dir_fd, struct err *e);

/* Removes what lies in tmp/ for more than 36 hours before now (seconds since 1970): what crashed writers
 * left. Opening a mailbox does it. */
int store_maildir_clean(int dir_fd, int64_t now, struct err *e);

/* The time by which the maildir's file system stamps changes (a file server's is another than ours), in
 * nanoseconds since 1970, never ahead of it: that of a touch of tmp/. Our own where that cannot be. */
int64_t store_maildir_now(int dir_fd);

/* ---- one message ---- */
struct store_writer {
    int dir_fd;  /* borrowed: the maildir or folder */
    int fd;      /* the file in tmp/, -1 when none */
    char tmp[160]; /* its name inside tmp/ */
    uint64_t size, vsize, lines;
    int64_t date;    /* seconds since 1970 for mtime; INT64_MIN: leave it as it is */
    uint64_t max;    /* bytes on disk at most; 0: no bound */
    dev_t device;    /* of the file, and its inode: parts of its name */
    ino_t inode;
    bool shared;     /* with other names: a copy by link */
    char last;       /* the last byte written */
    bool cr;         /* a CR at the end of the last chunk is held back */
    char base[224];  /* after a commit: the base name */
};

/* Creates the file in tmp/ (O_EXCL, 0600). */
int store_writer_begin(struct store_writer *w, int dir_fd, struct err *e);
/* Any chunk; CR LF becomes LF, a lone CR or LF stays as it is. */
int store_writer_write(struct store_writer *w, struct str data, struct err *e);
/* Ends the file: date, fsync, close. The name in tmp/ stays; for those that move it themselves. */
int store_writer_finish(struct store_writer *w, struct err *e);
/* Ends the file, moves it to new/, replacing nothing, and makes both durable. At no moment does a name in
 * new/ stand for less than the message, whenever the power goes. On failure nothing is left behind.
 * w->base is the name's base. */
int store_writer_commit_new(struct store_writer *w, struct err *e);
/* Moves a finished file without making the directory durable: the batch form, for many messages and
 * one store_dir_sync of each directory at the end. in_new is ignored with flags or keywords. */
int store_writer_place(struct store_writer *w, bool in_new, uint8_t flags, uint32_t keywords,
                       struct err *e);
/* Removes what is in tmp/. Fine at any time. */
void store_writer_abort(struct store_writer *w);

/* Hard link of an existing message file into tmp/ as a new message with a name of its own (a copy by
 * bytes where a link is refused); finished already. src_dir_fd is cur/ or new/. 0; 1: src is gone; -1. */
int store_writer_link(struct store_writer *w, int dir_fd, int src_dir_fd, const char *src,
                      struct err *e);

/* Counts S and W of an open message file. */
int store_message_count(int fd, uint64_t *size, uint64_t *vsize, struct err *e);

#endif
