/* One POP3 session from login to end: lines in, commands dispatched; see pop3.h. */
#include "session/pop3.h"

#include "base/clock.h"
#include "base/log.h"
#include "session/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { WRONG_MAX = 20, READ_PIECE = 4096 };

void pop3_reply_error(struct pop3_session *s, const struct err *e)
{
    output_printf(&s->out, "-ERR [SYS/%s] %s\r\n", e->kind == ERR_PERMANENT ? "PERM" : "TEMP",
                  e->client[0] ? e->client : "Cannot do that now, try again later");
    log_warning("pop3-command", LS("user", s->settings->user), LZ("error", e->log));
}

struct pop3_message *pop3_find(struct pop3_session *s, uint32_t number)
{
    struct pop3_message *m = number <= s->count ? &s->message[number - 1] : NULL;
    if (m && !m->deleted && !m->gone)
        return m;
    output_z(&s->out, !m         ? "-ERR No such message\r\n"
                      : m->gone  ? "-ERR This message no longer exists\r\n"
                                 : "-ERR This message is marked to be deleted\r\n");
    return NULL;
}

int pop3_size(struct pop3_session *s, uint32_t number, uint64_t *octets, struct err *e)
{
    struct pop3_message *m = &s->message[number - 1];
    if (m->gone)
        return 1;
    int r = store_mailbox_measure(s->mailbox, number - 1, e);
    if (r == 0)
        *octets = store_mailbox_at(s->mailbox, number - 1)->vsize;
    m->gone = r > 0;
    return r;
}

/* --- input --- */

static bool wait_readable(struct pop3_session *s)
{
    struct pollfd p = {.fd = s->in_fd, .events = POLLIN};
    int64_t end = clock_mono_ms() + s->settings->inactivity_ms;
    for (;;) {
        int64_t left = end - clock_mono_ms();
        int r = left > 0 ? poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) : 0;
        if (r > 0)
            return true;
        if (r == 0 || errno != EINTR)
            return false;
    }
}

/* What is to be said has left before anything is waited for. False at the end, and after a long
 * silence, which is answered with nothing and removes nothing (RFC 1939 section 3). */
static bool read_more(struct pop3_session *s)
{
    ssize_t r = 0;
    output_flush(&s->out);
    if (!s->out.failed && wait_readable(s)) {
        char *at = buf_room(&s->in, READ_PIECE);
        do {
            r = read(s->in_fd, at, READ_PIECE);
        } while (r < 0 && errno == EINTR);
    }
    if (r <= 0)
        return false;
    s->in.n += (size_t)r;
    s->bytes_in += (uint64_t)r;
    return true;
}

/* The next line; false at the end, or when a signal ends the session. */
static bool next_line(struct pop3_session *s, enum pop3_event *event, struct str *line)
{
    for (;;) {
        struct str rest = buf_view(&s->in);
        *event = pop3_reader_feed(&s->reader, &rest, line);
        buf_consume(&s->in, s->in.n - rest.n);
        if (*event != POP3_MORE)
            return true;
        if (!read_more(s))
            return false;
    }
}

/* --- commands --- */

static void on_line(struct pop3_session *s, enum pop3_event event, struct str line)
{
    struct pop3_command c;
    const char *wrong = event == POP3_WRONG ? s->reader.wrong : pop3_command_parse(line, &c);
    s->commands++;
    if (!wrong) {
        s->wrong = 0;
        pop3_run(s, &c);
        return;
    }
    output_printf(&s->out, "-ERR %s\r\n", wrong);
    if (++s->wrong >= WRONG_MAX) {
        output_z(&s->out, "-ERR Too many wrong commands\r\n");
        s->done = true;
    }
}

static void serve(struct pop3_session *s)
{
    enum pop3_event event;
    struct str line;
    while (!s->done && !session_stopped() && next_line(s, &event, &line)) {
        on_line(s, event, line);
        pop3_reader_next(&s->reader);
        if (s->out.failed)
            s->done = true;
    }
}

/* POP3 has no words for the end of a session that the server wants; a client with a command under way takes
 * this for its answer (RFC 3206 section 4). Nothing is removed. */
static void say_stopped(struct pop3_session *s)
{
    output_z(&s->out, session_stopped() == SIGHUP
                          ? "-ERR [AUTH] This login is not valid any more\r\n"
                          : "-ERR [SYS/TEMP] The server is going down, try again later\r\n");
}

/* --- start and end --- */

/* The first line is the access program's: empty, or UTF8 when the client said so (RFC 6856).
 * Messages go out as they are in both modes. */
static int read_preamble(struct pop3_session *s)
{
    enum pop3_event event;
    struct str line;
    if (s->settings->preauth)
        return 0;
    if (!next_line(s, &event, &line))
        return -1;
    if (event != POP3_LINE || (line.n && !str_eq(line, STR("UTF8")))) {
        log_error("pop3-preamble", LS("user", s->settings->user));
        s->status = 1;
        return -1;
    }
    pop3_reader_next(&s->reader);
    return 0;
}

static int open_maildrop(struct pop3_session *s)
{
    struct err e = {0};
    int r = pop3_lock(s, &e);
    if (r > 0) {
        output_z(&s->out, "-ERR [IN-USE] Another POP3 session has this maildrop\r\n");
        return -1;
    }
    if (r == 0) {
        s->index = store_index_new(s->settings->maildir_fd);
        r = store_mailbox_open_once(s->settings->maildir_fd, STR("INBOX"), s->index, &s->mailbox,
                                    &e);
    }
    if (r > 0)
        err_temp(&e, "there is no INBOX");
    if (r != 0) {
        pop3_reply_error(s, &e);
        return -1;
    }
    s->count = (uint32_t)store_mailbox_count(s->mailbox);
    s->message = mem_array(s->count ? s->count : 1, sizeof *s->message);
    output_z(&s->out, "+OK Logged in.\r\n");
    return 0;
}

static void end(struct pop3_session *s)
{
    store_mailbox_close(s->mailbox);
    store_index_free(s->index);
    pop3_unlock(s);
    if (s->kept_known)
        store_uidlist_free(&s->kept);
    output_flush(&s->out);
    log_info("pop3-end", LS("session", s->settings->id), LS("user", s->settings->user),
             LS("client", s->settings->client), LN("commands", s->commands),
             LN("retrieved", s->retrieved), LN("deleted", s->deleted), LN("left", s->count - s->deleted),
             LN("in", s->bytes_in), LN("out", s->out.written));
    output_free(&s->out);
    pop3_reader_free(&s->reader);
    buf_free(&s->in);
    free(s->message);
}

int session_main_pop3(int in_fd, int out_fd, const struct session_settings *settings)
{
    struct pop3_session s = {.settings = settings, .in_fd = in_fd, .lock_fd = -1};
    /* The input alone must be able to end. */
    AUTO_FD own_out = in_fd == out_fd ? fcntl(out_fd, F_DUPFD_CLOEXEC, 3) : -1;
    signal(SIGPIPE, SIG_IGN);
    output_init(&s.out, own_out >= 0 ? own_out : out_fd, settings->write_ms);
    pop3_reader_init(&s.reader, POP3_LINE_MAX);
    session_stop_on_signal(in_fd);
    if (read_preamble(&s) == 0 && open_maildrop(&s) == 0)
        serve(&s);
    if (session_stopped() && !s.done)
        say_stopped(&s);
    end(&s);
    return s.status;
}
