/*
 * The queue program's inside: taking messages (take.c), trying them again (retry.c: when; local.c
 * for mailboxes, remote.c for other servers), reports about what cannot go (report.c), and the one
 * commit that ends every turn of the event loop (turn.c).
 *
 * Whatever a turn brought, new messages and outcomes of attempts, is made durable together; only
 * then are the askers answered and files removed. So many who come at once share one wait for the
 * disk.
 */
#ifndef FACTEUR_QUEUE_QUEUE_H
#define FACTEUR_QUEUE_QUEUE_H

#include "base/map.h"
#include "ipc/program.h"
#include "ipc/rpc.h"
#include "queue/db.h"
#include "queue/lanes.h"
#include "queue/spool.h"

#define QUEUE_IN_FLIGHT_MAX 20 /* attempts at once */
#define QUEUE_MAILBOX_MAX 2    /* of them into one mailbox */
#define QUEUE_ID_SIZE 24
#define QUEUE_DESTINATION_MAX 256 /* with its NUL */

#define QUEUE_TOGETHER_MAX 20  /* recipients of one transaction with another server */

struct queue_entry;
struct queue_attempt;
struct queue_report;
struct queue_permit;
struct queue_vacation;

struct queue {
    struct program *program;
    struct config *cfg; /* NULL until configured */
    struct queue_spool files;
    int nothing; /* /dev/null, for answers that must carry a descriptor */
    struct queue_db *db;
    struct rpc *directory, *deliver, *relay;
    struct queue_client *clients;
    struct queue_permit *permits;
    struct queue_vacation *vacations; /* the directory is being asked */
    size_t vacation_count;
    uint64_t last_id;

    /* This turn's work, not yet committed. */
    struct queue_entry *entries, **last_entry;
    size_t entry_count;
    struct queue_attempt *finished;
    int64_t finished_ms; /* since when there is one, of clock_mono_ms */
    struct queue_attempt *waiting; /* failed, and told of together with others: wait.c */
    size_t waiting_local;          /* of these, those to mailboxes */
    struct queue_report *reports;
    struct queue_kept *policies, **last_policy;
    size_t policy_count;
    struct event *turn;

    /* Attempts under way, and those finished but not committed. */
    struct map *in_flight; /* by recipient id: struct queue_attempt */
    struct lanes local, remote; /* mailboxes, destinations: those for which something waits */
    struct event *wake;
    size_t jobs;            /* transactions with other servers under way */
    size_t remote_attempts; /* of those in flight */
    uint64_t taken, delivered, failed;
    bool stopping;
};

int64_t queue_now_ms(void); /* real time */
uint64_t queue_new_id(struct queue *q); /* microseconds since 1970, never twice */
void queue_id_text(char out[QUEUE_ID_SIZE], uint64_t id);

/* --- turn.c --- */
void queue_turn_init(struct queue *q);
void queue_turn_end(struct queue *q);  /* commits what is there and frees */
void queue_turn_soon(struct queue *q); /* the commit comes at the end of this turn */
void queue_turn_now(struct queue *q);

/* --- take.c, gather.c: one message from an SMTP program --- */
struct queue_client {
    struct queue_client *next, **link;
    struct queue *queue;
    struct channel *ch; /* NULL: gone; freed with its last entry */
    unsigned entries;   /* and permits under way */
    struct queue_entry *gathered; /* parts are missing, or permits */
    size_t gathered_count;
    size_t parts; /* of those gathered */
};

struct queue_entry {
    struct queue_entry *next;
    struct queue_entry *next_gathered, **link;
    struct queue_client *client;
    uint64_t ask_id; /* of the last part: whose reply stands for all */
    size_t asks;
    bool whole; /* the last part is here */
    unsigned permits; /* asked for, not yet answered */
    enum verdict verdict;
    char why[250];
    struct arena *arena; /* owns the strings */
    uint32_t letter;   /* of the same session, for members of a mailing list; or 0 */
    struct str prefix; /* stands before the message, and counts in its size */
    struct queue_message message;
    struct queue_recipient *recipients;
    size_t count, cap;
    struct queue_attempt *done; /* those of whom the sender only is told */
    int body; /* as the SMTP program gave it */
    int fd;   /* its file, written and not yet synced; -1: nobody waits for it */
};

