/*
 * RCPT (RFC 5321 section 4.1.1.3): the directory expands the recipient fully, a deliver worker
 * looks at every mailbox it leads to, and only when all could take the message the answer is yes.
 */
#include "base/log.h"
#include "ipc/replies.h"
#include "protocol/smtp/refusal.h"
#include "smtp/smtp.h"

#include <stdlib.h>

#define ARENA_FIRST 1024
/* Mailboxes of one message, as a multiple of smtpd_recipient_limit. */
#define TARGETS_A_RECIPIENT 10

struct rcpt {
    struct arena *arena;
    struct smtp_rcpt said;
    struct str address; /* what the directory is asked */
    struct target_list found;
    enum verdict verdict;
    char text[256]; /* of the directory or the worker, for the client */
    size_t probes;
    size_t named; /* mailboxes in the directory's answer, with those reached before */
    bool too_many;
};

void grant_drop(struct smtpd *d, const struct grant *g)
{
    struct msg m = MSG_INIT(grant_drop);
    m.grant_drop.grant = *g;
    if (!grant_is_none(g))
        rpc_tell(d->directory, &m);
}

static void target_add(struct target_list *list, struct target *t)
{
    if (list->n == list->cap) {
        list->cap = list->cap ? 2 * list->cap : 4;
        list->v = mem_grow(list->v, list->cap, sizeof *list->v);
    }
    list->v[list->n++] = t;
}

void rcpt_free(struct session *s)
{
    struct rcpt *r = s->mail.rcpt;
    if (!r)
        return;
    for (size_t i = 0; i < r->found.n; i++) {
        map_take(s->mail.seen, r->found.v[i]->key);
        grant_drop(s->smtpd, &r->found.v[i]->grant);
    }
    free(r->found.v);
    arena_free(r->arena);
    free(r);
    s->mail.rcpt = NULL;
}

/* --- what is said --- */

static void refuse(struct session *s, const char *status, const char *what, const char *why)
{
    struct rcpt *r = s->mail.rcpt;
    AUTO_BUF text = {0};
    smtp_refusal_print(&text, status, r->said.path, what, why, str_from(r->text));
    reply(s, "%s", buf_z(&text));
    s->mail.rcpts_refused++;
}

static void refuse_by_verdict(struct session *s, enum verdict v)
{
    const struct reply_rcpt *r = reply_rcpt(v);
    refuse(s, r->status, r->what, r->why);
}

struct target *target_join(struct session *s, const struct msg_target *t, struct letter *letter)
{
    struct mail *m = &s->mail;
    struct str key = mail_fold_case(m->arena, t->address);
    if (t->unknown || map_get(m->seen, key)) {
        grant_drop(s->smtpd, &t->grant);
        return NULL;
    }
    struct target *mine = ARENA_NEW(m->arena, struct target);
    *mine = (struct target){.grant = t->grant, .address = arena_str(m->arena, t->address),
                            .key = key, .remote = t->remote, .away = t->away, .letter = letter};
    map_put(m->seen, key, s);
    target_add(&m->targets, mine);
    return mine;
}

/* --- accepting --- */

static struct target *target_copy(struct arena *a, const struct target *t, struct str original)
{
    struct target *copy = ARENA_NEW(a, struct target);
    *copy = *t;
    copy->address = arena_str(a, t->address);
    copy->key = arena_str(a, t->key);
    copy->original = original;
    return copy;
}

static bool is_one_person(const struct rcpt *r)
{
    return r->named == 1 && r->found.n == 1 && !r->found.v[0]->letter;
}

/* What stands for several is told of as that, so that the sender does not learn for whom (RFC 3461
 * section 5.2.7.3): the rest of NOTIFY holds for each of them. */
static uint8_t note_expanded(struct session *s, struct str original, struct str orcpt)
{
    struct mail *m = &s->mail;
    const struct rcpt *r = m->rcpt;
    unsigned notify = r->said.notify;
    if (!(notify & SMTP_NOTIFY_SUCCESS) || is_one_person(r))
        return (uint8_t)notify;
    struct target *t = ARENA_NEW(m->arena, struct target);
    *t = (struct target){.address = original, .original = original, .orcpt = orcpt,
                         .notify = (uint8_t)notify, .outcome = TARGET_EXPANDED};
    if (m->from.path.n)
        target_add(&m->expanded, t);
    notify &= ~(unsigned)SMTP_NOTIFY_SUCCESS;
    return notify ? (uint8_t)notify : SMTP_NOTIFY_NEVER;
}

