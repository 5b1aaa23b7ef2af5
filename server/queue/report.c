/*
 * Reports to senders: one for all recipients of a message that failed in the same turn. The report
 * is a message of its own, committed together with the end of what it is about, so it is neither
 * lost nor sent twice. About a report nobody is told but postmaster_address, and about that nobody.
 */
#include "base/log.h"
#include "protocol/smtp/dsn.h"
#include "queue/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TOGETHER 1000  /* recipients in one report */
#define AGAIN_MS 60000 /* until a report that could not be written is made again */

bool queue_wants(struct str sender, unsigned notify, enum queue_say say)
{
    static const unsigned bits[] = {
        [QUEUE_SAY_NOTHING] = 0, [QUEUE_SAY_FAILED] = SMTP_NOTIFY_FAILURE,
        [QUEUE_SAY_DELAYED] = SMTP_NOTIFY_DELAY, [QUEUE_SAY_DELIVERED] = SMTP_NOTIFY_SUCCESS,
        [QUEUE_SAY_RELAYED] = SMTP_NOTIFY_SUCCESS, [QUEUE_SAY_EXPANDED] = SMTP_NOTIFY_SUCCESS};
    if (sender.n == 0 && say != QUEUE_SAY_FAILED) /* only a failure has another reader */
        return false;
    if (notify == 0)
        notify = SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;
    return notify & bits[say];
}

static bool needs_report(const struct queue_attempt *a)
{
    return !a->reported && a->say != QUEUE_SAY_NOTHING;
}

/* All that went well stands in one report. */
static enum queue_say class_of(const struct queue_attempt *a)
{
    return a->say > QUEUE_SAY_DELIVERED ? QUEUE_SAY_DELIVERED : a->say;
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
    return m->flags & (QUEUE_DOUBLE_REPORT | QUEUE_ANSWER) ? STR("") : q->cfg->postmaster_address;
}

/* What a report is about. */
struct subject {
    const struct queue_message *message;
    const struct queue_entry *entry; /* it is being taken; or NULL */
    struct queue_attempt *v[TOGETHER];
    size_t n;
};

static struct queue_report *write_report(struct queue *q, struct subject *s, struct str to,
                                         bool *full, struct err *e)
{
    const char *const kinds[] = {[QUEUE_SAY_FAILED] = "failure", [QUEUE_SAY_DELAYED] = "delay",
                                 [QUEUE_SAY_DELIVERED] = "success"};
    struct queue_message about_body = *s->message;
    const struct queue_message *about = &about_body;
    if (s->entry)
        about_body.size -= s->entry->prefix.n;
    struct err ignored = {0};
    bool missing;
    AUTO_FD opened = s->entry ? -1 : queue_spool_read(&q->files, about->id, about->size, &missing,
                                                      &ignored);
    AUTO_BUF text = {0};
    uint64_t id = queue_new_id(q);
    struct queue_notice notice = {.cfg = q->cfg, .message = about, .attempts = s->v, .count = s->n,
                                  .to = to, .say = class_of(s->v[0]),
                                  .message_fd = s->entry ? s->entry->body : opened, .id = id};
    queue_notice_print(&notice, &text);
    int fd = queue_spool_write(&q->files, id, buf_view(&text), full, e);
    if (fd < 0)
        return NULL;
    struct queue_report *r = MEM_NEW(struct queue_report);
    r->arena = arena_new(512);
    r->fd = fd;
    r->about = about->id;
    r->entry = s->entry;
    r->what = kinds[notice.say];
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

/* What is being taken is refused; the others stay what they are until the report is safe: tried
 * again, or told of later. */
static void put_off(struct subject *s, bool full, const struct err *e)
{
    struct queue_entry *n = (struct queue_entry *)s->entry;
    log_error("queue-report", LZ("why", e->log));
    if (n) {
        n->verdict = full ? VERDICT_FULL : VERDICT_CANNOT_SAY;
        snprintf(n->why, sizeof n->why, "%.240s", e->log);
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        struct queue_attempt *a = s->v[i];
        if (a->say == QUEUE_SAY_FAILED) {
            a->outcome = QUEUE_RETRY;
            a->next_ms = queue_now_ms() + AGAIN_MS;
        }
        if (class_of(a) != QUEUE_SAY_DELIVERED) /* what is delivered is not done again for it */
            a->say = QUEUE_SAY_NOTHING;
        a->reported = true;
    }
}

static void report(struct queue *q, struct subject *s)
{
    struct err e = {0};
    struct str to = reader(q, s->message);
    bool full = false;
    char id[QUEUE_ID_SIZE];
    queue_id_text(id, s->message->id);
    if (s->message->flags & QUEUE_ANSWER) {
        log_info("vacation-failed", LZ("queue_id", id), LS("to", s->v[0]->recipient.address),
                 LZ("why", s->v[0]->why));
    } else if (to.n == 0) {
        log_error("queue-dropped", LZ("queue_id", id), LS("to", s->v[0]->recipient.address),
                  LZ("why", s->v[0]->why),
                  LZ("meaning", "a report that reaches nobody, and no postmaster_address to tell; "
                                "the mail is gone"));
    } else {
        struct queue_report *r = write_report(q, s, to, &full, &e);
        if (!r) {
            put_off(s, full, &e);
            return;
        }
        r->next = q->reports;
        q->reports = r;
    }
    for (size_t i = 0; i < s->n; i++)
        s->v[i]->reported = true;
}

/* Of one list of attempts: what concerns the same message and is of one kind goes together. */
static void report_list(struct queue *q, struct queue_attempt *list, struct queue_entry *entry)
{
    for (struct queue_attempt *a = list; a; a = a->next) {
        struct subject s = {.message = entry ? &entry->message : &a->message, .entry = entry};
        if (!needs_report(a) || (entry && entry->verdict != VERDICT_YES))
            continue;
        for (struct queue_attempt *b = a; b && s.n < TOGETHER; b = b->next)
            if (needs_report(b) && class_of(b) == class_of(a) &&
                (entry || b->message.id == a->message.id))
                s.v[s.n++] = b;
        for (size_t i = 0; i < s.n / 2; i++) { /* the last one finished stands first */
            struct queue_attempt *other = s.v[i];
            s.v[i] = s.v[s.n - 1 - i];
            s.v[s.n - 1 - i] = other;
        }
        report(q, &s);
    }
}

void queue_reports_make(struct queue *q)
{
    report_list(q, q->finished, NULL);
    for (struct queue_entry *n = q->entries; n; n = n->next)
        report_list(q, n->done, n);
}

void queue_reports_forget_entry(struct queue *q, const struct queue_entry *n)
{
    for (struct queue_report **at = &q->reports; *at;) {
        struct queue_report *r = *at;
        if (r->entry == NULL || (n && r->entry != n)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        queue_spool_remove(&q->files, r->message.id);
        forget(r);
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
        queue_is_due(q, &r->recipient, r->recipient.next_ms);
        if (r->told.owner.n)
            log_info("vacation", LS("session", r->message.session), LZ("queue_id", id),
                     LS("from", r->told.owner), LS("to", r->recipient.address));
        else
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
