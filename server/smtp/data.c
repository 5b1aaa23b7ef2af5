/* DATA and BDAT: reading a message (RFC 5321 section 4.1.1.4, RFC 3030). */
#include "smtp/smtp.h"

#define PIECE 16384

/* Memory held by other messages may be gone in a moment: temporary. */
static bool is_room(struct session *s)
{
    if (s->smtpd->memory < session_cfg(s)->message_memory_limit)
        return true;
    reply(s, "452 4.3.1 Insufficient system storage, try again later");
    return false;
}

static const char *no_recipient(const struct session *s)
{
    return s->mail.rcpts_refused ? "554 5.5.1 Error: no valid recipients"
                                 : "503 5.5.1 Error: need RCPT command";
}

/* --- DATA --- */

void command_data(struct session *s, struct str args)
{
    if (args.n) {
        reply(s, "501 5.5.4 Syntax: DATA");
    } else if (s->state != STATE_RCPT) {
        reply(s, "%s", no_recipient(s));
    } else if (is_room(s)) {
        message_start(s);
        s->data_begins = true;
        s->reading = READ_DATA;
        reply(s, "354 End data with <CR><LF>.<CR><LF>");
    }
}

static void check_size(struct session *s)
{
    if (s->mail.message.decoder.size > session_cfg(s)->message_size_limit)
        message_refuse(s, REFUSAL_SIZE);
    if (s->mail.message.decoder.bare_cr || s->mail.message.decoder.bare_lf)
        message_refuse(s, REFUSAL_BARE);
}

void data_read(struct session *s)
{
    char out[PIECE];
    size_t n;
    struct str piece = str_head(conn_in(s->conn), PIECE), rest = piece;
    bool ended = smtp_data_feed(&s->mail.message.decoder, &rest, out, &n);
    conn_consume(s->conn, piece.n - rest.n);
    check_size(s);
    message_take(s, (struct str){out, n});
    s->verb = "DATA";
    if (ended) {
        s->reading = READ_COMMAND;
        accept_message(s);
    } else {
        message_make_room(s);
    }
}

/* --- BDAT --- */

static void stray_end(struct session *s)
{
    s->mail.chunk_stray = false;
    if (s->state == STATE_MAIL)
        reply(s, "%s", no_recipient(s));
    else
        reply(s, "503 5.5.1 Error: need %s command", s->state < STATE_MAIL ? "MAIL" : "RCPT");
}

static void last_end(struct session *s)
{
    struct message *m = &s->mail.message;
    if (!smtp_data_chunks_end(&m->decoder))
        message_take(s, STR("\n"));
    check_size(s);
    accept_message(s);
}

static void chunk_end(struct session *s)
{
    struct mail *m = &s->mail;
    s->verb = "BDAT";
    s->reading = READ_COMMAND;
    if (m->chunk_stray)
        stray_end(s);
    else if (m->chunk_last)
        last_end(s);
    else if (m->message.refusal)
        accept_refuse(s, m->message.refusal);
    else
        reply(s, "250 2.0.0 Ok: %llu bytes", (unsigned long long)m->chunk_size);
}

void chunk_read(struct session *s)
{
    struct mail *m = &s->mail;
    struct str piece = str_head(conn_in(s->conn), PIECE);
    if (piece.n > m->chunk_left)
        piece = str_head(piece, (size_t)m->chunk_left);
    m->chunk_left -= piece.n;
    if (!m->chunk_stray) {
        char out[PIECE];
        size_t n;
        smtp_data_chunk(&m->message.decoder, piece, out, &n);
        check_size(s);
        message_take(s, (struct str){out, n});
    }
    conn_consume(s->conn, piece.n);
    if (!m->chunk_stray && !(m->chunk_last && m->chunk_left == 0))
        message_make_room(s);
    if (m->chunk_left == 0)
        chunk_end(s);
}

static bool is_stray(struct session *s)
{
    if (s->state != STATE_RCPT && s->state != STATE_BDAT)
        return true;
    if (s->state == STATE_RCPT)
        message_start(s);
    s->state = STATE_BDAT;
    return false;
}

/* The chunk follows without waiting for a reply, so it is read whatever we think of the command. */
void command_bdat(struct session *s, struct str args)
{
    struct err e = {0};
    struct mail *m = &s->mail;
    if (smtp_parse_bdat(args, &m->chunk_size, &m->chunk_last, &e) != 0) {
        /* Where the next command begins is unknown now. */
        reply_err(s, &e);
        session_close(s);
        return;
    }
    m->chunk_left = m->chunk_size;
    s->data_begins = s->data_begins || s->state != STATE_BDAT;
    m->chunk_stray = is_stray(s);
    if (s->smtpd->memory >= session_cfg(s)->message_memory_limit && !m->chunk_stray)
        message_refuse(s, REFUSAL_MEMORY);
    s->reading = READ_CHUNK;
    if (m->chunk_size == 0)
        chunk_end(s);
}