static void accept_rcpt(struct session *s)
{
    struct mail *m = &s->mail;
    struct rcpt *r = m->rcpt;
    struct str original = arena_str(m->arena, r->said.path);
    struct str orcpt = arena_str(m->arena, r->said.orcpt);
    uint8_t notify = note_expanded(s, original, orcpt);
    for (size_t i = 0; i < r->found.n; i++) {
        struct target *t = target_copy(m->arena, r->found.v[i], original);
        if (!t->letter) { /* the sender's wishes end at a list (RFC 3461 section 5.2.7.1) */
            t->notify = notify;
            t->orcpt = orcpt;
        }
        target_add(&m->targets, t);
    }
    r->found.n = 0;
    struct original *o = ARENA_NEW(m->arena, struct original);
    *o = (struct original){m->originals, original};
    m->originals = o;
    lmtp_rcpt(s, original);
    if (m->rcpts++ == 0)
        m->only_rcpt = original;
    s->state = STATE_RCPT;
    reply(s, REPLY_RCPT_YES);
}

static void agreed(struct session *s)
{
    s->verb = "RCPT";
    accept_rcpt(s);
    rcpt_free(s);
}

static void filtered_out(struct session *s)
{
    s->mail.rcpts_refused++;
    rcpt_free(s);
}

static void finish(struct session *s)
{
    struct rcpt *r = s->mail.rcpt;
    s->verb = "RCPT";
    if (r->verdict == VERDICT_YES) {
        filter_rcpt(s, r->address, agreed, filtered_out);
        return;
    }
    refuse_by_verdict(s, r->verdict);
    rcpt_free(s);
}

static void set_text(struct rcpt *r, struct str text)
{
    struct str t = str_head(text, sizeof r->text - 1);
    if (t.n)
        memcpy(r->text, t.p, t.n);
    r->text[t.n] = '\0';
}

/* --- looking at the mailboxes --- */

static void on_probed(struct session *s, void *arg, struct msg *m)
{
    struct rcpt *r = s->mail.rcpt;
    enum verdict v = m ? (enum verdict)m->probe_reply.verdict : VERDICT_CANNOT_SAY;
    struct target *t = arg;
    if (v != VERDICT_YES) {
        log_info("probe", LZ("session", s->id), LS("to", t->address), LN("verdict", v),
                 LS("why", m ? m->probe_reply.text : STR("no answer")));
        /* What is broken may be mended: 451. "Full" only when nothing worse is known. */
        if (v != VERDICT_FULL)
            v = VERDICT_CANNOT_SAY;
        if (r->verdict == VERDICT_YES || v == VERDICT_CANNOT_SAY)
            r->verdict = v;
        set_text(r, v == VERDICT_FULL ? STR("Mailbox full") : STR("Mailbox not available now"));
    } else {
        probed_note(s->smtpd, t->key, s->mail.from.size);
    }
    if (--r->probes == 0)
        finish(s);
}

static void probe_one(struct session *s, struct target *t)
{
    struct msg m = MSG_INIT(probe_ask);
    m.probe_ask.grant = t->grant;
    m.probe_ask.size = s->mail.from.size;
    ask(s, s->smtpd->deliver, &m, ASK_PROBE_MS, on_probed, t);
}

static void probe(struct session *s)
{
    struct rcpt *r = s->mail.rcpt;
    r->text[0] = '\0';
    r->probes = 1; /* ours, so that no answer ends it before all are asked */
    for (size_t i = 0; i < r->found.n; i++) {
        if (r->found.v[i]->remote || r->found.v[i]->unknown ||
            probed_lately(s->smtpd, r->found.v[i]->key, s->mail.from.size))
            continue;
        r->probes++;
        probe_one(s, r->found.v[i]);
    }
    /* None is left when each was reached by an earlier recipient, or looked at a moment ago. */
    if (--r->probes == 0)
        finish(s);
}

/* --- asking the directory --- */

static bool room_for_more(const struct session *s)
{
    uint64_t max = (uint64_t)session_cfg(s)->smtpd_recipient_limit * TARGETS_A_RECIPIENT;
    return s->mail.targets.n + s->mail.rcpt->found.n < max;
}

/* A mailbox reached twice gets the message once. */
static void found(struct session *s, const struct msg_target *t, struct letter *letter)
{
    struct rcpt *r = s->mail.rcpt;
    struct str key = mail_fold_case(r->arena, t->address);
    if (map_get(s->mail.seen, key)) {
        grant_drop(s->smtpd, &t->grant);
        return;
    }
    if (!room_for_more(s)) {
        r->too_many = true;
        grant_drop(s->smtpd, &t->grant);
        return;
    }
    struct target *mine = ARENA_NEW(r->arena, struct target);
    *mine = (struct target){.grant = t->grant, .address = arena_str(r->arena, t->address), .remote = t->remote,
                            .away = t->away, .unknown = t->unknown, .letter = letter,
                            .key = arena_str(r->arena, key)};
    map_put(s->mail.seen, mine->key, s); /* any value: it is a set */
    target_add(&r->found, mine);
}

