/*
 * Telling senders that somebody is away: when a mailbox has got a message, the directory is asked what
 * its owner wants to be said, and the answer becomes a message of the queue's own, like a report. Who
 * was told what stands in the database and is committed with the answer, so nobody is told twice.
 *
 * Nothing here holds up mail or makes it fail: what cannot be told is logged, and the next message of
 * that sender tries again.
 */
#include "base/log.h"
#include "mail/address.h"
#include "mail/header.h"
#include "queue/answer.h"
#include "queue/queue.h"

#include <stdlib.h>
#include <sys/stat.h>

#define ASK_MS 60000
#define UNDER_WAY_MAX 1000
#define TOLD_MAX 1000 /* senders of one mailbox in account_vacation_interval */

struct queue_vacation {
    struct queue_vacation *next, **link;
    struct queue *queue;
    struct arena *arena; /* owns the strings */
    uint64_t call;
    struct str session, sender, address; /* address: of the mailbox */
    struct str header;                   /* of the message */
    uint32_t flags;                      /* ENQUEUE_SMTPUTF8 */
};

static void vacation_free(struct queue_vacation *v)
{
    *v->link = v->next;
    if (v->next)
        v->next->link = v->link;
    v->queue->vacation_count--;
    arena_free(v->arena);
    free(v);
}

static void log_not_told(const struct queue_vacation *v, const char *why)
{
    log_info("vacation-none", LS("session", v->session), LS("to", v->sender),
             LS("from", v->address), LZ("why", why));
}

/* --- the answer --- */

/* FNV-1a: another text is told anew. */
static int64_t text_key(const struct msg_vacation_reply *r)
{
    uint64_t h = 14695981039346656037u;
    const struct str parts[] = {r->subject, r->text};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < parts[i].n; k++)
            h = (h ^ (unsigned char)parts[i].p[k]) * 1099511628211u;
    return (int64_t)(h >> 1);
}

/* What waits for this turn's commit counts as well. */
static bool is_told_now(const struct queue *q, const struct queue_told *told)
{
    for (const struct queue_report *r = q->reports; r; r = r->next)
        if (r->told.owner.n && r->told.text == told->text && str_eq(r->told.owner, told->owner) &&
            str_eq(r->told.sender, told->sender))
            return true;
    return false;
}

/* Why the sender is not told; NULL: he is to be. */
static const char *why_not(struct queue_vacation *v, const struct msg_vacation_reply *r,
                           const struct queue_told *told, struct str *own)
{
    struct queue *q = v->queue;
    struct str delimiters = q->cfg->recipient_delimiter;
    bool before = true;
    uint64_t others = 0;
    struct err e = {0};
    if (answer_has_address(v->arena, r->addresses, delimiters, v->sender, own))
        return "it is from the owner";
    if (!answer_addressee(v->arena, v->header, r->addresses, delimiters, own))
        return "none of the owner's addresses stands in To or Cc";
    if (is_told_now(q, told))
        return "the sender was told";
    if (queue_db_told(q->db, told, told->at_ms - q->cfg->account_vacation_interval * 1000, &before,
                      &others, &e) != 0) {
        log_error("queue-read", LZ("why", e.log));
        return "the database cannot be read";
    }
    if (before)
        return "the sender was told";
    return others >= TOLD_MAX ? "so many senders were told already" : NULL;
}

static void add_report(struct queue_vacation *v, const struct queue_told *told, uint64_t id, int fd,
                       size_t size)
{
    struct queue *q = v->queue;
    struct queue_report *n = MEM_NEW(struct queue_report);
    n->arena = arena_new(512);
    n->fd = fd;
    n->what = "vacation";
    n->told = *told;
    n->told.owner = arena_str(n->arena, told->owner);
    n->told.sender = arena_str(n->arena, told->sender);
    n->message = (struct queue_message){
        .id = id, .created_ms = told->at_ms, .size = size,
        .flags = ENQUEUE_NOW | QUEUE_REPORT | QUEUE_ANSWER | (v->flags & ENQUEUE_SMTPUTF8),
        .session = arena_str(n->arena, v->session), .sender = STR(""), .envid = STR("")};
    struct str to = arena_str(n->arena, v->sender);
    n->recipient = (struct queue_recipient){.route = QUEUE_OPEN, .address = to, .original = to,
                                            .destination = STR(""), .next_ms = told->at_ms};
    n->next = q->reports;
    q->reports = n;
    queue_turn_soon(q);
}

