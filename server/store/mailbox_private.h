/* What the files of the session view share. */
#ifndef FACTEUR_STORE_MAILBOX_PRIVATE_H
#define FACTEUR_STORE_MAILBOX_PRIVATE_H

#include "store/mailbox.h"

struct mailbox_memo { /* mailbox_recall.c */
    struct buf uids, recent; /* packed */
    size_t waiting;          /* of them gone, which the client does not know */
    uint64_t told;           /* changes up to this mod-sequence are told */
};

struct mailbox_missing {
    uint32_t uid;
    unsigned looks; /* in a row, which did not see it */
};
struct mailbox_doubt { /* mailbox_doubt.c: what the last look at everything did not see */
    struct mailbox_missing *v; /* ascending uid; NULL: there is no doubt */
    size_t n;
};

struct mailbox_ahead { /* mailbox_ahead.c */
    size_t last, upto; /* the message read last, and the first that is not asked for yet */
    unsigned run;      /* messages read in their order */
    long blocks;       /* read from disks, at the last look */
    bool cold;
};

struct store_mailbox {
    struct store_folder *folder;
    struct store_index *index;
    struct store_watch watch;
    bool read_only, loaded;
    bool partly; /* the last look was not at everything */
    struct store_msg *msg; /* ascending uid */
    size_t count, cap;
    struct buf names; /* file names, each with a NUL; old ones stay until they are many */
    size_t names_dead;
    uint32_t uidvalidity, uidnext, max_uid; /* max_uid: the largest that was ever in this view */
    unsigned char guid[16];

    struct store_stamp stamp; /* what the view shows */
    int64_t taken_ns;   /* when that stamp was looked at; 0: a change may hide behind it */
    int64_t stamp_at;   /* monotonic ms: compare the whole stamp then, though the watch is silent */
    int64_t recheck_at; /* monotonic ms: look then, whatever the stamp says; 0: no need */

    /* What the index has of this view. */
    uint64_t generation, cur_ino;
    int64_t folder_id;
    uint64_t known;         /* all that the index had up to this mod-sequence is in the view */
    uint64_t highest;       /* HIGHESTMODSEQ */
    uint64_t provisional;   /* a mod-sequence that was given out and is not in the index yet */
    uint64_t logged_since;
    size_t lost_dated;      /* bytes of lost that highest counts already */
    struct buf lost;        /* UIDs that left the view and are not in the index's log yet */
    bool unwritten;         /* messages with changed, stale or gone that the index lacks */
    bool measured;          /* sizes and dates that the index lacks, which can wait */
    bool later;             /* left for a quiet moment; a first look's, before pieces too */
    int64_t later_at;       /* monotonic ms: not tried for pieces earlier */

    struct mailbox_memo *memo; /* what the client knows, until the messages are there again; or NULL */
    struct mailbox_doubt doubt;
    struct mailbox_ahead ahead;
    bool asleep;   /* the messages are not in memory */
    bool outlined; /* they are UIDs only, and the index was not asked yet */

    size_t told_exists;
    struct buf told_keywords;
    uint32_t *seqs, *uids, *flagged; /* what the last sync told */
    struct store_changes changes;
    int64_t freed_bytes, freed_messages; /* expunged and not yet noted in maildirsize */
};

/* --- mailbox_view.c --- */
const char *mailbox_name(const struct store_mailbox *mb, const struct store_msg *m);
void mailbox_set_name(struct store_mailbox *mb, struct store_msg *m, struct str name);
int mailbox_dir(const struct store_mailbox *mb, const struct store_msg *m);
struct store_msg *mailbox_by_uid(struct store_mailbox *mb, uint32_t uid); /* NULL: not in the view */
/* Adds a message with a UID larger than all. */
struct store_msg *mailbox_append(struct store_mailbox *mb, uint32_t uid, struct str name,
                                 size_t base_len, size_t expected);
