/*
 * An open folder: its directories, UIDs and keywords; the picture of what lies in it; and saving.
 *
 * A picture is what the folder holds at one moment, ordered by UID, and does not care who made it: the
 * scan of the directories here, or an index later. Session views (mailbox.h) are computed from
 * pictures. Every file in a picture has a UID that is on disk. Runs as the owner.
 */
#ifndef FACTEUR_STORE_FOLDER_H
#define FACTEUR_STORE_FOLDER_H

#include "store/folders.h"
#include "store/keywords.h"
#include "store/maildir.h"
#include "store/watch.h"

struct store_folder {
    int root_fd;              /* borrowed */
    int dir_fd, cur_fd, new_fd; /* owned */
    struct store_uidlist uids;
    struct store_keywords keywords;
    struct store_watch *watch;  /* borrowed: who is told of changes made here; may be NULL */
    struct {
        int64_t ahead_ns;         /* of clock_real_us() */
        int64_t real_us, mono_ms; /* when that was found; 0: never */
    } time;                     /* of the file system: see store_folder_now() */
};

/* 0; 1 when there is no such folder; -1 and *e. The folder is the caller's to close. */
int store_folder_open(int root_fd, struct str name, struct store_folder **out, struct err *e);
void store_folder_close(struct store_folder *f); /* NULL is fine */

/* ---- pictures ---- */
struct store_entry {
    uint32_t uid;
    uint32_t keywords;
    uint64_t size, vsize;      /* STORE_SIZE_UNKNOWN when the name does not tell */
    uint32_t name;             /* offset of the whole file name in names, NUL-terminated */
    uint16_t name_len, base_len;
    uint8_t flags;
    bool in_new;               /* lies in new/ */
    bool recent;               /* was in new/ when the picture was made */
};

struct store_stamp { /* what changes whenever a message comes, goes or is renamed */
    int64_t cur_ns, new_ns, list_ns;
    uint64_t list_ino, list_size;
};

struct store_picture {
    uint32_t uidvalidity, uidnext;
    unsigned char guid[16];
    struct store_entry *entry; /* ascending uid */
    size_t count;
    struct buf names;
    struct store_stamp stamp; /* taken before the look */
    bool uneasy; /* cur/ changed during the look: what is missing may only have been renamed */
};

void store_picture_free(struct store_picture *p);
/* A file that the look did not show, of a UID that the picture lacks. Afterwards it has to be sorted. */
void store_picture_add(struct store_picture *p, uint32_t uid, const char *name, bool in_new);
void store_picture_sort(struct store_picture *p);

/* Scans cur/ and new/ and gives UIDs to new files, durably. move_new: files in new/ are moved to
 * cur/ first, as a mail reader does. */
int store_folder_scan(struct store_folder *f, bool move_new, struct store_picture *out, struct err *e);
/* What is known to have changed since all was looked at. */
struct store_part {
    const struct str *names; /* in cur/: came or were renamed; those that are gone again do no harm */
    size_t count;
    size_t limit;            /* files in new/ that are worth it */
    uint32_t (*known)(void *ctx, struct str base); /* UID of a message the caller knows, else 0 */
    void *ctx;
};
/* Looks at new/ and at these names only: the picture has those alone. 0; 1: this is no way to learn
 * it, look at everything; -1. */
int store_folder_scan_part(struct store_folder *f, bool move_new, const struct store_part *part,
                           struct store_picture *out, struct err *e);
/* Gives files that a session has seen vanish, and that came back, new UIDs (they may not reappear
 * with an old one). bases: count base names. */
int store_folder_renumber(struct store_folder *f, const struct str *bases, size_t count, struct err *e);
int store_folder_stamp(const struct store_folder *f, struct store_stamp *out, struct err *e);
/* Of the uidlist alone; the directories' times are 0. */
int store_folder_list_stamp(const struct store_folder *f, struct store_stamp *out, struct err *e);
/* store_maildir_now(), without a touch for every call. */
int64_t store_folder_now(struct store_folder *f);
bool store_stamp_eq(const struct store_stamp *a, const struct store_stamp *b);

struct store_status { /* see store_status() in mailbox.h; RFC 3501 section 6.3.10, RFC 8438 */
    uint32_t uidvalidity, uidnext;
    size_t messages, recent, unseen, deleted;
    uint64_t size; /* of all messages with CR LF; STORE_SIZE_UNKNOWN unless asked for */
    uint64_t highest;       /* mod-sequence; 0: the folder has none now (RFC 7162) */
    uint64_t deleted_size;  /* bytes on disk of those marked deleted */
    unsigned char guid[16]; /* the folder's own, as long as its UIDVALIDITY */
};
/* ---- saving: one or many messages, all or none (APPEND, MULTIAPPEND, COPY) ---- */
struct store_save;

struct store_save *store_save_new(struct store_folder *f); /* f stays open until commit or abort */
/* Starts a message. keywords: names, count of them; those beyond the 26th are refused. date: seconds
 * since 1970. max: bytes on disk, 0 without bound. */
int store_save_begin(struct store_save *s, uint8_t flags, const struct str *keywords, size_t count,
                     int64_t date, uint64_t max, struct err *e);
int store_save_write(struct store_save *s, struct str data, struct err *e);
int store_save_end(struct store_save *s, struct err *e);
/* Adds a copy of a file (src_dir_fd: cur/ or new/ of any folder of this user). 0; 1: it is gone. Keywords
 * that find no letter in the new folder are left out. */
int store_save_copy(struct store_save *s, int src_dir_fd, const char *file, const struct store_entry *as,
                    const struct store_keywords *their, struct err *e);
/* The same, but the file stays where it is until the commit, which is quicker for many. */
int store_save_link(struct store_save *s, int src_dir_fd, const char *file, const struct store_entry *as,
                    const struct store_keywords *their, struct err *e);
/* The copy just added has the content, and so the id, of this message (see store_mailbox_object). */
void store_save_same_as(struct store_save *s, struct str guid);
/* Makes all durable and frees s, also on failure. 0; 1: a file of store_save_link was renamed meanwhile, or
 * cannot be linked: nothing is saved, and store_save_copy is the way; -1. *uids (when not NULL): malloc'd, one a message, in
 * order, ascending; free() it. */
int store_save_commit(struct store_save *s, uint32_t *uidvalidity, uint32_t **uids, size_t *count,
                      struct err *e);
void store_save_abort(struct store_save *s); /* NULL is fine */

#endif
