/*
 * Asking the filters: of a sender, each recipient, and the whole message. They come last, after our
 * own rules. Their no is the client's reply; where they cannot be asked, milter_default_action says
 * what happens.
 */
#include "base/log.h"
#include "smtp/smtp.h"

enum { DEFAULT_ACCEPT, DEFAULT_REJECT, DEFAULT_TEMPFAIL, DEFAULT_QUARANTINE };

struct wait {
    filter_fn go, refused;
    const char *verb;
};

static bool is_wanted(const struct session *s)
{
    return session_cfg(s)->smtpd_milters.n > 0 && !s->mail.discard;
}

void filter_abort(struct session *s)
{
    struct msg m = MSG_INIT(filter_abort);
    if (!s->mail.filtered)
        return;
    s->mail.filtered = false;
    m.filter_abort.session = s->filter_number;
    rpc_tell(s->smtpd->filter, &m);
}

void filter_end(struct session *s)
{
    struct msg m = MSG_INIT(filter_end);
    if (!s->filter_number)
        return;
    m.filter_end.session = s->filter_number;
    rpc_tell(s->smtpd->filter, &m);
    s->filter_number = 0;
}

/* --- answers --- */

/* True: it may go on. */
static bool judge(struct session *s, enum filter_action action, struct str text)
{
    switch (action) {
    case FILTER_CONTINUE:
        return true;
    case FILTER_DISCARD:
        s->mail.discard = true;
        return true;
    case FILTER_REJECT:
        reply(s, "550 5.7.1 Command rejected");
        return false;
    case FILTER_REPLY:
        if (str_is_text(text) && text.n > 4 && (text.p[0] == '4' || text.p[0] == '5')) {
            reply(s, "%.*s", STR_FMT(text));
            return false;
        }
        break;
    case FILTER_TEMPFAIL:
        break;
    }
    reply(s, "451 4.7.1 Service unavailable - try again later");
    return false;
}

/* There is no filter program just now. */
static bool by_default(struct session *s)
{
    log_warning("filter", LZ("session", s->id), LZ("why", "no answer"));
    switch (session_cfg(s)->milter_default_action) {
    case DEFAULT_QUARANTINE:
        s->mail.hold = true;
        return true;
    case DEFAULT_ACCEPT:
        return true;
    case DEFAULT_REJECT:
        return judge(s, FILTER_REJECT, (struct str){"", 0});
    default:
        return judge(s, FILTER_TEMPFAIL, (struct str){"", 0});
    }
}

static bool answer(struct session *s, const struct wait *w, const struct msg *m)
{
    s->verb = w->verb;
    if (!m)
        return by_default(s);
    /* The three replies begin alike. */
    return judge(s, (enum filter_action)m->filter_mail_reply.action, m->filter_mail_reply.text);
}

static void on_answer(struct session *s, void *arg, struct msg *m)
{
    const struct wait *w = arg;
    if (answer(s, w, m))
        w->go(s);
    else
        w->refused(s);
}

static void on_message(struct session *s, void *arg, struct msg *m)
{
    const struct wait *w = arg;
    s->mail.filtered = false; /* its transaction ended there too */
    if (!answer(s, w, m))
        w->refused(s);
    else if (!m || s->mail.discard)
        w->go(s);
    else
        edits_apply(s, m->fd, w->go, w->refused);
}

/* --- asks --- */

static struct wait *wait_new(struct session *s, filter_fn go, filter_fn refused, const char *verb)
{
    struct wait *w = ARENA_NEW(s->mail.arena, struct wait);
    *w = (struct wait){go, refused, verb};
    return w;
}

static void mail_with_names(struct session *s, void *arg)
{
    struct msg m = MSG_INIT(filter_mail_ask);
    if (!s->filter_number)
        s->filter_number = ++s->smtpd->last_filtered;
    s->mail.filtered = true;
    m.filter_mail_ask = (struct msg_filter_mail_ask){
        .session = s->filter_number, .client = str_from(s->peer.text), .port = s->peer.port,
        .helo = str_from(s->hello), .login = str_from(s->login), .message = s->mail.id,
        .sender = s->mail.from.path, .name = names_verified(s), .reverse = names_reverse(s)};
    if (session_is_tls(s)) {
        m.filter_mail_ask.tls_protocol = str_head(str_from(conn_tls_protocol(s->conn)), 20);
        m.filter_mail_ask.tls_cipher = str_head(str_from(conn_tls_cipher(s->conn)), 100);
        m.filter_mail_ask.tls_bits = (uint32_t)conn_tls_bits(s->conn);
    }
    ask(s, s->smtpd->filter, &m, ASK_FILTER_MS, on_answer, arg);
}

void filter_mail(struct session *s, filter_fn go, filter_fn refused)
{
    if (is_wanted(s))
        names_need(s, mail_with_names, wait_new(s, go, refused, "MAIL"));
    else
        go(s);
}

void filter_rcpt(struct session *s, struct str address, filter_fn go, filter_fn refused)
{
    struct msg m = MSG_INIT(filter_rcpt_ask);
    if (!is_wanted(s) || !s->mail.filtered) {
        go(s);
        return;
    }
    m.filter_rcpt_ask.session = s->filter_number;
    m.filter_rcpt_ask.address = address;
    ask(s, s->smtpd->filter, &m, ASK_FILTER_MS, on_answer, wait_new(s, go, refused, "RCPT"));
}

void filter_message(struct session *s, filter_fn go, filter_fn refused)
{
    struct msg m = MSG_INIT(filter_message_ask);
    if (!is_wanted(s) || !s->mail.filtered) {
        go(s);
        return;
    }
    m.fd = s->mail.message.fd;
    m.filter_message_ask.session = s->filter_number;
    m.filter_message_ask.size = s->mail.message.fd_size;
    m.filter_message_ask.skip = s->mail.message.trace_size;
    ask(s, s->smtpd->filter, &m, ASK_FILTER_MS, on_message, wait_new(s, go, refused, "DATA"));
}
