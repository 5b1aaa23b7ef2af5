/*
 * A message on its way in: up to a mebibyte in memory, handed on as a sealed memfd; larger, in a
 * file of the queue's spool that we get opened and without a name.
 */
#include "base/log.h"
#include "mail/header.h"
#include "smtp/smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define IN_MEMORY_MAX (1024 * 1024)
#define JOINED_MAX (32 * 1024) /* up to here a copy is cheaper than one more write */

/* --- what it costs --- */

void message_charge(struct session *s, uint64_t octets)
{
    struct message *m = &s->mail.message;
    s->smtpd->memory -= m->charged;
    s->smtpd->memory += octets;
    m->charged = octets;
}

static void forget(struct session *s)
{
    struct message *m = &s->mail.message;
    buf_free(&m->bytes);
    buf_free(&m->rewritten);
    fd_closep(&m->fd);
    m->fd = -1;
    m->fd_size = 0;
    message_charge(s, 0);
}

void message_free(struct session *s)
{
    forget(s);
}

void message_start(struct session *s)
{
    forget(s);
    s->mail.message = (struct message){.fd = -1};
    smtp_data_init(&s->mail.message.decoder, s->reader.lf_is_end);
}

/* Its octets are of no use any more; it is still read to its end. */
void message_refuse(struct session *s, enum refusal why)
{
    if (s->mail.message.refusal == REFUSAL_NONE)
        s->mail.message.refusal = why;
    forget(s);
}

struct str message_header(const struct message *m)
{
    struct str all = buf_view(&m->bytes);
    return str_head(all, mail_header_size(all));
}

/* --- taking octets --- */

static int write_out(struct session *s, struct str bytes)
{
    struct message *m = &s->mail.message;
    if (fd_write_all(m->fd, bytes.p, bytes.n) != 0) {
        int error = errno;
        log_error("message-write", LZ("session", s->id), LZ("why", strerror(error)));
        errno = error;
        return -1;
    }
    m->fd_size += bytes.n;
    return 0;
}

/* Of a spool file that could not be written. */
static enum refusal refusal_by_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? REFUSAL_FULL : REFUSAL_SPOOL;
}

void message_take(struct session *s, struct str bytes)
{
    struct message *m = &s->mail.message;
    if (m->refusal || bytes.n == 0)
        return;
    if (m->fd >= 0) {
        if (write_out(s, bytes) != 0)
            message_refuse(s, refusal_by_errno());
        return;
    }
    buf_str(&m->bytes, bytes);
    message_charge(s, m->bytes.cap);
    if (s->smtpd->memory > session_cfg(s)->message_memory_limit)
        message_refuse(s, REFUSAL_MEMORY);
}

/* --- the spool --- */

/* Only the header stays in memory, for the checks at the end. */
static void keep_header(struct session *s)
{
    struct message *m = &s->mail.message;
    struct buf header = {0};
    buf_str(&header, message_header(m));
    buf_free(&m->bytes);
    m->bytes = header;
    message_charge(s, m->bytes.cap);
}

static bool is_dropped(const struct config_list *names, struct str name)
{
    for (size_t i = 0; i < names->n; i++)
        if (str_caseeq(names->v[i], name))
            return true;
    return false;
}

/* The header without the fields of message_drop_headers: blind copies are nobody's to read. */
static void header_print(struct session *s, struct str header, struct buf *out)
{
    struct mail_header_walk w = mail_header_walk(header);
    struct mail_field f;
    const char *kept = header.p;
    if (header.n == 0) /* of nothing at all: BDAT 0 LAST */
        return;
    while (mail_header_next(&w, &f)) {
        if (!f.colon || !is_dropped(&session_cfg(s)->message_drop_headers, f.name))
            continue;
        buf_add(out, kept, (size_t)(f.whole.p - kept));
        kept = f.whole.p + f.whole.n;
    }
    buf_add(out, kept, (size_t)(header.p + header.n - kept));
}

/* What filters see begins behind our Received. */
static void note_places(struct message *m, struct str head)
{
    struct mail_header_walk w = mail_header_walk(head);
    struct mail_field f;
    m->trace_size = mail_header_next(&w, &f) ? f.whole.n : 0;
    m->body_at = mail_header_size(head);
    m->head_ended = mail_header_ends(str_head(head, m->body_at));
}

/* Our trace, and all that has come so far. */
static int write_begin(struct session *s)
{
    AUTO_BUF head = {0};
    struct str all = buf_view(&s->mail.message.bytes), header = message_header(&s->mail.message);
    trace_build(s, header, &head);
    struct str rewritten = buf_view(&s->mail.message.rewritten);
    header_print(s, rewritten.n ? rewritten : header, &head);
    note_places(&s->mail.message, buf_view(&head));
    struct str rest = str_skip(all, header.n);
    if (rest.n <= JOINED_MAX) {
        buf_str(&head, rest);
        rest.n = 0;
    }
    if (write_out(s, buf_view(&head)) != 0)
        return -1;
    return write_out(s, rest);
}

static void begin_spool(struct session *s, int fd)
{
    s->mail.message.fd = fd;
    if (write_begin(s) != 0)
        message_refuse(s, refusal_by_errno());
    else
        keep_header(s);
}

static void on_spool(struct session *s, void *arg, struct msg *m)
{
    (void)arg;
    if (!m || m->spool_reply.verdict != VERDICT_YES) {
        log_warning("spool", LZ("session", s->id), LZ("why", m ? "refused" : "no answer"));
        message_refuse(s, m && m->spool_reply.verdict == VERDICT_FULL ? REFUSAL_FULL : REFUSAL_SPOOL);
        return;
    }
    begin_spool(s, m->fd);
    m->fd = -1;
}

static void ask_spool(struct session *s, bool ok)
{
    struct msg m = MSG_INIT(spool_ask);
    if (!ok) {
        message_refuse(s, REFUSAL_SPOOL);
        return;
    }
    m.spool_ask.size = s->mail.from.size;
    ask(s, s->smtpd->queue, &m, ASK_QUEUE_MS, on_spool, NULL);
}

void message_make_room(struct session *s)
{
    struct message *m = &s->mail.message;
    if (m->refusal || m->fd >= 0 || m->bytes.n <= IN_MEMORY_MAX)
        return;
    if (mail_header_size(buf_view(&m->bytes)) == m->bytes.n) {
        message_refuse(s, REFUSAL_HEADER);
        return;
    }
    if (!s->mail.house)
        house_header(s, ask_spool);
}

/* --- the end --- */

static int make_memfd(struct session *s, struct err *e)
{
    struct message *m = &s->mail.message;
    m->fd = memfd_create("facteur-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (m->fd < 0)
        return err_temp(e, "memfd: %s", strerror(errno));
    if (write_begin(s) != 0)
        return err_temp(e, "memfd: %s", strerror(errno));
    /* Who takes it need not fear that we change it while they read. */
    if (fcntl(m->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return err_temp(e, "sealing: %s", strerror(errno));
    return 0;
}

int message_seal(struct session *s, struct err *e)
{
    struct message *m = &s->mail.message;
    if (m->fd < 0) {
        if (make_memfd(s, e) != 0)
            return -1;
        message_charge(s, m->fd_size);
    } else {
        message_charge(s, 0);
    }
    buf_free(&m->bytes);
    return 0;
}
