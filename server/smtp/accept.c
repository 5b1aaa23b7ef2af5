/* The message is complete: is it taken? */
#include "mail/header.h"
#include "smtp/smtp.h"

/* A message that passed so many servers runs in a circle (RFC 5321 section 6.3). */
#define HOPS_MAX 100

static const char *text_of(enum refusal why)
{
    switch (why) {
    case REFUSAL_MEMORY:
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

void accept_message(struct session *s)
{
    struct message *m = &s->mail.message;
    if (m->refusal) {
        accept_refuse(s, m->refusal);
    } else if (mail_header_is_cut(message_header(m))) {
        /* What no walk sees could be a second From, or a blind copy. */
        accept_refuse(s, REFUSAL_HEADER);
    } else if (mail_header_count(message_header(m), STR("Received")) >= HOPS_MAX) {
        reply(s, "554 5.4.6 Error: too many hops");
        mail_reset(s);
    } else if (session_is_submission(s)) {
        submit_message(s);
    } else {
        handing_start(s);
    }
}
