/*
 * One message to one server, from MAIL to the answer to its end. What is sent ahead of its reply (RFC
 * 2920): MAIL, all RCPT, and DATA; where CHUNKING is offered (RFC 3030) the whole message is one BDAT,
 * after the answers to RCPT. In LMTP (RFC 2033) each recipient has an answer of its own to the message.
 */
#include "base/log.h"
#include "protocol/smtp/dsn.h"
#include "relay/relay.h"

#define OUT_MAX 65536 /* of the message, waiting to be sent */

/* The same for every recipient of this transaction that is still open. */
static void fate_of_all(struct client *c, enum fate fate, const char *status, const char *text)
{
    struct job *j = c->job;
    char server[300];
    client_server(c, server);
    for (size_t i = 0; i < c->order_n; i++)
        if (j->rcpt[c->order[i]].fate == FATE_OPEN)
            job_recipient(j, c->order[i], fate, status, server, text);
}

/* A code that makes no sense here is a trouble of now. */
static enum fate fate_of_code(unsigned code)
{
    return code / 100 == 2 ? FATE_YES : code / 100 == 5 ? FATE_NO : FATE_LATER;
}

/* The transaction is over; a connection on which all went well is kept. */
static bool over(struct client *c, bool keep)
{
    struct job *j = c->job;
    j->client = NULL;
    if (keep)
        idle_put(c);
    else
        client_quit(c);
    job_transaction_over(j, true);
    return false;
}

static bool needs_utf8(const struct job *j)
{
    if (((j->flags & ENQUEUE_SMTPUTF8) && j->source.eight_bit_head) || !str_is_ascii(j->sender))
        return true;
    for (size_t r = 0; r < j->rcpts; r++)
        if (!str_is_ascii(j->rcpt[r].address))
            return true;
    return false;
}

/* Why this server can never take this message as it is; status is "" when it can. */
static const char *unfit(const struct client *c, const char **status)
{
    const struct job *j = c->job;
    *status = "5.6.7"; /* RFC 6531 section 3.2 */
    if (needs_utf8(j) && !(c->offers & SMTP_OFFERS_SMTPUTF8))
        return "The server does not offer SMTPUTF8, which the addresses or the header need";
    *status = "5.6.3"; /* RFC 6152 section 3 */
    if (j->source.eight_bit && !(c->offers & SMTP_OFFERS_8BITMIME))
        return "The server does not offer 8BITMIME, and the message has 8-bit text";
    *status = "5.3.4"; /* RFC 1870 section 6.1 */
    if ((c->offers & SMTP_OFFERS_SIZE) && c->size_limit && j->source.wire_size > c->size_limit)
        return "The message is larger than the server takes";
    return NULL;
}

/* Passed on as they came (RFC 3461 section 5.2.1). */
static void dsn_rcpt(struct client *c, const struct recipient *r)
{
    AUTO_BUF words = {0};
    smtp_notify_print(r->notify, &words);
    if (r->notify)
        conn_printf(c->conn, " NOTIFY=%s", buf_z(&words));
    if (r->orcpt.n && (str_is_ascii(r->orcpt) || needs_utf8(c->job)))
        conn_printf(c->conn, " ORCPT=%.*s", STR_FMT(r->orcpt));
}

static void dsn_mail(struct client *c)
{
    const struct job *j = c->job;
    if (j->ret)
        conn_printf(c->conn, " RET=%s", j->ret == SMTP_RET_HDRS ? "HDRS" : "FULL");
    if (j->envid.n)
        conn_printf(c->conn, " ENVID=%.*s", STR_FMT(j->envid));
}

static void send_rcpt(struct client *c)
{
    struct job *j = c->job;
    const struct recipient *r = &j->rcpt[c->order[c->sent]];
    conn_printf(c->conn, "RCPT TO:<%.*s>", STR_FMT(r->address));
    if (c->offers & SMTP_OFFERS_DSN)
        dsn_rcpt(c, r);
    conn_printf(c->conn, "\r\n");
    c->sent++;
}

