/* One session from greeting to end: lines in, commands dispatched, replies out. */
#include "session/imap.h"

#include "base/log.h"
#include "session/squeeze.h"
#include "session/stop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { WRONG_MAX = 20, ARENA_CHUNK = 4096 };

void session_settings_default(struct session_settings *s)
{
    *s = (struct session_settings){
        .maildir_fd = -1,
        .rest_ms = 2000,
        .state_fd = -1,
        .message_size_limit = 50 << 20,
        .keyword_length_max = 50,
        .idle_notify_ms = 120000,
        .inactivity_ms = 30 * 60000,
        .write_ms = 5 * 60000,
        .poll_ms = 5000,
        .fts = true,
    };
}

static const struct imap_command *command_named(struct str name)
{
    const struct imap_command *c = imap_commands;
    while (c->name && !str_eq(str_from(c->name), name))
        c++;
    return c->name ? c : NULL;
}

/* "UID" takes the next word with it: "UID FETCH". */
static const struct imap_command *find_command(struct imap_line *line)
{
    struct str sub = {0};
    bool uid = str_caseeq(line->name, STR("UID"));
    if (uid && (imap_get_space(&line->args) != 0 || imap_get_atom(&line->args, &sub) != 0))
        return NULL;
    for (const struct imap_command *c = imap_commands; c->name; c++) {
        struct str name = str_from(c->name);
        if (c->uid != uid)
            continue;
        if (uid ? str_caseeq(str_skip(name, 4), sub) : str_caseeq(name, line->name))
            return c;
    }
    return NULL;
}

static void send_reply(struct imap_session *s)
{
    output_printf(&s->out, "%s ", s->tag);
    output_str(&s->out, buf_view(&s->reply));
    output_z(&s->out, "\r\n");
}

/* It leaves a mailbox that is asleep as it is. */
static bool needs_no_messages(const struct imap_command *c)
{
    return c->run == imap_cmd_noop || c->run == imap_cmd_idle || c->run == imap_cmd_logout ||
           c->run == imap_cmd_unselect;
}

static void run_command(struct imap_session *s, struct imap_line *line)
{
    const struct imap_command *c = s->command = find_command(line);
    unsigned state = s->mailbox ? IMAP_SELECTED : IMAP_AUTHENTICATED;
    if (!c) {
        imap_reply_bad(s, line->args.wrong ? line->args.wrong : "Unknown command");
    } else if (!(c->states & state)) {
        imap_reply_bad(s, "No mailbox is selected");
    } else if (!needs_no_messages(c) && imap_wake(s) != 0) {
        return;
    } else {
        c->run(s, &line->args);
        if (c->tell != IMAP_TELL_NOTHING && !s->done)
            imap_tell_changes(s, c->tell == IMAP_TELL_ALL);
    }
}

static void count_wrong(struct imap_session *s)
{
    if (!str_starts(buf_view(&s->reply), STR("BAD")))
        s->wrong = 0;
    else if (++s->wrong >= WRONG_MAX && !s->done)
        imap_bye(s, "Too many invalid commands");
}

static void set_tag(struct imap_session *s, struct str tag)
{
    free(s->tag);
    s->tag = mem_strdup(tag.n ? tag : STR("*"));
}

/* What follows a command's own answers. */
static void end_command(struct imap_session *s)
{
    /* A command that refused its literal has moved the reader on already. */
    if (s->reply.n)
        send_reply(s);
    count_wrong(s);
    if (s->squeeze_due)
        imap_start_compression(s);
    s->command = NULL;
    arena_reset(s->arena);
}

static void on_command(struct imap_session *s, struct imap_line *line)
{
    set_tag(s, line->tag);
    s->commands++;
    buf_clear(&s->reply);
    run_command(s, line);
    end_command(s);
}

static void on_wrong(struct imap_session *s, struct imap_line *line)
{
    set_tag(s, line->tag);
    s->command = NULL;
    imap_reply_bad(s, s->reader.wrong);
    send_reply(s);
    count_wrong(s);
    if (s->reader.lost && !s->done) /* RFC 7888 4 */
        imap_bye(s, "[TOOBIG] No literal is that large");
}

