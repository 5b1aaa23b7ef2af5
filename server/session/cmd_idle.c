/*
 * IDLE (RFC 2177): changes are told as they happen, until the client says DONE.
 *
 * The mailbox's watch wakes it; where that cannot be had it looks every few seconds.
 */
#include "session/imap.h"

#include "base/clock.h"
#include "session/search_text.h"

#include <errno.h>
#include <poll.h>

enum { SETTLE_MS = 20, LOOK_ANYWAY_MS = 300000 };

struct idle {
    struct imap_session *s;
    int notify; /* the mailbox's, -1: looks now and then instead */
    int64_t look_at, alive_at, end_at; /* when to look anyway, to say something, to give up */
};

static void look(struct idle *w)
{
    struct imap_session *s = w->s;
    int64_t now = clock_mono_ms();
    w->look_at = now + (w->notify >= 0 ? LOOK_ANYWAY_MS : s->settings->poll_ms);
    if (s->mailbox && store_mailbox_changed(s->mailbox)) {
        imap_state_spoil(s);
        imap_tell_changes(s, true);
        imap_nap_begin(s);
    }
    int due = s->mailbox ? store_mailbox_due_ms(s->mailbox) : -1;
    if (due >= 0 && now + due + 1 < w->look_at)
        w->look_at = now + due + 1;
    if (s->out.b.n)
        w->alive_at = now + s->settings->idle_notify_ms;
    search_text_silence(s);
}

static int next_wait(const struct idle *w)
{
    int64_t at = w->look_at < w->alive_at ? w->look_at : w->alive_at;
    at = search_text_due(w->s) < at ? search_text_due(w->s) : at;
    at = imap_nap_due(w->s) < at ? imap_nap_due(w->s) : at;
    at = (at < w->end_at ? at : w->end_at) - clock_mono_ms();
    return at < 0 ? 0 : at > INT32_MAX ? INT32_MAX : (int)at;
}

/* Until the client has sent something (true), or the session has to end. */
static bool wait_for_client(struct idle *w)
{
    struct imap_session *s = w->s;
    struct pollfd p[2] = {{.fd = s->in_fd, .events = POLLIN}, {.fd = w->notify, .events = POLLIN}};
    while (!s->done) {
        output_flush(&s->out);
        if (s->out.failed) {
            s->done = true;
            return false;
        }
        imap_state_write(s);
        int r = poll(p, 2, next_wait(w));
        if (r < 0 && errno != EINTR)
            return false;
        if (r > 0 && p[0].revents) {
            imap_state_spoil(s);
            return true;
        }
        int64_t now = clock_mono_ms();
        if (r > 0 && p[1].revents) {
            /* A delivery is several renames; let it come to rest. */
            poll(p, 1, SETTLE_MS);
            look(w);
        } else if (now >= w->end_at) {
            imap_bye(s, "Logged out after a long silence");
        } else if (now >= imap_nap_due(s)) {
            imap_nap(s);
        } else if (now >= w->alive_at) {
            w->alive_at = now + s->settings->idle_notify_ms;
            output_z(&s->out, "* OK Still here\r\n");
        } else if (now >= w->look_at) {
            look(w);
        } else if (now >= search_text_due(s)) {
            search_text_work(s);
        }
    }
    return false;
}

/* The line that ends it. */
static void hear_end(struct idle *w)
{
    struct imap_session *s = w->s;
    struct imap_line line;
    while (!s->done) {
        struct str in = imap_input(s);
        if (in.n == 0) {
            if (imap_input_pending(s) || wait_for_client(w))
                imap_input_read(s);
            continue;
        }
        enum imap_event event = imap_reader_feed(&s->reader, &in, &line);
        imap_input_eat(s, in);
        if (event == IMAP_MORE)
            continue;
        struct str word = {line.args.p, (size_t)(line.args.end - line.args.p)};
        if (event == IMAP_COMMAND && str_caseeq(word, STR("DONE")))
            imap_reply_done(s);
        else
            imap_reply_bad(s, "Expected DONE");
        return;
    }
}

void imap_cmd_idle(struct imap_session *s, struct imap_cursor *args)
{
    if (imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    output_z(&s->out, "+ idling\r\n");
    imap_idle_go_on(s);
}

void imap_idle_go_on(struct imap_session *s)
{
    int64_t now = clock_mono_ms();
    struct idle w = {.s = s, .notify = s->mailbox ? store_mailbox_watch(s->mailbox) : -1,
                     .alive_at = now + s->settings->idle_notify_ms,
                     .end_at = now + s->settings->inactivity_ms};
    s->idling = true;
    imap_nap_begin(s);
    imap_tell_changes(s, true); /* also what had to wait while numbers might not move */
    look(&w);
    imap_reader_next(&s->reader);
    imap_reader_plain(&s->reader);
    hear_end(&w);
    s->idling = false;
}