/* The message with this base name (or, whole, with this file name in cur/), NULL: none. A walk. */
struct store_msg *mailbox_by_base(struct store_mailbox *mb, struct str base);
struct store_msg *mailbox_by_name(struct store_mailbox *mb, struct str name);
/* Takes the picture into the view. Messages it has not are gone, but for those in doubt; what is newer
 * than one in doubt waits. */
struct mailbox_merge {
    bool held; /* there was doubt */
    struct str *late; /* base names of files whose UID is too small to appear in this view now */
    size_t late_count;
};
void mailbox_merge(struct store_mailbox *mb, const struct store_picture *p, bool part,
                   struct mailbox_merge *out);
/* Empties a view that is being loaded, but for what the client knows. */
void mailbox_start_again(struct store_mailbox *mb);
/* Its flags are not what the index has; news: nor what the client knows. */
void mailbox_changed(struct store_mailbox *mb, struct store_msg *m, bool news);
void mailbox_mark_gone(struct store_mailbox *mb, struct store_msg *m);

/* --- mailbox_open.c --- */
/* A view for looks alone, read-only; watched where there are to be more than one. The folder is the view's, also on
 * failure. */
int mailbox_look_into(struct store_folder *f, bool watched, struct store_index *index,
                      struct store_mailbox **out, struct err *e);

/* --- mailbox_ahead.c --- */
/* The message is about to be read. */
void mailbox_read_ahead(struct store_mailbox *mb, size_t index);

/* --- mailbox_doubt.c --- */
/* A look at a part cannot show that the uidlist has more new messages than it saw. */
bool mailbox_passed_by(const struct store_mailbox *mb, const struct store_picture *p);
/* Adds to the picture of a look at everything what others renamed meanwhile, as inotify told it. True: nothing is
 * missing in it now but what is gone; false: nobody told. */
bool mailbox_complete(struct store_mailbox *mb, struct store_picture *p);
/* One more disturbed look at everything. True: there is no doubt that what is missing is gone. */
bool mailbox_weigh(struct store_mailbox *mb, const struct store_picture *p);
void mailbox_believe(struct store_mailbox *mb); /* ends all doubt */
bool mailbox_doubts(const struct store_mailbox *mb, uint32_t uid);
/* The smallest UID above the view that is missing in doubt; UINT32_MAX: none. */
uint32_t mailbox_hold_from(const struct store_mailbox *mb);

/* --- mailbox_look.c --- */
#define MAILBOX_TICK_MS 25 /* directory times may be as coarse as this */
/* Looks at the folder now and merges what changed into the view; nothing is told or taken out. */
int mailbox_look(struct store_mailbox *mb, struct err *e);
/* After changes of our own: the stamp goes along when nobody else changed anything. */
void mailbox_anchor(struct store_mailbox *mb);
int64_t mailbox_cur_ns(const struct store_mailbox *mb);
void mailbox_own_change(struct store_mailbox *mb, int64_t before_ns);

/* --- mailbox_index.c --- */
/* Loads all rows into an empty view. 0; -1: the view stays empty. */
int mailbox_load(struct store_mailbox *mb, const struct store_index_folder *row);
/* As store_mailbox_settle, right after a look. */
void mailbox_settle(struct store_mailbox *mb, bool bulk);
/* Takes over what other sessions wrote since. 0; -1: the index cannot be used now. */
int mailbox_follow(struct store_mailbox *mb);

/* --- mailbox_recall.c --- */
/* Puts blank messages in the place of all that the client knows. -1: the memo makes no sense. */
int mailbox_outline(struct store_mailbox *mb);
/* Messages that are still blank after a look are gone. */
void mailbox_drop_blank(struct store_mailbox *mb);
int mailbox_resume(struct store_mailbox *mb, struct str known, struct err *e);
void mailbox_forget_memo(struct store_mailbox *mb);

/* --- mailbox_tell.c --- */
void mailbox_tell(struct store_mailbox *mb, bool expunge);
void mailbox_note_freed(struct store_mailbox *mb);

#endif
