/* Tagged replies; see imap.h. */
#include "session/imap.h"

#include "base/log.h"
#include "protocol/imap/write.h"

static void set_reply(struct imap_session *s, const char *kind, const char *fmt, va_list ap)
{
    buf_clear(&s->reply);
    buf_str(&s->reply, str_from(kind));
    buf_vprintf(&s->reply, fmt, ap);
}

void imap_reply_ok(struct imap_session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_reply(s, "OK ", fmt, ap);
    va_end(ap);
}

void imap_reply_no(struct imap_session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_reply(s, "NO ", fmt, ap);
    va_end(ap);
}

void imap_reply_bad(struct imap_session *s, const char *why)
{
    buf_clear(&s->reply);
    buf_printf(&s->reply, "BAD %s", why);
}

void imap_reply_error(struct imap_session *s, const struct err *e)
{
    const char *code = e->kind == ERR_TEMPORARY ? "[UNAVAILABLE]" : "[CANNOT]";
    const char *text = e->client[0] ? e->client
                     : e->kind == ERR_TEMPORARY ? "Cannot do that now, try again later"
                                                : "Cannot do that";
    buf_clear(&s->reply);
    buf_printf(&s->reply, "NO %s ", code);
    imap_write_text(&s->reply, str_from(text));
    /* What is permanent is most often a client's mistake, and it is told. */
    LOG_AT(e->kind == ERR_TEMPORARY ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "imap-command",
           LS("user", s->settings->user), LZ("command", s->command ? s->command->name : ""),
           LZ("mailbox", s->mailbox_name ? s->mailbox_name : ""), LZ("error", e->log));
}

void imap_reply_done(struct imap_session *s)
{
    imap_reply_ok(s, "%s completed", s->command->name);
}

void imap_bye(struct imap_session *s, const char *text)
{
    output_printf(&s->out, "* BYE %s\r\n", text);
    s->done = true;
}