/* --- permit.c: may this mail go to other servers? --- */
/* Asks the directory about an enqueue_ask with ENQUEUE_REMOTE and calls fn once, with VERDICT_YES or
 * with why not; perhaps before it returns. */
typedef void (*queue_permit_fn)(struct queue_client *c, void *arg, enum verdict verdict,
                                const char *why);
void queue_permit_ask(struct queue_client *c, struct msg *m, queue_permit_fn fn, void *arg);
void queue_permit_end(struct queue *q);
void queue_client_release(struct queue_client *c); /* one entry less; may free it */

/* One part, judged with v. */
void queue_gather(struct queue_client *c, struct msg *m, enum verdict v, const char *why);
void queue_gather_leave(struct queue_client *c);
void queue_gather_end(struct queue_client *c);
void queue_entry_free(struct queue_entry *n); /* releases its client */
/* It is here with all its parts, and permitted or refused. */
void queue_take_whole(struct queue *q, struct queue_entry *n);

void queue_take_link(struct queue *q, unsigned peer, int fd);
/* Answers the entry, logs it and frees it. */
void queue_take_answer(struct queue *q, struct queue_entry *entry, enum verdict verdict,
                       const char *why);
void queue_take_end(struct queue *q);

/* --- attempt.c: one recipient tried once --- */
enum queue_outcome { QUEUE_DONE, QUEUE_RETRY, QUEUE_HOLD, QUEUE_BOUNCE, QUEUE_EXPAND };

/* What the sender is told of a recipient. */
enum queue_say {
    QUEUE_SAY_NOTHING, QUEUE_SAY_FAILED, QUEUE_SAY_DELAYED,
    QUEUE_SAY_DELIVERED, QUEUE_SAY_RELAYED, QUEUE_SAY_EXPANDED, /* success */
};
/* Is the sender told so, by what NOTIFY said of the recipient (RFC 3461 section 4.1)? */
bool queue_wants(struct str sender, unsigned notify, enum queue_say say);

/* What an open recipient leads to. */
struct queue_lead {
    struct queue_lead *next;
    struct queue_recipient recipient;
};

struct queue_attempt {
    struct queue_attempt *next;
    struct queue *queue;
    struct arena *arena; /* owns the strings */
    struct queue_message message;
    struct queue_recipient recipient;
    struct lane *lane; /* local: whose job it is; or NULL */
    struct grant grant;
    unsigned targets;
    bool away; /* the mailbox's owner may be */
    uint64_t call; /* the ask under way, 0: none */
    struct rpc *rpc;
    enum queue_outcome outcome;
    int64_t next_ms; /* for QUEUE_RETRY */
    bool message_gone; /* after the commit: it was the last recipient */
    char why[900];
    char status[20];  /* RFC 3463, "" when nobody said */
    char server[300]; /* who said why; "" when we do */
    struct queue_lead *leads; /* for QUEUE_EXPAND */
    enum queue_say say; /* what the sender is told */
    bool passed;      /* the server that took it sends the reports that were asked for */
    bool reported;    /* the report stands in q->reports */
    bool ended;       /* outcome is known */
    int64_t waits_since_ms;
};

struct queue_attempt *queue_attempt_new(struct queue *q, const struct queue_message *m,
                                        const struct queue_recipient *r);
/* text: of another program, added behind why. What was tried for too long is given up. */
void queue_attempt_finish(struct queue_attempt *a, enum queue_outcome outcome, const char *why,
                          struct str text);
/* The outcome is committed: logs and frees. */
void queue_attempt_settle(struct queue *q, struct queue_attempt *a);
void queue_attempt_free(struct queue *q, struct queue_attempt *a);
void queue_attempt_drop(void *attempt); /* at the end of all of them; takes back its ask */
bool queue_is_in_flight(struct queue *q, uint64_t recipient);

