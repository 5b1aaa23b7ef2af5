/* The commit at the end of a turn. */
#include "base/clock.h"
#include "base/log.h"
#include "queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AGAIN_S 2      /* until outcomes that found no room are committed again */
#define OUTCOMES_MS 10 /* how long outcomes wait for others, or for new messages, to share a commit */

int64_t queue_now_ms(void)
{
    return clock_real_us() / 1000;
}

void queue_id_text(char out[QUEUE_ID_SIZE], uint64_t id)
{
    snprintf(out, QUEUE_ID_SIZE, "%llx", (unsigned long long)id);
}

/* --- the transaction --- */

static int add_entries(struct queue *q, struct err *e)
{
    for (struct queue_entry *n = q->entries; n; n = n->next)
        if (n->count && queue_db_add(q->db, &n->message, n->recipients, n->count, e) != 0)
            return -1;
    return 0;
}

static int add_told(struct queue *q, const struct queue_told *t, struct err *e)
{
    if (t->owner.n == 0)
        return 0;
    return queue_db_tell(q->db, t, t->at_ms - q->cfg->account_vacation_interval * 1000, e);
}

static int add_reports(struct queue *q, struct err *e)
{
    for (struct queue_report *r = q->reports; r; r = r->next)
        if (queue_db_add(q->db, &r->message, &r->recipient, 1, e) != 0 ||
            add_told(q, &r->told, e) != 0)
            return -1;
    return 0;
}

static int add_leads(struct queue *q, const struct queue_attempt *a, struct err *e)
{
    for (const struct queue_lead *l = a->leads; l; l = l->next)
        if (queue_db_add_recipient(q->db, a->message.id, a->message.sender, &l->recipient, e) != 0)
            return -1;
    return 0;
}

static int record(struct queue *q, struct queue_attempt *a, struct err *e)
{
    uint64_t id = a->recipient.id;
    a->message_gone = false;
    if (a->say == QUEUE_SAY_DELAYED && queue_db_warned(q->db, id, e) != 0)
        return -1;
    if (a->outcome == QUEUE_RETRY)
        return queue_db_retry(q->db, id, a->next_ms, str_from(a->why), e);
    if (a->outcome == QUEUE_HOLD)
        return queue_db_hold(q->db, id, str_from(a->why), e);
    if (a->outcome == QUEUE_EXPAND && add_leads(q, a, e) != 0)
        return -1;
    if (queue_db_done(q->db, id, e) != 0)
        return -1;
    return queue_db_sweep(q->db, a->message.id, &a->message_gone, e);
}

static int record_finished(struct queue *q, struct err *e)
{
    for (struct queue_attempt *a = q->finished; a; a = a->next)
        if (record(q, a, e) != 0)
            return -1;
    return 0;
}

static int commit(struct queue *q, bool with_entries, struct err *e)
{
    if (queue_db_begin(q->db, e) == 0 && (!with_entries || add_entries(q, e) == 0) &&
        add_reports(q, e) == 0 && record_finished(q, e) == 0 && queue_policies_write(q, e) == 0 &&
        queue_db_commit(q->db, e) == 0)
        return 0;
    queue_db_rollback(q->db);
    return -1;
}

/* --- after it --- */

static void answer_all(struct queue *q, enum verdict verdict, const char *why, bool keep_files)
{
    struct queue_entry *n = q->entries;
    q->entries = NULL;
    q->last_entry = &q->entries;
    q->entry_count = 0;
    while (n) {
        struct queue_entry *next = n->next;
        if (verdict != VERDICT_YES && !keep_files && n->count)
            queue_spool_remove(&q->files, n->message.id);
        queue_take_answer(q, n, verdict, why);
        n = next;
    }
}

static void settle_all(struct queue *q)
{
    struct queue_attempt *a = q->finished;
    q->finished = NULL;
    while (a) {
        struct queue_attempt *next = a->next;
        if (a->message_gone)
            queue_spool_remove(&q->files, a->message.id);
        queue_attempt_settle(q, a);
        a = next;
    }
}

static void again_later(struct queue *q)
{
    struct timeval tv = {AGAIN_S, 0};
    event_add(q->turn, &tv);
}

/* New files first, with one wait for all; an entry is in the database only when its file is
 * safe. */
