/* The message is complete: is it taken? */
#include "mail/header.h"
#include "smtp/smtp.h"

static const char *text_of(enum refusal why)
{
    switch (why) {
    case REFUSAL_MEMORY:
    case REFUSAL_FULL:
        return "452 4.3.1 Insufficient system storage, try again later";
    case REFUSAL_HEADER:
        return "554 5.6.0 Error: the header of the message is too large";
    default:
        return "451 4.3.0 Error: no room for the message now, try again later";
    }
}

void accept_refuse(struct session *s, enum refusal why)
{
    const struct smtp_data *d = &s->mail.message.decoder;
    if (why == REFUSAL_BARE) {
        reply(s, "521 5.5.2 %.*s Error: bare <%s> received", STR_FMT(session_cfg(s)->myhostname),
              d->bare_lf ? "LF" : "CR");
        session_close(s);
    } else if (why == REFUSAL_SIZE) {
        reply(s, "552 5.3.4 Error: message exceeds fixed limit of %llu",
              (unsigned long long)session_cfg(s)->message_size_limit);
    } else {
        reply(s, "%s", text_of(why));
    }
    mail_reset(s);
}

/* A message that passed so many servers runs in a circle (RFC 5321 section 6.3). */
static bool has_hops(const struct session *s)
{
    return mail_header_count(message_header(&s->mail.message), STR("Received")) >
           (uint64_t)session_cfg(s)->hopcount_limit;
}

static void mark_loop(struct session *s, struct str key)
{
    struct target_list *list = &s->mail.targets;
    for (size_t i = 0; i < list->n && map_get(s->mail.seen, key); i++)
        if (!list->v[i]->remote && !list->v[i]->unknown && str_eq(list->v[i]->key, key))
            list->v[i]->loops = true;
}

/* A mailbox that the message has been in already was led back to by an alias or another server. True
 * when that holds for all: the message is refused; else each of them comes back in a report. */
static bool all_loop(struct session *s)
{
    struct mail_header_walk w = mail_header_walk(message_header(&s->mail.message));
    struct mail_field f;
    size_t loops = 0;
    while (mail_header_next(&w, &f))
        if (f.colon && str_caseeq(f.name, STR("Delivered-To"))) {
            struct str key = mail_fold_case(s->mail.arena, str_trim(f.value));
            mark_loop(s, key);
            lists_mark_loop(s, key);
        }
    for (size_t i = 0; i < s->mail.targets.n; i++)
        loops += s->mail.targets.v[i]->loops;
    return loops > 0 && loops == s->mail.targets.n;
}

void accept_message(struct session *s)
{
    struct message *m = &s->mail.message;
    s->mail.final_replies = s->mail.lmtp.n; /* RFC 2033 section 4.2 */
    if (m->refusal) {
        accept_refuse(s, m->refusal);
    } else if (mail_header_is_cut(message_header(m))) {
        /* What no walk sees could be a second From, or a blind copy. */
        accept_refuse(s, REFUSAL_HEADER);
    } else if (has_hops(s)) {
        reply(s, "554 5.4.6 Error: too many hops");
        mail_reset(s);
    } else if (all_loop(s)) {
        reply(s, "554 5.4.6 Error: the mail goes in a circle: it has been in this mailbox already");
        mail_reset(s);
    } else if (session_is_submission(s)) {
        submit_message(s);
    } else {
        house_start(s);
    }
}