/* --- retry.c: when they are tried --- */
void queue_retry_init(struct queue *q);
/* The database is open: what waits in it gets its lanes. */
void queue_retry_load(struct queue *q);
/* Something for this recipient is due then. */
void queue_is_due(struct queue *q, const struct queue_recipient *r, int64_t due_ms);
/* Puts a lane back in which nothing was found to start, until something in it is due. r: what looking came to,
 * 0, or -1 and *e; then it is looked at again soon. */
void queue_lane_rest(struct queue *q, bool remote, struct lane *lane, int64_t now, int r, struct err *e);
/* Starts what is due, as far as there is room, and sets the alarm for what comes next. */
void queue_retry_pump(struct queue *q);
/* No new attempts: true when deliveries are under way, and program_stop follows after the last. */
bool queue_retry_stop(struct queue *q);
void queue_retry_end(struct queue *q);

/* --- local.c: mailboxes --- */
void queue_local_pump(struct queue *q);

/* --- wait.c: failures that are told of together --- */
/* True: it waits, and is finished later. */
bool queue_wait_take(struct queue_attempt *a);
/* Finishes those that wait for nobody any more. */
void queue_wait_release(struct queue *q);

/* --- remote.c: transactions with other servers --- */
struct str queue_destination_of(struct str address); /* behind the last @; empty: none */
void queue_remote_pump(struct queue *q);
/* Gives up what has waited for too long while nobody could be reached. */
void queue_remote_expire(struct queue *q);

/* --- policies.c: MTA-STS policies, kept for the relay program --- */
/* Of a relay program: written with this turn's commit. */
void queue_policy_take(struct queue *q, const struct msg_sts_policy *m);
int queue_policies_write(struct queue *q, struct err *e); /* inside the commit */
void queue_policies_forget(struct queue *q);              /* after it, whatever came of it */
/* To a relay program that is new: all that are kept. */
void queue_policies_tell(struct queue *q);

/* --- order.c --- */
void queue_order(struct queue *q, const struct msg_order_ask *ask);

/* --- report.c --- */
struct queue_report {
    struct queue_report *next;
    struct arena *arena;
    struct queue_message message;
    struct queue_recipient recipient;
    uint64_t about; /* the message that it is about */
    const struct queue_entry *entry; /* it is about one that is being taken; or NULL */
    const char *what;
    int fd;
    struct queue_told told; /* it is somebody's answer, not a report; owner is empty for others */
};
/* Writes a report for every finished attempt whose sender must hear of it. */
void queue_reports_make(struct queue *q);
/* They are committed; or their files are taken away, and they are made anew next time. */
void queue_reports_settle(struct queue *q);
void queue_reports_forget(struct queue *q);
/* The same for those about this entry, or about any (NULL). */
void queue_reports_forget_entry(struct queue *q, const struct queue_entry *n);

/* --- vacation.c: answers of people who are away --- */
/* A mailbox has got this message, fd, which stays the caller's. */
void queue_vacation_look(struct queue *q, const struct msg_vacation_tell *m, int fd);
void queue_vacation_end(struct queue *q);

/* --- notice.c: the text of a report (RFC 3464, RFC 6522). Pure but for reading the message. --- */
struct queue_notice {
    const struct config *cfg;
    const struct queue_message *message; /* what it is about */
    struct queue_attempt *const *attempts; /* the recipients concerned */
    size_t count;
    struct str to;
    enum queue_say say; /* FAILED, DELAYED, or any of success */
    int message_fd;  /* -1: the message cannot be read */
    uint64_t id;     /* of the report */
};
/* --- words.c: what a status means, in a sentence for people. Pure. --- */
void queue_words_print(const struct queue_attempt *a, struct buf *out);

void queue_notice_print(const struct queue_notice *n, struct buf *out);

#endif
