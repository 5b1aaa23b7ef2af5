/*
 * What an administrator orders: lists, and hold, release, retry and delete, a page of recipients at a
 * time so that the queue goes on meanwhile. Who may order, the master has looked at. What is being
 * tried at this moment is not deleted; what is held then, is held after the attempt.
 */
#include "base/log.h"
#include "ipc/words.h"
#include "queue/queue.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE 500
#define SHOWN_MAX (64 * 1024)
#define CHUNK 6000

struct order {
    struct queue *queue;
    const struct msg_order_ask *ask;
    struct arena *arena;
    struct row *rows, **last;
    size_t n;
    uint64_t after;
};

struct row {
    struct row *next;
    struct queue_message message;
    struct queue_recipient recipient;
};

static void say(const struct order *o, bool more, struct str line)
{
    struct msg m = MSG_INIT(order_reply);
    m.order_reply.id = o->ask->id;
    m.order_reply.more = more;
    m.order_reply.line = line;
    channel_send(o->queue->program->master, &m);
}

/* --- what stands there --- */

static const char *state_of(const struct order *o, const struct queue_recipient *r)
{
    if (queue_is_in_flight(o->queue, r->id))
        return "trying";
    return r->state == QUEUE_HELD ? "held" : "waiting";
}

static void say_row(const struct order *o, const struct row *row)
{
    const struct queue_message *m = &row->message;
    const struct queue_recipient *r = &row->recipient;
    AUTO_BUF line = {0};
    buf_printf(&line, "recipient %llx %llu %s %lld %llu %u %lld", (unsigned long long)m->id,
               (unsigned long long)r->id, state_of(o, r), (long long)(m->created_ms / 1000),
               (unsigned long long)m->size, r->attempts, (long long)(r->next_ms / 1000));
    words_put(&line, m->sender);
    words_put(&line, r->address);
    words_put(&line, r->original);
    words_put(&line, r->route == QUEUE_REMOTE ? r->destination : STR("local"));
    words_put(&line, r->error);
    say(o, true, buf_view(&line));
}

static void say_message(const struct order *o)
{
    struct err e = {0};
    bool missing;
    const struct queue_message *m = &o->rows->message;
    size_t size = m->size < SHOWN_MAX ? (size_t)m->size : SHOWN_MAX;
    AUTO_FREE char *bytes = mem_alloc(size + 1);
    AUTO_FD fd = queue_spool_read(&o->queue->files, m->id, m->size, &missing, &e);
    if (fd < 0 || fd_pread_all(fd, bytes, size, 0) != 0)
        return;
    struct str all = {bytes, size};
    while (all.n) {
        AUTO_BUF line = {0};
        buf_str(&line, STR("text"));
        words_put(&line, str_head(all, CHUNK));
        say(o, true, buf_view(&line));
        all = str_skip(all, CHUNK);
    }
}

static bool collect(void *ctx, const struct queue_message *m, const struct queue_recipient *r)
{
    struct order *o = ctx;
    struct row *row = ARENA_NEW(o->arena, struct row);
    *row = (struct row){.message = *m, .recipient = *r};
    row->message.sender = arena_str(o->arena, m->sender);
    row->message.session = row->message.envid = (struct str){"", 0};
    row->recipient.address = arena_str(o->arena, r->address);
    row->recipient.original = arena_str(o->arena, r->original);
    row->recipient.destination = arena_str(o->arena, r->destination);
    row->recipient.error = arena_str(o->arena, r->error);
    row->recipient.orcpt = (struct str){"", 0};
    *o->last = row;
    o->last = &row->next;
    o->after = r->id;
    o->n++;
    return true;
}

/* --- what is done --- */

