/*
 * The queue program's inside: taking messages (take.c), trying them again (retry.c), and the one
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
#include "queue/spool.h"

#define QUEUE_IN_FLIGHT_MAX 20 /* attempts at once */
#define QUEUE_MAILBOX_MAX 2    /* of them into one mailbox */
#define QUEUE_ID_SIZE 24

struct queue_entry;
struct queue_attempt;

struct queue {
    struct program *program;
    struct config *cfg; /* NULL until configured */
    struct queue_spool files;
    int nothing; /* /dev/null, for answers that must carry a descriptor */
    struct queue_db *db;
    struct rpc *directory, *deliver;
    struct queue_client *clients;
    uint64_t last_id;

    /* This turn's work, not yet committed. */
    struct queue_entry *entries, **last_entry;
    size_t entry_count;
    struct queue_attempt *finished;
    struct event *turn;

    /* Attempts under way, and those finished but not committed. */
    struct map *in_flight; /* by recipient id: struct queue_attempt */
    struct map *mailboxes; /* by address: how many of them */
    struct event *wake;
    uint64_t taken, delivered, failed;
    bool stopping;
};

int64_t queue_now_ms(void); /* real time */
void queue_id_text(char out[QUEUE_ID_SIZE], uint64_t id);

/* --- turn.c --- */
void queue_turn_init(struct queue *q);
void queue_turn_end(struct queue *q);  /* commits what is there and frees */
void queue_turn_soon(struct queue *q); /* the commit comes at the end of this turn */
void queue_turn_now(struct queue *q);

/* --- take.c: one enqueue_ask --- */
struct queue_client {
    struct queue_client *next, **link;
    struct queue *queue;
    struct channel *ch; /* NULL: gone; freed with its last entry */
    unsigned entries;
};

struct queue_entry {
    struct queue_entry *next;
    struct queue_client *client;
    uint64_t ask_id;
    struct arena *arena; /* owns the strings */
    struct queue_message message;
    struct queue_recipient *recipients;
    size_t count;
    int fd; /* its file, written and not yet synced */
};

void queue_take_link(struct queue *q, unsigned peer, int fd);
/* Answers the entry, logs it and frees it. */
void queue_take_answer(struct queue *q, struct queue_entry *entry, enum verdict verdict,
                       const char *why);
void queue_take_end(struct queue *q);

/* --- retry.c: one recipient tried once --- */
enum queue_outcome { QUEUE_DONE, QUEUE_RETRY, QUEUE_HOLD };

struct queue_attempt {
    struct queue_attempt *next;
    struct queue *queue;
    struct arena *arena; /* owns the strings */
    struct queue_message message;
    struct queue_recipient recipient;
    struct grant grant;
    unsigned targets;
    uint64_t call; /* the ask under way, 0: none */
    struct rpc *rpc;
    enum queue_outcome outcome;
    int64_t next_ms; /* for QUEUE_RETRY */
    bool message_gone; /* after the commit: it was the last recipient */
    char why[300];
};

void queue_retry_init(struct queue *q);
/* Starts what is due, as far as there is room, and sets the alarm for what comes next. */
void queue_retry_pump(struct queue *q);
/* No new attempts: true when deliveries are under way, and program_stop follows after the last. */
bool queue_retry_stop(struct queue *q);
/* The outcome is committed: logs and frees. */
void queue_retry_settle(struct queue *q, struct queue_attempt *a);
void queue_retry_end(struct queue *q);

#endif
