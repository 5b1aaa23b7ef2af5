/* MAIL (RFC 5321 section 4.1.1.2), and the end of a transaction. */
#include "ipc/replies.h"
#include "smtp/smtp.h"

#include <stdlib.h>

#define ARENA_FIRST 1024

static void grants_drop(struct session *s)
{
    struct target_list *list = &s->mail.targets;
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i]->outcome == TARGET_WAITS)
            grant_drop(s->smtpd, &list->v[i]->grant);
}

void mail_free(struct session *s)
{
    struct mail *m = &s->mail;
    filter_abort(s);
    edits_free(s);
    grants_drop(s);
    rcpt_free(s);
    handing_free(s);
    house_free(s);
    message_free(s);
    map_free(m->seen, NULL);
    free(m->targets.v);
    buf_free(&m->prepended);
    free(m->lmtp.v);
    free(m->expanded.v);
    arena_free(m->arena);
    *m = (struct mail){.message = {.fd = -1}};
}

void mail_reset(struct session *s)
{
    mail_free(s);
    s->reading = READ_COMMAND;
    if (s->state != STATE_NEW)
        s->state = STATE_READY;
}

static void say_ok(struct session *s)
{
    s->state = STATE_MAIL;
    reply(s, REPLY_MAIL_YES);
}

static void accept_mail(struct session *s)
{
    s->mails++;
    s->mail.id = arena_printf(s->mail.arena, "%s.%u", s->id, s->mails);
    s->mail.seen = map_new();
    filter_mail(s, say_ok, mail_reset);
}

static void on_sender(struct session *s, void *arg, struct msg *m)
{
    uint8_t verdict = m ? m->sender_reply.verdict : VERDICT_CANNOT_SAY;
    (void)arg;
    s->verb = "MAIL";
    if (verdict == VERDICT_YES) {
        accept_mail(s);
        return;
    }
    struct str path = s->mail.from.path;
    if (verdict == VERDICT_CANNOT_SAY)
        reply(s, REPLY_MAIL_LATER, STR_FMT(path));
    else
        reply(s, REPLY_MAIL_NO, STR_FMT(path), s->login);
    mail_reset(s);
}

/* The same entry, not the same spelling: the directory knows. <> is for receipts (RFC 8098). */
static void check_sender(struct session *s)
{
    struct msg m = MSG_INIT(sender_ask);
    if (!s->login || !session_cfg(s)->reject_sender_login_mismatch || s->mail.from.path.n == 0) {
        accept_mail(s);
        return;
    }
    m.sender_ask.grant = s->grant;
    m.sender_ask.address = s->mail.from.path;
    ask(s, s->smtpd->directory, &m, ASK_DIRECTORY_MS, on_sender, NULL);
}

void command_mail(struct session *s, struct str args)
{
    const struct config *cfg = session_cfg(s);
    struct err e = {0};
    mail_reset(s);
    s->mail.arena = arena_new(ARENA_FIRST);
    if (smtp_parse_mail(s->mail.arena, args, hello_extensions(s), &s->mail.from, &e) != 0) {
        s->mail.from = (struct smtp_mail){0};
        reply_err(s, &e);
    } else if (s->mail.from.size > cfg->message_size_limit) {
        reply(s, "552 5.3.4 Message size exceeds fixed limit of %llu",
              (unsigned long long)cfg->message_size_limit);
    } else if (s->smtpd->memory >= cfg->message_memory_limit) {
        reply(s, "452 4.3.1 Insufficient system storage, try again later");
    } else if (limits_mail(s)) {
        check_sender(s);
        return;
    }
    mail_reset(s);
}