static int sync_files(struct queue *q, bool *full, struct err *e)
{
    size_t n = 0, reports = 0;
    for (struct queue_report *r = q->reports; r; r = r->next)
        reports++;
    AUTO_FREE int *fds = mem_array(q->entry_count + reports + 1, sizeof *fds);
    for (struct queue_report *r = q->reports; r; r = r->next)
        fds[n++] = r->fd;
    for (struct queue_entry *x = q->entries; x; x = x->next)
        if (x->count)
            fds[n++] = x->fd;
    return queue_spool_sync(&q->files, fds, n, full, e);
}

static void refuse_entries(struct queue *q, bool full, bool keep_files, const struct err *e)
{
    if (!q->entries)
        return;
    log_error("queue-commit", LZ("why", e->log), LN("messages", q->entry_count));
    queue_reports_forget_entry(q, NULL);
    answer_all(q, full ? VERDICT_FULL : VERDICT_CANNOT_SAY, e->log, keep_files);
}

/* What could not be told in a report is not taken. */
static void refuse_unreported(struct queue *q)
{
    for (struct queue_entry **at = &q->entries; *at;) {
        struct queue_entry *n = *at;
        if (n->verdict == VERDICT_YES) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        q->entry_count--;
        queue_reports_forget_entry(q, n);
        if (n->count)
            queue_spool_remove(&q->files, n->message.id);
        queue_take_answer(q, n, n->verdict, n->why);
    }
    q->last_entry = &q->entries;
    while (*q->last_entry)
        q->last_entry = &(*q->last_entry)->next;
}

/* A disk or database that failed a write is not asked again by this process: what it would say then
 * need not be what is on the disk. Files stay, for the rows may have got there all the same. */
static void give_up(struct queue *q, const struct err *e)
{
    q->stopping = true;
    log_error("queue-broken", LZ("why", e->log));
    refuse_entries(q, false, true, e);
    program_stop(q->program, 1);
}

static void settle_turn(struct queue *q)
{
    struct err e = {0};
    bool full = false;
    queue_wait_release(q);
    queue_reports_make(q);
    refuse_unreported(q);
    if ((q->entries || q->reports) && sync_files(q, &full, &e) != 0) {
        refuse_entries(q, full, false, &e);
        if (q->reports) { /* what failed waits for its report */
            log_error("queue-report", LZ("why", e.log));
            queue_reports_forget(q);
            again_later(q);
            return;
        }
    }
    if (!q->entries && !q->finished && !q->reports && !q->policies)
        return;
    int r = commit(q, true, &e);
    if (r != 0 && q->entries && !queue_db_is_broken(q->db)) {
        refuse_entries(q, queue_db_is_full(q->db), false, &e);
        r = q->finished || q->reports ? commit(q, false, &e) : 0;
    }
    queue_policies_forget(q);
    if (r == 0) {
        answer_all(q, VERDICT_YES, "", false);
        queue_reports_settle(q);
        settle_all(q);
    } else if (queue_db_is_broken(q->db)) {
        give_up(q, &e);
    } else {
        log_error("queue-commit", LZ("why", e.log));
        queue_reports_forget(q);
        again_later(q); /* what was delivered stays marked, and is not delivered again */
    }
}

void queue_turn_now(struct queue *q)
{
    event_del(q->turn);
    if (!q->db)
        return;
    settle_turn(q);
    queue_retry_pump(q);
}

/* Nobody waits for an outcome but the next attempts, which start without it. To lose it, at a crash,
 * is to try once more. */
static int64_t outcomes_may_wait_ms(const struct queue *q)
{
    bool alone = q->finished && !q->entries && !q->policies && !q->stopping;
    return alone ? q->finished_ms + OUTCOMES_MS - clock_mono_ms() : 0;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct queue *q = arg;
    int64_t wait_ms = outcomes_may_wait_ms(q);
    struct timeval tv = {0, wait_ms * 1000};
    (void)fd;
    (void)what;
    if (wait_ms <= 0) {
        queue_turn_now(q);
        return;
    }
    event_add(q->turn, &tv);
    queue_retry_pump(q);
}

void queue_turn_init(struct queue *q)
{
    q->last_entry = &q->entries;
    q->turn = evtimer_new(q->program->base, on_turn, q);
}

void queue_turn_soon(struct queue *q)
{
    event_active(q->turn, EV_TIMEOUT, 0);
}

void queue_turn_end(struct queue *q)
{
    if (q->db)
        settle_turn(q);
    queue_policies_forget(q);
    answer_all(q, VERDICT_CANNOT_SAY, "the queue stops", false);
    if (q->turn)
        event_free(q->turn);
}
