/*
 * The state of a session at rest, written by itself, and a session that goes on from there.
 *
 * It names the mailbox, what the client knows of it, what is enabled, the saved search result, and an IDLE
 * under way; it holds no right: whoever goes on from it has been given a maildir as any session is. Between
 * the end of a wait and the next one there is none, since what the client was told is not known then.
 */
#include "session/imap.h"

#include "base/log.h"
#include "session/squeeze.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_LINE "facteur-imap-state 1"
#define STATE_MAX ((size_t)64 << 20)

/* --- writing: "name length" LF bytes LF --- */

static void put(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "%s %zu\n", name, value.n);
    buf_str(b, value);
    buf_byte(b, '\n');
}

static void put_number(struct buf *b, const char *name, uint64_t n)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    put(b, name, (struct str){text, (size_t)length});
}

static void put_saved(struct buf *b, const struct imap_set *set)
{
    AUTO_BUF text = {0};
    for (size_t i = 0; i < set->n; i++)
        buf_printf(&text, "%u %u ", set->ranges[i].first, set->ranges[i].last);
    put(b, "saved", buf_view(&text));
}

static void put_mailbox(struct imap_session *s, struct buf *b)
{
    AUTO_BUF known = {0};
    store_mailbox_write_known(s->mailbox, s->told_modseq, &known);
    put(b, "mailbox", str_from(s->mailbox_name));
    put_number(b, "read-only", store_mailbox_read_only(s->mailbox));
    put_number(b, "told", s->told_modseq);
    put(b, "known", buf_view(&known));
    put_saved(b, &s->saved);
}

static bool is_at_rest(const struct imap_session *s)
{
    return imap_reader_idle(&s->reader) && s->in_at == s->in.n && s->out.b.n == 0 &&
           !s->out.failed && !s->done;
}

static bool write_all(struct imap_session *s, struct buf *b)
{
    AUTO_BUF window = {0};
    buf_str(b, STR(FIRST_LINE "\n"));
    put_number(b, "enabled", s->enabled);
    if (s->squeeze && !squeeze_write_state(s->squeeze, &window))
        return false;
    if (s->squeeze)
        put(b, "window", buf_view(&window));
    if (s->mailbox)
        put_mailbox(s, b);
    if (s->idling)
        put(b, "idle", str_from(s->tag));
    put(b, "end", STR(""));
    return pwrite(s->settings->state_fd, b->p, b->n, 0) == (ssize_t)b->n;
}

void imap_state_write(struct imap_session *s)
{
    AUTO_BUF b = {0};
    if (s->settings->state_fd < 0 || s->state_written || !is_at_rest(s))
        return;
    s->state_written = true;
    if (!write_all(s, &b))
        imap_state_spoil(s);
}

void imap_state_spoil(struct imap_session *s)
{
    if (s->state_written && ftruncate(s->settings->state_fd, 0) != 0)
        log_warning("imap-state", LS("user", s->settings->user));
    s->state_written = false;
}

/* --- going on --- */

struct state {
    struct str mailbox, known, saved, window, idle;
    uint64_t enabled, read_only, told;
    bool has_mailbox, has_window, has_idle, whole;
};

static int take(struct state *st, struct str name, struct str v)
{
    st->whole = str_eq(name, STR("end"));
    if (str_eq(name, STR("enabled")))
        return str_u64(v, &st->enabled);
    if (str_eq(name, STR("read-only")))
        return str_u64(v, &st->read_only);
    if (str_eq(name, STR("told")))
        return str_u64(v, &st->told);
    if (str_eq(name, STR("mailbox"))) {
        st->mailbox = v;
        st->has_mailbox = true;
    } else if (str_eq(name, STR("known"))) {
        st->known = v;
    } else if (str_eq(name, STR("saved"))) {
        st->saved = v;
    } else if (str_eq(name, STR("window"))) {
        st->window = v;
        st->has_window = true;
    } else if (str_eq(name, STR("idle"))) {
        st->idle = v;
        st->has_idle = true;
    }
    return 0;
}

static int parse(struct str in, struct state *st)
{
    struct str line, name, rest;
    uint64_t n;
    *st = (struct state){0};
    if (!str_line(&in, &line) || !str_eq(line, STR(FIRST_LINE)))
        return -1;
    while (in.n) {
        if (!str_line(&in, &line))
            return -1;
        rest = line;
        if (!str_token(&rest, " ", &name) || str_u64(str_trim(rest), &n) != 0 || n >= in.n ||
            in.p[n] != '\n' || take(st, name, str_head(in, n)) != 0)
            return -1;
        in = str_skip(in, n + 1);
    }
    return st->whole && st->idle.n < 1024 ? 0 : -1;
}

static int resume_saved(struct imap_session *s, struct str text)
{
    struct imap_set *set = &s->saved;
    struct str first, last;
    set->ranges = mem_array(text.n / 4 + 1, sizeof *set->ranges); /* "1 1 " at least */
    while (str_token(&text, " ", &first)) {
        struct imap_range *r = &set->ranges[set->n];
        if (!str_token(&text, " ", &last) || str_u32(first, &r->first) != 0 ||
            str_u32(last, &r->last) != 0)
            return -1;
        set->n++;
    }
    return 0;
}

static int resume_mailbox(struct imap_session *s, const struct state *st, struct err *e)
{
    int r = store_mailbox_resume(s->settings->maildir_fd, st->mailbox, st->read_only != 0, s->index,
                                 st->known, &s->mailbox, e);
    if (r > 0)
        return err_perm(e, "no such mailbox");
    if (r < 0)
        return -1;
    s->mailbox_name = mem_strdup(st->mailbox);
    s->told_modseq = st->told;
    return resume_saved(s, st->saved);
}

static int apply(struct imap_session *s, const struct state *st, struct err *e)
{
    s->enabled = (unsigned)st->enabled;
    if (st->has_window && !(s->squeeze = s->out.squeeze = squeeze_resume(st->window)))
        return err_perm(e, "the compressed stream cannot go on");
    if (st->has_mailbox && resume_mailbox(s, st, e) != 0)
        return -1;
    s->idling = st->has_idle;
    s->tag = mem_strdup(st->has_idle ? st->idle : STR("*"));
    return 0;
}

int imap_state_resume(struct imap_session *s)
{
    AUTO_BUF b = BUF_MAX(STATE_MAX);
    struct state st;
    struct err e = {0};
    s->state_written = true; /* by the one before */
    if (lseek(s->settings->state_fd, 0, SEEK_SET) != 0 ||
        fd_read_all(s->settings->state_fd, &b, STATE_MAX) != 0 || parse(buf_view(&b), &st) != 0)
        err_perm(&e, "there is no state to go on from");
    else if (imap_state_spoil(s), apply(s, &st, &e) == 0)
        return 0;
    log_error("imap-resume", LS("user", s->settings->user), LZ("why", e.log));
    imap_bye(s, "[UNAVAILABLE] The session cannot go on, log in again");
    s->status = 1;
    return -1;
}