static void tell(struct queue_vacation *v, const struct msg_vacation_reply *r)
{
    struct queue *q = v->queue;
    struct str own;
    struct err e = {0};
    AUTO_BUF text = {0};
    bool full;
    struct queue_told told = {.owner = mail_fold_case(v->arena, v->address), .text = text_key(r),
                              .sender = mail_fold_case(v->arena, v->sender),
                              .at_ms = queue_now_ms()};
    const char *why = why_not(v, r, &told, &own);
    if (why) {
        log_not_told(v, why);
        return;
    }
    struct answer n = {.from = own, .to = v->sender, .subject = r->subject, .text = r->text,
                       .header = v->header, .host = q->cfg->myhostname, .id = queue_new_id(q),
                       .now_ms = told.at_ms};
    answer_print(v->arena, &n, &text);
    int fd = queue_spool_write(&q->files, n.id, buf_view(&text), &full, &e);
    if (fd < 0)
        log_warning("vacation", LS("session", v->session), LS("from", v->address), LZ("why", e.log));
    else
        add_report(v, &told, n.id, fd, text.n);
}

static void on_reply(void *arg, struct msg *reply)
{
    struct queue_vacation *v = arg;
    bool known = reply && reply->type == MSG_vacation_reply;
    enum verdict verdict = known ? (enum verdict)reply->vacation_reply.verdict : VERDICT_CANNOT_SAY;
    if (verdict == VERDICT_YES && v->queue->db && !v->queue->stopping)
        tell(v, &reply->vacation_reply);
    else if (verdict != VERDICT_NO)
        log_warning("vacation", LS("session", v->session), LS("from", v->address),
                    LZ("why", "the directory cannot say what senders are told"));
    vacation_free(v);
}

/* --- a message that has come --- */

/* An empty view: it cannot be read. */
static struct str read_header(struct arena *a, int fd, uint64_t size)
{
    struct stat st;
    size_t n = size < ANSWER_HEADER_MAX ? (size_t)size : ANSWER_HEADER_MAX;
    char *bytes = arena_alloc(a, n + 1);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || fd_pread_all(fd, bytes, n, 0) != 0)
        return (struct str){0};
    struct str text = {bytes, n};
    return str_head(text, mail_header_size(text));
}

static struct queue_vacation *vacation_new(struct queue *q, const struct msg_vacation_tell *m)
{
    struct queue_vacation *v = MEM_NEW(struct queue_vacation);
    *v = (struct queue_vacation){.queue = q, .next = q->vacations, .link = &q->vacations,
                                 .flags = m->flags};
    if (v->next)
        v->next->link = &v->next;
    q->vacations = v;
    q->vacation_count++;
    v->arena = arena_new(4096);
    v->session = arena_str(v->arena, m->session);
    v->sender = arena_str(v->arena, m->sender);
    v->address = arena_str(v->arena, m->address);
    return v;
}

void queue_vacation_look(struct queue *q, const struct msg_vacation_tell *m, int fd)
{
    if (m->sender.n == 0 || m->address.n == 0 || q->vacation_count >= UNDER_WAY_MAX ||
        !str_is_text(m->sender) || !str_is_text(m->address) || !str_is_text(m->session))
        return;
    struct queue_vacation *v = vacation_new(q, m);
    v->header = read_header(v->arena, fd, m->size);
    const char *why = v->header.n ? answer_forbidden(v->arena, v->sender, v->header)
                                  : "its header cannot be read";
    if (why) {
        log_not_told(v, why);
        vacation_free(v);
        return;
    }
    struct msg ask = MSG_INIT(vacation_ask);
    ask.vacation_ask.address = v->address;
    v->call = rpc_call(q->directory, &ask, ASK_MS, on_reply, v);
}

void queue_vacation_end(struct queue *q)
{
    while (q->vacations) {
        rpc_cancel(q->directory, q->vacations->call);
        vacation_free(q->vacations);
    }
}
