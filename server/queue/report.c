/*
 * Reports to senders: one for all recipients of a message that failed in the same turn. The report
 * is a message of its own, committed together with the end of what it is about, so it is neither
 * lost nor sent twice. About a report nobody is told but postmaster_address, and about that nobody.
 */
#include "base/log.h"
#include "queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOGETHER 100   /* recipients in one report */
#define AGAIN_MS 60000 /* until a report that could not be written is made again */

static bool needs_report(const struct queue_attempt *a)
{
    return !a->reported && (a->outcome == QUEUE_BOUNCE || a->warn);
}

static void forget(struct queue_report *r)
{
    fd_closep(&r->fd);
    arena_free(r->arena);
    free(r);
}

/* Who reads it; empty: nobody. */
static struct str reader(struct queue *q, const struct queue_message *m)
{
    if (m->sender.n)
        return m->sender;
    return m->flags & QUEUE_DOUBLE_REPORT ? STR("") : q->cfg->postmaster_address;
}

static struct queue_report *write_report(struct queue *q, struct queue_attempt **v, size_t n,
                                         struct str to, struct err *e)
{
    const struct queue_message *about = &v[0]->message;
    struct err ignored = {0};
    bool missing;
    AUTO_FD message_fd = queue_spool_read(&q->files, about->id, about->size, &missing, &ignored);
    AUTO_BUF text = {0};
    uint64_t id = queue_new_id(q);
    struct queue_notice notice = {.cfg = q->cfg, .message = about, .attempts = v, .count = n,
                                  .to = to, .delay = v[0]->outcome != QUEUE_BOUNCE,
                                  .message_fd = message_fd, .id = id};
    queue_notice_print(&notice, &text);
    int fd = queue_spool_write(&q->files, id, buf_view(&text), e);
    if (fd < 0)
        return NULL;
    struct queue_report *r = MEM_NEW(struct queue_report);
    r->arena = arena_new(512);
    r->fd = fd;
    r->about = about->id;
    r->what = notice.delay ? "delay" : "failure";
    r->message = (struct queue_message){
        .id = id, .created_ms = queue_now_ms(), .size = text.n,
        .flags = ENQUEUE_NOW | QUEUE_REPORT | (about->flags & ENQUEUE_SMTPUTF8) |
                 (about->sender.n ? 0 : QUEUE_DOUBLE_REPORT),
        .session = arena_str(r->arena, about->session), .sender = STR("")};
    r->recipient = (struct queue_recipient){.route = QUEUE_OPEN, .address = arena_str(r->arena, to),
                                            .original = arena_str(r->arena, to),
                                            .destination = STR(""), .next_ms = queue_now_ms()};
    return r;
}

/* The next ones stay what they are until the report is safe: tried again, or told of later. */
static void put_off(struct queue_attempt **v, size_t n, const struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        v[i]->warn = false;
        if (v[i]->outcome != QUEUE_BOUNCE)
            continue;
        v[i]->outcome = QUEUE_RETRY;
        v[i]->next_ms = queue_now_ms() + AGAIN_MS;
    }
    log_error("queue-report", LZ("why", e->log));
}

static void report(struct queue *q, struct queue_attempt **v, size_t n)
{
    struct err e = {0};
    struct str to = reader(q, &v[0]->message);
    char id[QUEUE_ID_SIZE];
    queue_id_text(id, v[0]->message.id);
    if (to.n == 0) {
        log_error("queue-dropped", LZ("queue_id", id), LS("to", v[0]->recipient.address),
                  LZ("why", v[0]->why), LZ("meaning", "a report that reaches nobody, and no "
                                                      "postmaster_address to tell; the mail is gone"));
    } else {
        struct queue_report *r = write_report(q, v, n, to, &e);
        if (!r) {
            put_off(v, n, &e);
            return;
        }
        r->next = q->reports;
        q->reports = r;
    }
    for (size_t i = 0; i < n; i++)
        v[i]->reported = true;
}

void queue_reports_make(struct queue *q)
{
    for (struct queue_attempt *a = q->finished; a; a = a->next) {
        struct queue_attempt *v[TOGETHER];
        size_t n = 0;
        if (!needs_report(a))
            continue;
        for (struct queue_attempt *b = a; b && n < TOGETHER; b = b->next)
            if (needs_report(b) && b->message.id == a->message.id && b->outcome == a->outcome)
                v[n++] = b;
        for (size_t i = 0; i < n / 2; i++) { /* the last one finished stands first */
            struct queue_attempt *other = v[i];
            v[i] = v[n - 1 - i];
            v[n - 1 - i] = other;
        }
        report(q, v, n);
    }
}

void queue_reports_settle(struct queue *q)
{
    char id[QUEUE_ID_SIZE], about[QUEUE_ID_SIZE];
    while (q->reports) {
        struct queue_report *r = q->reports;
        q->reports = r->next;
        queue_id_text(id, r->message.id);
        queue_id_text(about, r->about);
        log_info("queue-report", LZ("queue_id", id), LZ("about", about), LZ("kind", r->what),
                 LS("to", r->recipient.address), LN("size", r->message.size));
        forget(r);
    }
}

void queue_reports_forget(struct queue *q)
{
    for (struct queue_attempt *a = q->finished; a; a = a->next)
        a->reported = false;
    while (q->reports) {
        struct queue_report *r = q->reports;
        q->reports = r->next;
        queue_spool_remove(&q->files, r->message.id);
        forget(r);
    }
}
