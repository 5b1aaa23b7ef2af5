/*
 * imap/args: the larger arguments of commands as structs (RFC 3501 6 and 9).
 *
 * Everything lives in the arena handed in, or is a view into the command's bytes. All parsers are
 * bounded by c->limits; 0 or -1 with c->wrong.
 */
#ifndef FACTEUR_IMAP_ARGS_H
#define FACTEUR_IMAP_ARGS_H

#include "base/mem.h"
#include "protocol/imap/cursor.h"

/* --- sequence sets --- */
#define IMAP_STAR 0 /* "*" in a range; no number is 0 */

struct imap_range {
    uint32_t first, last;
};

struct imap_set {
    struct imap_range *ranges;
    size_t n;
    bool saved; /* "$": what the last search saved (RFC 5182); no ranges then */
};

int imap_get_set(struct imap_cursor *c, struct arena *a, struct imap_set *set);
/* The same set (not a saved one) with "*" read as max, ranges in rising order and joined. */
struct imap_set imap_set_resolve(struct arena *a, const struct imap_set *set, uint32_t max);
/* Is n in a resolved set? */
bool imap_set_has(const struct imap_set *set, uint32_t n);

/* --- flags --- */
enum imap_flag {
    IMAP_SEEN = 1,
    IMAP_ANSWERED = 2,
    IMAP_FLAGGED = 4,
    IMAP_DELETED = 8,
    IMAP_DRAFT = 16,
    IMAP_RECENT = 32,
};

struct imap_flags {
    unsigned system; /* enum imap_flag */
    struct str *keywords;
    size_t n;
};

/* flag-list in parentheses; flags without them too when bare (STORE). \Recent and unknown
 * system flags are refused. */
int imap_get_flags(struct imap_cursor *c, struct arena *a, bool bare, struct imap_flags *flags);

/* --- dates --- */
struct imap_date {
    int year, month, day; /* month and day from 1 */
};
int imap_get_date(struct imap_cursor *c, struct imap_date *date);
/* Seconds since 1970 of a quoted date-time (RFC 3501 9). */
int imap_get_date_time(struct imap_cursor *c, int64_t *seconds);
int64_t imap_date_days(struct imap_date date); /* days since 1970 */

/* --- STORE --- */
enum imap_store_mode { IMAP_STORE_SET, IMAP_STORE_ADD, IMAP_STORE_REMOVE };
struct imap_store {
    enum imap_store_mode mode;
    bool silent;
    bool guarded;          /* only messages not changed since (RFC 7162 3.1.3) */
    uint64_t unchanged_since;
    struct imap_flags flags;
};
int imap_get_store(struct imap_cursor *c, struct arena *a, struct imap_store *store);

/* --- SELECT and EXAMINE: what stands behind the name (RFC 7162 3.1.8, 3.2.5) --- */
struct imap_select {
    bool condstore;
    bool qresync;
    uint32_t uidvalidity;
    uint64_t modseq;
    bool known;            /* the client said which UIDs it knows */
    struct imap_set uids;  /* ascending */
};
/* [SP "(" select-param ... ")"] up to the end of the line. */
int imap_get_select(struct imap_cursor *c, struct arena *a, struct imap_select *select);

/* --- STATUS --- */
enum imap_status_item {
    IMAP_STATUS_MESSAGES = 1,
    IMAP_STATUS_RECENT = 2,
    IMAP_STATUS_UIDNEXT = 4,
    IMAP_STATUS_UIDVALIDITY = 8,
    IMAP_STATUS_UNSEEN = 16,
    IMAP_STATUS_SIZE = 32,            /* RFC 8438 */
    IMAP_STATUS_DELETED = 64,         /* RFC 9208 4.1.4 */
    IMAP_STATUS_DELETED_STORAGE = 128,
    IMAP_STATUS_APPENDLIMIT = 256,    /* RFC 7889 3.1 */
    IMAP_STATUS_MAILBOXID = 512,      /* RFC 8474 4.3 */
    IMAP_STATUS_HIGHESTMODSEQ = 1024, /* RFC 7162 3.1.7 */
};
int imap_get_status_items(struct imap_cursor *c, unsigned *items);

/* --- CREATE's parameters: "(USE (\Sent \Drafts))" (RFC 4466 2.2, RFC 6154 3) --- */
enum imap_use {
    IMAP_USE_ARCHIVE = 1,
    IMAP_USE_DRAFTS = 2,
    IMAP_USE_JUNK = 4,
    IMAP_USE_SENT = 8,
    IMAP_USE_TRASH = 16,
    IMAP_USE_OTHER = 32, /* one that no mailbox can have here: \All, \Flagged, unknown ones */
};
int imap_get_create_params(struct imap_cursor *c, unsigned *uses);

/* --- ID (RFC 2971): pairs, value NULL view when NIL --- */
struct imap_id {
    struct str *fields; /* name, value, name, value */
    size_t n;           /* pairs */
};
int imap_get_id(struct imap_cursor *c, struct arena *a, struct imap_id *id);

/* A mailbox name as the client wrote it, with any spelling of INBOX made "INBOX" (RFC 3501 5.1). */
int imap_get_mailbox(struct imap_cursor *c, struct arena *a, struct str *name);

#endif