/* Not hosted here: the address as it was said is where it goes, for who may send there. */
static void found_elsewhere(struct session *s)
{
    struct rcpt *r = s->mail.rcpt;
    struct msg_target itself = {.address = r->address, .remote = true};
    r->verdict = VERDICT_YES;
    r->named++;
    found(s, &itself, NULL);
}

/* The house has nothing against the recipient, or says why not. */
static void on_rules(struct session *s, const char *refusal)
{
    struct rcpt *r = s->mail.rcpt;
    if (refusal) {
        reply(s, "%s", refusal);
        s->mail.rcpts_refused++;
        rcpt_free(s);
        return;
    }
    if (r->verdict == VERDICT_REMOTE) /* whoever is led there by our directory may go there */
        r->verdict = VERDICT_YES;
    if (r->verdict == VERDICT_NOT_HERE && rules_may_relay(s))
        found_elsewhere(s);
    /* A yes that leads nowhere would be mail lost in silence. */
    if (r->verdict == VERDICT_YES && r->named == 0)
        r->verdict = VERDICT_CANNOT_SAY;
    if (r->verdict == VERDICT_YES && r->too_many) {
        s->verb = "RCPT";
        refuse(s, "452 4.5.3", "", "Error: it leads to too many mailboxes");
        rcpt_free(s);
    } else if (r->verdict == VERDICT_YES) {
        probe(s);
    } else {
        finish(s);
    }
}

static void on_resolved(struct session *s, void *arg, struct msg *m)
{
    struct rcpt *r = s->mail.rcpt;
    const struct msg_resolve_reply *reply_msg = m ? &m->resolve_reply : NULL;
    (void)arg;
    r->verdict = reply_msg ? (enum verdict)reply_msg->verdict : VERDICT_CANNOT_SAY;
    if (r->verdict == VERDICT_NOT_HERE) {
        if (reply_msg->targets.n) /* it was rewritten */
            r->address = arena_str(r->arena, reply_msg->targets.v[0].address);
    } else {
        struct letter *letter = reply_msg ? lists_letter(s, reply_msg) : NULL;
        for (size_t i = 0; reply_msg && i < reply_msg->targets.n; i++)
            found(s, &reply_msg->targets.v[i], letter);
        r->named += reply_msg ? reply_msg->targets.n : 0;
    }
    if (reply_msg && reply_msg->more)
        return;
    if (reply_msg)
        set_text(r, reply_msg->text);
    rules_run(s, r->arena, r->said.path, r->verdict == VERDICT_NOT_HERE, on_rules);
}

static void resolve(struct session *s)
{
    struct rcpt *r = s->mail.rcpt;
    struct msg m = MSG_INIT(resolve_ask);
    m.resolve_ask.address = r->address;
    m.resolve_ask.sender = s->mail.from.path;
    m.resolve_ask.flags = rules_may_relay(s) ? RESOLVE_AUTHENTICATED : 0;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_resolved, NULL);
}

/* postmaster without a domain is ours (RFC 5321 section 4.5.1). */
static struct str full_address(struct session *s, struct rcpt *r)
{
    struct str origin = session_cfg(s)->myorigin;
    if (r->said.address.domain.n || origin.n == 0)
        return r->said.path;
    return arena_printf(r->arena, "%.*s@%.*s", STR_FMT(r->said.path), STR_FMT(origin));
}

void command_rcpt(struct session *s, struct str args)
{
    struct err e = {0};
    if (s->mail.rcpts >= (uint64_t)session_cfg(s)->smtpd_recipient_limit) {
        reply(s, "452 4.5.3 Error: too many recipients");
        return;
    }
    if (!limits_rcpt(s)) {
        s->mail.rcpts_refused++;
        return;
    }
    struct rcpt *r = MEM_NEW(struct rcpt);
    r->arena = arena_new(ARENA_FIRST);
    s->mail.rcpt = r;
    if (smtp_parse_rcpt(r->arena, args, hello_extensions(s), s->mail.from.smtputf8, &r->said, &e) != 0) {
        reply_err(s, &e);
        s->mail.rcpts_refused++;
        rcpt_free(s);
        return;
    }
    r->address = full_address(s, r);
    resolve(s);
}