static void send_mail(struct client *c)
{
    struct job *j = c->job;
    conn_printf(c->conn, "MAIL FROM:<%.*s>", STR_FMT(j->sender));
    if (c->offers & SMTP_OFFERS_SIZE)
        conn_printf(c->conn, " SIZE=%llu", (unsigned long long)j->source.wire_size);
    if (j->source.eight_bit)
        conn_printf(c->conn, " BODY=8BITMIME");
    if (needs_utf8(j))
        conn_printf(c->conn, " SMTPUTF8");
    if (c->offers & SMTP_OFFERS_DSN)
        dsn_mail(c);
    conn_printf(c->conn, "\r\n");
    while ((c->offers & SMTP_OFFERS_PIPELINING) && c->sent < c->order_n)
        send_rcpt(c);
    /* Not before BDAT, whose bytes would all be on their way to nobody. */
    if (c->sent == c->order_n && c->sent && !(c->offers & SMTP_OFFERS_CHUNKING)) {
        conn_printf(c->conn, "DATA\r\n");
        c->data_sent = true;
    }
    c->step = STEP_MAIL;
    client_deadline(c, c->settings->cfg->smtp_mail_timeout);
}

static void set_order(struct client *c)
{
    struct job *j = c->job;
    c->order = arena_array(j->arena, j->rcpts, sizeof *c->order);
    c->taken = arena_array(j->arena, j->rcpts, sizeof *c->taken);
    c->order_n = c->sent = c->answers = c->accepted = c->dots = 0;
    c->mail_refused = c->data_sent = false;
    for (size_t i = 0; i < j->rcpts; i++)
        if (job_has(j, i) && j->rcpt[i].fate == FATE_OPEN)
            c->order[c->order_n++] = i;
}

void transaction_begin(struct client *c)
{
    const char *status, *why = unfit(c, &status);
    set_order(c);
    if (!c->reused)
        c->job->sessions++;
    if (why) {
        fate_of_all(c, FATE_NO, status, why);
        over(c, true);
        return;
    }
    send_mail(c);
}

static bool take_mail(struct client *c)
{
    if (c->reused)
        c->job->sessions++;
    if (c->reply.code / 100 != 2) {
        fate_of_all(c, fate_of_code(c->reply.code), client_status(c), c->reply.text);
        c->mail_refused = true;
        if (c->sent == 0)
            return over(c, false);
    } else if (c->sent == 0) {
        send_rcpt(c);
    }
    c->step = STEP_RCPT;
    client_deadline(c, c->settings->cfg->smtp_rcpt_timeout);
    return true;
}

static void begin_body(struct client *c, bool bare)
{
    c->step = STEP_BODY;
    c->job->source.bare = bare;
    client_deadline(c, c->settings->cfg->smtp_data_xfer_timeout);
    transaction_write(c);
}

static void begin_data(struct client *c)
{
    if (!c->data_sent && (c->offers & SMTP_OFFERS_CHUNKING)) {
        conn_printf(c->conn, "BDAT %llu LAST\r\n", (unsigned long long)c->job->source.wire_size);
        begin_body(c, true);
        return;
    }
    if (!c->data_sent)
        conn_printf(c->conn, "DATA\r\n");
    c->step = STEP_DATA;
    client_deadline(c, c->settings->cfg->smtp_data_init_timeout);
}

static void note_rcpt(struct client *c, size_t at)
{
    struct job *j = c->job;
    char server[300];
    unsigned code = c->reply.code;
    if (code / 100 == 2) {
        c->taken[at] = true;
        c->accepted++;
        return;
    }
    /* 552 means too many recipients to old servers (RFC 5321 section 4.5.3.1.10). */
    bool now = code == 552 && !c->reply.status[0];
    client_server(c, server);
    job_recipient(j, c->order[at], now ? FATE_LATER : fate_of_code(code), client_status(c), server,
                  c->reply.text);
}

