/* The selected mailbox: message sets, keywords, names; see imap.h. */
#include "session/imap.h"

#include "session/search_run.h"

#include <poll.h>
#include <stdlib.h>

void imap_leave_status(struct imap_session *s)
{
    store_mailbox_close(s->status_view);
    s->status_view = NULL;
}

void imap_unselect(struct imap_session *s)
{
    imap_leave_status(s); /* it may be what is selected next */
    store_mailbox_close(s->mailbox);
    s->mailbox = NULL;
    free(s->mailbox_name);
    s->mailbox_name = NULL;
    buf_free(&s->told_flags);
    search_leave(s);
}

#define PAUSE_MS 100

/* As long as imap_input_soon waited, if it did. */
static bool client_pauses(const struct imap_session *s)
{
    struct pollfd p = {.fd = s->in_fd, .events = POLLIN};
    return !imap_input_pending(s) && poll(&p, 1, s->soon ? 0 : PAUSE_MS) == 0;
}

void imap_answered(struct imap_session *s)
{
    output_flush(&s->out);
    if (s->mailbox)
        store_index_pause(s->index);
}

void imap_quiet(struct imap_session *s)
{
    if (!s->mailbox)
        return;
    /* A client that goes on at once is not to wait for what can wait: SELECT is followed by FETCH as a rule. */
    bool unsettled = store_mailbox_unsettled(s->mailbox);
    if ((!unsettled && !store_index_untidy(s->index)) || !client_pauses(s))
        return;
    if (unsettled)
        store_mailbox_settle(s->mailbox, true);
    store_index_tidy(s->index);
}

/* --- message sets --- */

/* A sequence number that does not exist is an error of the client (RFC 9051 9: seq-number); "*" in
 * an empty mailbox names nothing. */
static bool numbers_exist(const struct imap_set *set, size_t count)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct imap_range *r = &set->ranges[i];
        if (r->first != IMAP_STAR && r->last != IMAP_STAR && (r->first > count || r->last > count))
            return false;
    }
    return true;
}

/* The indexes from first to (not with) end that a range of numbers or UIDs covers. */
static void range_bounds(struct imap_session *s, const struct imap_range *r, bool uid,
                         size_t *first, size_t *end)
{
    size_t count = store_mailbox_count(s->mailbox);
    bool exact = false;
    *first = r->first - 1;
    *end = r->last;
    if (uid) {
        *first = store_mailbox_find(s->mailbox, r->first, &exact);
        *end = store_mailbox_find(s->mailbox, r->last, &exact);
        *end += exact;
    }
    *end = *end < count ? *end : count;
    *first = *first < *end ? *first : *end;
}

int imap_indexes(struct imap_session *s, const struct imap_set *set, bool uid,
                 struct imap_indexes *out)
{
    size_t count = store_mailbox_count(s->mailbox), total = 0, first, end;
    *out = (struct imap_indexes){0};
    if (!uid && !numbers_exist(set, count))
        return -1;
    if (count == 0)
        return 0;
    uint32_t max = uid ? store_mailbox_at(s->mailbox, count - 1)->uid : (uint32_t)count;
    struct imap_set r = set->saved ? s->saved : imap_set_resolve(s->arena, set, max);
    uid |= set->saved;
    for (size_t i = 0; i < r.n; i++) {
        range_bounds(s, &r.ranges[i], uid, &first, &end);
        total += end - first;
    }
    out->v = arena_array(s->arena, total, sizeof *out->v);
    for (size_t i = 0; i < r.n; i++) {
        range_bounds(s, &r.ranges[i], uid, &first, &end);
        for (size_t at = first; at < end; at++)
            out->v[out->n++] = at;
    }
    return 0;
}

int imap_get_set_indexes(struct imap_session *s, struct imap_cursor *c, struct imap_set *set,
                         struct imap_indexes *out)
{
    if (imap_get_space(c) != 0 || imap_get_set(c, s->arena, set) != 0) {
        imap_reply_bad(s, c->wrong);
        return -1;
    }
    if (imap_indexes(s, set, s->command->uid, out) != 0) {
        imap_reply_bad(s, "No such message number");
        return -1;
    }
    /* "*" reaches as far as UIDs were ever given: what vanished at the end counts too. */
    *set = set->saved ? s->saved
                      : imap_set_resolve(s->arena, set, store_mailbox_uidnext(s->mailbox) - 1);
    return 0;
}

int imap_get_indexes(struct imap_session *s, struct imap_cursor *c, struct imap_indexes *out)
{
    struct imap_set set;
    return imap_get_set_indexes(s, c, &set, out);
}

void imap_write_uids(struct buf *b, const uint32_t *uids, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t j = i + 1;
        while (j < n && uids[j] == uids[j - 1] + 1)
            j++;
        buf_printf(b, j - i > 1 ? "%s%u:%u" : "%s%u", i ? "," : "", uids[i], uids[j - 1]);
        i = j;
    }
}

bool imap_refuse_read_only(struct imap_session *s)
{
    if (!store_mailbox_read_only(s->mailbox))
        return false;
    imap_reply_no(s, "[CANNOT] The mailbox is open read-only");
    return true;
}

/* --- keywords --- */

static int keyword_new(struct imap_session *s, struct str name, unsigned *bit)
{
    struct err e = {0};
    if (name.n > s->settings->keyword_length_max) {
        imap_reply_no(s, "[LIMIT] Keyword longer than %zu bytes", s->settings->keyword_length_max);
        return -1;
    }
    if (store_mailbox_keyword_add(s->mailbox, name, bit, &e) == 0)
        return 0;
    imap_reply_error(s, &e);
    if (e.kind == ERR_PERMANENT)
        imap_reply_no(s, "[LIMIT] %s", e.client[0] ? e.client : "No room for more keywords");
    return -1;
}

int imap_keyword_bits(struct imap_session *s, const struct imap_flags *flags, bool create,
                      uint32_t *bits)
{
    bool made = false;
    int r = 0;
    *bits = 0;
    for (size_t i = 0; i < flags->n && r == 0; i++) {
        int known = store_mailbox_keyword_find(s->mailbox, flags->keywords[i]);
        unsigned bit = known >= 0 ? (unsigned)known : 0;
        if (known < 0 && !create)
            continue;
        if (known < 0) {
            r = keyword_new(s, flags->keywords[i], &bit);
            made |= r == 0;
        }
        if (r == 0)
            *bits |= 1u << bit;
    }
    /* A client must know a keyword before it sees it on a message (RFC 3501 7.2.6). */
    if (made)
        imap_tell_flags(s);
    return r;
}
