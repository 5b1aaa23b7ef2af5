/* What is asked about recipients: where an address leads, with a grant for each place. */
#include "base/clock.h"
#include "base/log.h"
#include "directory/question.h"
#include "directory/resolve.h"

#include <stdlib.h>

#define TARGETS_A_REPLY 40 /* messages.def */

static int grant_target(struct directory *d, struct peer *p, const struct resolve_target *t,
                        struct grant *out)
{
    struct grant_fields f = {.kind = t->remote ? GRANT_RELAY : GRANT_DELIVER,
                             .uid = t->box.m.uid,
                             .gid = t->box.m.gid,
                             .limit = t->box.limit,
                             .home = t->box.m.home,
                             .maildir = t->box.m.maildir,
                             .address = t->address,
                             .login = t->box.login,
                             .dn = t->box.dn};
    *out = (struct grant){0};
    if (t->unknown)
        return 0;
    if (t->remote && t->list)
        f.sender = t->list->sender;
    return grants_issue(d->grants, &f, p->number, clock_mono_ms(), out);
}

/* All targets with their grants, or -1: too many grants are out. */
static int grant_targets(struct question *q, const struct resolve_result *r, struct msg_target *v)
{
    for (size_t i = 0; i < r->count; i++) {
        v[i].address = r->targets[i].address;
        v[i].remote = r->targets[i].remote;
        v[i].away = r->targets[i].box.account.away;
        v[i].unknown = r->targets[i].unknown;
        /* Elsewhere, and not by our doing: the client must have a right of its own. */
        if (r->verdict != VERDICT_NOT_HERE &&
            grant_target(q->peer->d, q->peer, &r->targets[i], &v[i].grant) != 0)
            return -1;
    }
    return 0;
}

static void log_resolved(const struct question *q, const struct resolve_result *r,
                         enum verdict verdict, const char *why)
{
    int64_t ms = clock_mono_ms() - q->started;
    if (verdict == VERDICT_CANNOT_SAY)
        log_warning("resolve", LZ("address", q->address), LZ("verdict", question_verdict_name(verdict)),
                    LZ("why", why), LN("ms", ms));
    else
        log_debug("resolve", LZ("address", q->address), LZ("verdict", question_verdict_name(verdict)),
                  LN("targets", r->count), LN("ms", ms));
}

/* How many of the first targets fit one message: those of one list, and not too many. */
static size_t piece_size(const struct resolve_target *t, size_t n)
{
    size_t some = 0;
    while (some < n && some < TARGETS_A_REPLY && t[some].list == t[0].list)
        some++;
    return some;
}

/* Replies in pieces of what fits one message. */
static void send_targets(struct question *q, enum verdict verdict, const char *text,
                         const struct resolve_target *targets, struct msg_target *v, size_t n)
{
    size_t at = 0;
    do {
        struct msg m = MSG_INIT(resolve_reply);
        const struct resolve_list *list = n ? targets[at].list : NULL;
        size_t some = piece_size(targets + at, n - at);
        m.resolve_reply.id = q->id;
        m.resolve_reply.verdict = (uint8_t)verdict;
        m.resolve_reply.text = str_from(text);
        m.resolve_reply.targets = (struct msg_targets){v + at, some};
        if (list) {
            m.resolve_reply.list = list->address;
            m.resolve_reply.list_closed = list->closed;
            m.resolve_reply.list_sender = list->sender;
        }
        at += some;
        m.resolve_reply.more = at < n;
        peer_send(q->peer, &m);
    } while (at < n);
}

static void on_resolved(void *arg, const struct resolve_result *r)
{
    struct question *q = arg;
    struct msg_target *v = mem_array(r->count + 1, sizeof *v);
    enum verdict verdict = r->verdict;
    const char *text = r->text, *why = r->why;
    size_t n = r->count;
    if (q->peer->ch && grant_targets(q, r, v) != 0) {
        verdict = VERDICT_CANNOT_SAY;
        text = "too much mail is under way";
        why = "too many grants are out";
        n = 0;
    }
    question_count(q->peer->d, verdict);
    log_resolved(q, r, verdict, why);
    send_targets(q, verdict, text, r->targets, v, n);
    free(v);
    question_end(q);
}

void answer_resolve(struct peer *p, const struct msg_resolve_ask *m)
{
    struct question *q = question_new(p, m->id, m->address);
    p->d->counts.resolves++;
    if (question_is_too_much(p)) {
        struct resolve_result r = {.verdict = VERDICT_CANNOT_SAY,
                                   .text = "too many questions",
                                   .why = "too many questions"};
        on_resolved(q, &r);
        return;
    }
    resolve_run(p->d->set, m->address, m->sender, m->flags, on_resolved, q);
}