static bool take_rcpt(struct client *c)
{
    size_t at = c->answers++;
    if (!c->mail_refused)
        note_rcpt(c, at);
    client_deadline(c, c->settings->cfg->smtp_rcpt_timeout);
    if (c->answers < c->sent)
        return true;
    if (!c->mail_refused && c->sent < c->order_n) {
        send_rcpt(c);
        return true;
    }
    if (c->accepted == 0 && !c->data_sent)
        return over(c, false);
    begin_data(c);
    return true;
}

/* Everybody was refused, and DATA was on its way: a server that wants the message all the same gets
 * one of no lines (RFC 2920 section 3.1). */
static bool take_data_for_nobody(struct client *c)
{
    if (c->reply.code == 354)
        conn_printf(c->conn, ".\r\n");
    return over(c, false);
}

static bool take_data(struct client *c)
{
    if (c->accepted == 0)
        return take_data_for_nobody(c);
    if (c->reply.code != 354) {
        enum fate f = fate_of_code(c->reply.code);
        fate_of_all(c, f == FATE_YES ? FATE_LATER : f, client_status(c), c->reply.text);
        return over(c, false);
    }
    begin_body(c, false);
    return true;
}

/* RFC 2033 section 4.2: the answers come in the order of the recipients that were taken. */
static bool take_lmtp_dot(struct client *c)
{
    struct job *j = c->job;
    char server[300];
    while (!c->taken[c->dots])
        c->dots++;
    struct recipient *r = &j->rcpt[c->order[c->dots]];
    enum fate f = fate_of_code(c->reply.code);
    client_server(c, server);
    job_recipient(j, c->order[c->dots++], f, client_status(c), server, c->reply.text);
    r->dsn = f == FATE_YES && (c->offers & SMTP_OFFERS_DSN);
    client_deadline(c, c->settings->cfg->smtp_data_done_timeout);
    return --c->accepted > 0 ? true : over(c, true);
}

static bool take_dot(struct client *c)
{
    enum fate f = fate_of_code(c->reply.code);
    bool early = c->step == STEP_BODY || conn_out_size(c->conn) > 0;
    if (c->lmtp && !early)
        return take_lmtp_dot(c);
    /* A yes before the end of the message has left is no yes. */
    if (early && f == FATE_YES)
        f = FATE_LATER;
    for (size_t i = 0; i < c->order_n && f == FATE_YES; i++)
        c->job->rcpt[c->order[i]].dsn = c->offers & SMTP_OFFERS_DSN;
    fate_of_all(c, f, client_status(c), c->reply.text);
    if (early) {
        struct job *j = c->job;
        client_free(c);
        job_transaction_over(j, true);
        return false;
    }
    return over(c, f == FATE_YES);
}

/* The deadline moves with every piece that left. */
void transaction_write(struct client *c)
{
    struct err e = {0};
    int more = 1;
    if (c->step == STEP_DOT)
        client_deadline(c, c->settings->cfg->smtp_data_done_timeout);
    if (c->step != STEP_BODY)
        return;
    while (more == 1 && conn_out_size(c->conn) < OUT_MAX) {
        AUTO_BUF piece = {0};
        more = source_read(&c->job->source, &piece, &e);
        if (more >= 0)
            conn_write(c->conn, piece.p, piece.n);
    }
    if (more < 0) {
        log_error("relay-read", LS("queue_id", c->job->queue_id), LZ("why", e.log));
        client_failed(c, "4.3.0", "the message could not be read");
        return;
    }
    client_deadline(c, c->settings->cfg->smtp_data_xfer_timeout);
    if (more == 0)
        c->step = STEP_DOT;
}

bool transaction_reply(struct client *c)
{
    switch (c->step) {
    case STEP_MAIL:
        return take_mail(c);
    case STEP_RCPT:
        return take_rcpt(c);
    case STEP_DATA:
        return take_data(c);
    default:
        return take_dot(c);
    }
}