static void on_event(struct imap_session *s, enum imap_event event, struct imap_line *line)
{
    switch (event) {
    case IMAP_MORE:
        return;
    case IMAP_LITERAL:
        output_z(&s->out, "+ OK\r\n");
        return;
    case IMAP_MESSAGE:
        on_command(s, line); /* APPEND takes the rest from the reader itself */
        if (imap_reader_at_message(&s->reader))
            imap_reader_refuse(&s->reader);
        return;
    case IMAP_COMMAND:
        on_command(s, line);
        break;
    case IMAP_WRONG:
        on_wrong(s, line);
        break;
    }
    imap_reader_next(&s->reader);
}

/* An IDLE that another process began. */
static void finish_idle(struct imap_session *s)
{
    s->command = command_named(STR("IDLE"));
    imap_idle_go_on(s);
    if (!s->done)
        imap_tell_changes(s, true);
    end_command(s);
    imap_reader_next(&s->reader);
}

static void wait_for_client(struct imap_session *s)
{
    imap_answered(s);
    if (imap_input_soon(s))
        return;
    imap_quiet(s);
    imap_input_read(s);
}

static void serve(struct imap_session *s)
{
    struct imap_line line;
    if (s->idling && !s->done)
        finish_idle(s);
    while (!s->done && !imap_input_stopped()) {
        struct str in = imap_input(s);
        if (in.n == 0) {
            wait_for_client(s);
            continue;
        }
        enum imap_event event = imap_reader_feed(&s->reader, &in, &line);
        imap_input_eat(s, in);
        on_event(s, event, &line);
        if (s->out.failed)
            s->done = true;
    }
}

/* The greeting, or the answer to the command that logged in: its tag is the first line. */
static void greet(struct imap_session *s)
{
    AUTO_BUF caps = {0};
    imap_write_capabilities(s, &caps);
    if (s->settings->preauth) {
        output_printf(&s->out, "* PREAUTH [CAPABILITY %.*s] Facteur ready\r\n",
                      STR_FMT(buf_view(&caps)));
        return;
    }
    while (str_find(imap_input(s), '\n') < 0 && s->in.n < 4096)
        if (!imap_input_read(s))
            return;
    struct str in = imap_input(s), tag;
    str_line(&in, &tag);
    if (tag.n == 0 || tag.n > 1024 || !str_is_graph(tag)) {
        log_error("imap-preamble", LS("user", s->settings->user));
        s->done = true;
        s->status = 1;
        return;
    }
    imap_input_eat(s, in);
    output_printf(&s->out, "%.*s OK [CAPABILITY %.*s] Logged in\r\n", STR_FMT(tag),
                  STR_FMT(buf_view(&caps)));
}

int session_main_imap(int in_fd, int out_fd, const struct session_settings *settings)
{
    struct imap_session s = {.settings = settings, .in_fd = in_fd,
                             .limits = IMAP_LIMITS_SESSION};
    /* The input alone must be able to end. */
    AUTO_FD own_out = in_fd == out_fd ? fcntl(out_fd, F_DUPFD_CLOEXEC, 3) : -1;
    signal(SIGPIPE, SIG_IGN);
    tzset();
    output_init(&s.out, own_out >= 0 ? own_out : out_fd, settings->write_ms);
    imap_reader_init(&s.reader, &s.limits);
    s.arena = arena_new(ARENA_CHUNK);
    s.conv = mail_conv_new();
    s.index = store_index_new(settings->maildir_fd);
    imap_input_begin(&s);
    session_stop_on_signal(in_fd);
    if (!settings->resume)
        greet(&s);
    else if (imap_state_resume(&s) != 0)
        s.done = true;
    serve(&s);
    if (imap_input_stopped())
        imap_bye(&s, imap_input_stopped());
    output_flush(&s.out);
    shutdown(s.out.fd, SHUT_WR); /* the client need not wait for what follows */
    imap_unselect(&s);
    store_index_free(s.index);
    log_info("imap-end", LS("session", settings->id), LS("user", settings->user),
             LS("client", settings->client), LN("commands", s.commands), LN("in", s.bytes_in),
             LN("out", s.out.written));
    mail_conv_free(s.conv);
    arena_free(s.arena);
    imap_reader_free(&s.reader);
    output_free(&s.out);
    squeeze_free(s.squeeze);
    buf_free(&s.in);
    buf_free(&s.reply);
    free(s.tag);
    return s.status;
}