static int change(const struct order *o, struct row *row, bool *gone, struct err *e)
{
    struct queue *q = o->queue;
    uint64_t id = row->recipient.id;
    switch (o->ask->what) {
    case QUEUE_ORDER_HOLD:
        return queue_db_set_held(q->db, id, true, e);
    case QUEUE_ORDER_RELEASE:
        if (row->recipient.state != QUEUE_HELD)
            return 0;
        return queue_db_set_held(q->db, id, false, e) == 0 &&
                       queue_db_retry_now(q->db, id, queue_now_ms(), e) == 0
                   ? 0
                   : -1;
    case QUEUE_ORDER_RETRY:
        return queue_db_retry_now(q->db, id, queue_now_ms(), e);
    default:
        if (queue_is_in_flight(q, id))
            return 0;
        return queue_db_done(q->db, id, e) == 0 ? queue_db_sweep(q->db, row->message.id, gone, e) : -1;
    }
}

/* Its rest is over, and its mail is due. */
static void wake(const struct order *o, const struct row *row)
{
    struct lane *lane = lanes_find(&o->queue->remote, row->recipient.destination);
    if (o->ask->what != QUEUE_ORDER_RETRY && o->ask->what != QUEUE_ORDER_RELEASE)
        return;
    if (o->ask->what == QUEUE_ORDER_RETRY && row->recipient.route == QUEUE_REMOTE && lane)
        lane->until_ms = 0;
    if (row->recipient.state == QUEUE_WAITING || o->ask->what == QUEUE_ORDER_RELEASE)
        queue_is_due(o->queue, &row->recipient, queue_now_ms());
}

static void log_change(const struct order *o, const struct row *row)
{
    static const char *const names[] = {[QUEUE_ORDER_HOLD] = "hold", [QUEUE_ORDER_RELEASE] = "release",
                                        [QUEUE_ORDER_RETRY] = "retry", [QUEUE_ORDER_DELETE] = "delete"};
    char id[QUEUE_ID_SIZE];
    queue_id_text(id, row->message.id);
    log_info("queue-order", LZ("what", names[o->ask->what]), LZ("queue_id", id),
             LS("from", row->message.sender), LS("to", row->recipient.address));
}

static int change_all(const struct order *o, struct err *e)
{
    struct queue *q = o->queue;
    AUTO_FREE bool *gone = mem_array(o->n + 1, sizeof *gone);
    size_t i = 0;
    if (queue_db_begin(q->db, e) != 0)
        return -1;
    for (struct row *row = o->rows; row; row = row->next)
        if (change(o, row, &gone[i++], e) != 0) {
            queue_db_rollback(q->db);
            return -1;
        }
    if (queue_db_commit(q->db, e) != 0) {
        queue_db_rollback(q->db);
        return -1;
    }
    i = 0;
    for (struct row *row = o->rows; row; row = row->next) {
        if (gone[i++])
            queue_spool_remove(&q->files, row->message.id);
        wake(o, row);
        log_change(o, row);
    }
    queue_turn_soon(q);
    return 0;
}

static int obey(struct order *o, struct err *e)
{
    const struct msg_order_ask *ask = o->ask;
    if (!o->queue->db || o->queue->stopping)
        return err_temp(e, "the queue is not open now");
    if (ask->what < QUEUE_ORDER_LIST || ask->what > QUEUE_ORDER_DELETE)
        return err_temp(e, "no such order");
    if (queue_db_page(o->queue->db, ask->after, ask->message, ask->destination, PAGE, collect, o,
                      e) != 0)
        return -1;
    for (const struct row *row = o->rows; row; row = row->next)
        say_row(o, row);
    if (ask->what == QUEUE_ORDER_SHOW && o->rows && ask->after == 0)
        say_message(o);
    return ask->what > QUEUE_ORDER_SHOW && o->n ? change_all(o, e) : 0;
}

void queue_order(struct queue *q, const struct msg_order_ask *ask)
{
    struct err e = {0};
    char end[600];
    struct order o = {.queue = q, .ask = ask, .arena = arena_new(4096), .last = &o.rows};
    if (obey(&o, &e) != 0)
        snprintf(end, sizeof end, "error: %s", e.log);
    else if (o.n == PAGE)
        snprintf(end, sizeof end, "next %llu", (unsigned long long)o.after);
    else
        snprintf(end, sizeof end, "end");
    say(&o, false, str_from(end));
    arena_free(o.arena);
}
