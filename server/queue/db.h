/*
 * The queue's database: which messages wait, for whom, until when. Its SQL stands in db_sql.c and,
 * what concerns the layout, in db_open.c.
 *
 * SQLite in WAL mode with synchronous=FULL: one fsync a commit where a rollback journal needs
 * three. The queue program alone opens it; who wants to see the queue asks that one. The bytes of a message lie in a file
 * beside it, named after its id. Times are milliseconds since 1970, ids microseconds since 1970 at
 * birth, unique.
 */
#ifndef FACTEUR_QUEUE_DB_H
#define FACTEUR_QUEUE_DB_H

#include "base/err.h"
#include "base/str.h"

struct queue_db;

enum queue_route {
    QUEUE_LOCAL = 0,  /* address is a mailbox */
    QUEUE_REMOTE = 1, /* destination's servers take it */
    QUEUE_OPEN = 2,   /* the directory must say where it leads: the reader of a report */
};

enum { /* flags of a message beside ENQUEUE_* */
    QUEUE_REPORT = 0x100,        /* made here */
    QUEUE_DOUBLE_REPORT = 0x200, /* about a report: the last of its kind */
    QUEUE_LIST = 0x800,          /* to members of a mailing list: one report to its owner */
    QUEUE_ANSWER = 0x400,        /* somebody's who is away: nobody is told when it fails */
};

enum queue_state {
    QUEUE_WAITING = 0, /* tried at next_ms */
    QUEUE_HELD = 1,    /* a person must look */
};

struct queue_message {
    uint64_t id;
    int64_t created_ms;
    uint64_t size;  /* bytes of its file */
    uint32_t flags; /* ENQUEUE_* */
    struct str session, sender;
    uint8_t ret;      /* enum smtp_ret */
    struct str envid; /* in xtext; empty: none */
};

struct queue_recipient {
    uint64_t id;
    enum queue_route route;
    struct str destination; /* QUEUE_REMOTE: the domain in lower case, or a literal */
    struct str address;  /* the mailbox, or the remote address */
    struct str original; /* as said in RCPT */
    int64_t next_ms;
    uint32_t attempts; /* failed ones so far */
    enum queue_state state;
    struct str error; /* of the last attempt */
    bool warned;      /* the sender knows that it is late */
    uint8_t notify;   /* SMTP_NOTIFY_* */
    struct str orcpt; /* as it was said; empty: none */
};

/* Opens DIR/queue.db, making it when missing. Refused with a permanent error: what is no queue database, one
 * of a newer version, a damaged one; temporary: one that is locked. */
int queue_db_open(const char *dir, struct queue_db **out, struct err *e);
void queue_db_close(struct queue_db *db); /* NULL is fine */

/* Why the last call failed: the disk is full (nothing was changed), or the disk or the database
 * can be trusted no more. */
bool queue_db_is_full(const struct queue_db *db);
bool queue_db_is_broken(const struct queue_db *db);

/* All changes happen between begin and commit; a commit that returns 0 survives a power cut.
 * Everything below returns 0, or -1 and an error, after which the whole must be rolled back. */
int queue_db_begin(struct queue_db *db, struct err *e);
int queue_db_commit(struct queue_db *db, struct err *e);
void queue_db_rollback(struct queue_db *db);

int queue_db_add(struct queue_db *db, const struct queue_message *m,
                 const struct queue_recipient *recipients, size_t count, struct err *e);
/* A recipient has its mail; a recipient is tried again (one more failed attempt); is held. */
int queue_db_done(struct queue_db *db, uint64_t recipient, struct err *e);
int queue_db_retry(struct queue_db *db, uint64_t recipient, int64_t next_ms, struct str why,
                   struct err *e);
int queue_db_warned(struct queue_db *db, uint64_t recipient, struct err *e);
/* One more recipient of a message that is there. */
int queue_db_add_recipient(struct queue_db *db, uint64_t message, struct str sender,
                           const struct queue_recipient *r, struct err *e);
int queue_db_hold(struct queue_db *db, uint64_t recipient, struct str why, struct err *e);
/* Removes the message when no recipient is left: *gone says so. */
int queue_db_sweep(struct queue_db *db, uint64_t message, bool *gone, struct err *e);
/* Recipients that would wait past limit_ms (a clock that had jumped ahead) are due at now_ms; *some:
 * there were. */
int queue_db_unstick(struct queue_db *db, int64_t now_ms, int64_t limit_ms, bool *some,
                     struct err *e);

/* Views are valid inside the function, which must not change the database; false ends the walk. */
typedef bool (*queue_db_fn)(void *ctx, const struct queue_message *m,
                            const struct queue_recipient *r);
/* A lane is what waits for one mailbox (local: its address), or for one destination. Calls fn for
 * recipients in that lane that are due and free, all of one message, at most max. Whose message it
 * is goes around: the sender after *after first, and *after becomes that one's. */
typedef bool (*queue_db_free)(void *ctx, uint64_t recipient);
int queue_db_pick(struct queue_db *db, bool remote, struct str lane, int64_t now_ms, size_t max,
                  int64_t *after, queue_db_free is_free, queue_db_fn fn, void *ctx, struct err *e);
/* Is a free recipient of that message due? */
int queue_db_has_due(struct queue_db *db, uint64_t message, int64_t now_ms, queue_db_free is_free,
                     void *ctx, bool *due, struct err *e);
/* When something in that lane is due next, later than now_ms: INT64_MAX when nothing is. */
int queue_db_lane_next(struct queue_db *db, bool remote, struct str lane, int64_t now_ms,
                       int64_t *next_ms, struct err *e);
/* Every lane in which something waits, with the earliest time. */
typedef void (*queue_db_lane_fn)(void *ctx, struct str lane, int64_t due_ms);
int queue_db_lanes(struct queue_db *db, bool remote, queue_db_lane_fn fn, void *ctx, struct err *e);
/* Calls fn for waiting recipients of messages with an id below that one, at most max. */
int queue_db_old(struct queue_db *db, uint64_t below, size_t max, queue_db_fn fn, void *ctx,
                 struct err *e);
/* Calls fn for recipients with an id beyond after, at most max, in the order of ids: of that message
 * (0: any), for that destination (empty: any; a mailbox counts by its domain). */
int queue_db_page(struct queue_db *db, uint64_t after, uint64_t message, struct str destination,
                  size_t max, queue_db_fn fn, void *ctx, struct err *e);
/* What a person decides. Release and retry: due now. */
int queue_db_set_held(struct queue_db *db, uint64_t recipient, bool held, struct err *e);
int queue_db_retry_now(struct queue_db *db, uint64_t recipient, int64_t now_ms, struct err *e);
/* Is there such a message? The highest id so far (0: none). */
int queue_db_has(struct queue_db *db, uint64_t message, bool *has, struct err *e);
int queue_db_last_id(struct queue_db *db, uint64_t *id, struct err *e);

/* MTA-STS policies of other domains, which the relay program cannot keep itself. At most
 * QUEUE_POLICIES_MAX stay: those whose time is up go first, then those whose time ends first. */
#define QUEUE_POLICIES_MAX 5000
struct queue_policy {
    struct str domain, id, mx;
    uint8_t mode;
    int64_t fetched_ms, expires_ms;
};
int queue_db_keep_policy(struct queue_db *db, const struct queue_policy *p, int64_t now_ms,
                         struct err *e);
typedef void (*queue_db_policy_fn)(void *ctx, const struct queue_policy *p);
int queue_db_policies(struct queue_db *db, int64_t now_ms, queue_db_policy_fn fn, void *ctx,
                      struct err *e);

/* That a sender was told of an owner's absence. */
struct queue_told {
    struct str owner, sender; /* folded addresses */
    int64_t text;             /* a hash of what was said */
    int64_t at_ms;
};
/* Forgets who was told up to after_ms, or later than now (a clock that had jumped ahead). */
int queue_db_tell(struct queue_db *db, const struct queue_told *t, int64_t after_ms, struct err *e);
/* Was the sender told of this text between after_ms and t->at_ms? others: how many senders were told
 * something by this owner since then. */
int queue_db_told(struct queue_db *db, const struct queue_told *t, int64_t after_ms, bool *told,
                  uint64_t *others, struct err *e);

struct queue_counts {
    uint64_t messages, recipients, due, held;
    int64_t oldest_ms; /* 0: empty */
};
int queue_db_count(struct queue_db *db, int64_t now_ms, struct queue_counts *out, struct err *e);

#endif
