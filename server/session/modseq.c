/* Mod-sequences as the client is told of them: CONDSTORE and QRESYNC (RFC 7162); see imap.h. */
#include "session/imap.h"

#include <stdlib.h>

bool imap_tells_modseq(const struct imap_session *s)
{
    return (s->enabled & IMAP_ON_CONDSTORE) && s->mailbox && store_mailbox_highest(s->mailbox);
}

/* RFC 7162 3.1.2: each SELECT says it, and so does the first command that shows an interest. */
void imap_tell_highest(struct imap_session *s)
{
    uint64_t highest = store_mailbox_highest(s->mailbox);
    if (highest)
        output_printf(&s->out, "* OK [HIGHESTMODSEQ %llu] Highest mod-sequence\r\n",
                      (unsigned long long)highest);
    else
        output_z(&s->out, "* OK [NOMODSEQ] No mod-sequences now\r\n");
}

void imap_use_modseq(struct imap_session *s)
{
    if (s->enabled & IMAP_ON_CONDSTORE)
        return;
    s->enabled |= IMAP_ON_CONDSTORE;
    if (s->mailbox) /* changes after the one that is told now have larger ones */
        store_mailbox_settle(s->mailbox, false);
    if (s->mailbox && store_mailbox_highest(s->mailbox))
        imap_tell_highest(s);
}

bool imap_refuse_modseq(struct imap_session *s)
{
    imap_use_modseq(s);
    if (store_mailbox_highest(s->mailbox))
        return false;
    imap_reply_bad(s, "The mailbox has no mod-sequences now"); /* RFC 7162 3.1.2.2 */
    return true;
}

/* --- what vanished --- */

struct ranges {
    struct imap_range *v;
    size_t n, cap;
};

static void add_range(struct ranges *r, uint32_t first, uint32_t last)
{
    if (r->n && first == r->v[r->n - 1].last + 1) {
        r->v[r->n - 1].last = last;
        return;
    }
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->v = mem_grow(r->v, r->cap, sizeof *r->v);
    }
    r->v[r->n++] = (struct imap_range){first, last};
}

static void on_vanished(void *ctx, uint32_t first, uint32_t last)
{
    if (first && first <= last)
        add_range(ctx, first, last);
}

static int by_first(const void *x, const void *y)
{
    const struct imap_range *a = x, *b = y;
    return a->first < b->first ? -1 : a->first > b->first;
}

/* UIDs from first to last without those of messages that are there. */
static void add_missing(struct imap_session *s, struct ranges *out, uint32_t first, uint32_t last)
{
    struct store_mailbox *mb = s->mailbox;
    bool exact;
    size_t count = store_mailbox_count(mb), at = store_mailbox_find(mb, first, &exact);
    for (; first <= last && at < count; at++) {
        const struct store_msg *m = store_mailbox_at(mb, at);
        if (m->uid > last)
            break;
        if (m->uid > first)
            add_range(out, first, m->uid - 1);
        first = m->uid + 1;
    }
    if (first <= last)
        add_range(out, first, last);
}

/* What of a vanished range the client knows: both ascending, known NULL: all. */
static void add_known(struct imap_session *s, struct ranges *out, struct imap_range r,
                      const struct imap_set *known)
{
    if (!known) {
        add_missing(s, out, r.first, r.last);
        return;
    }
    for (size_t i = 0; i < known->n && known->ranges[i].first <= r.last; i++) {
        uint32_t first = known->ranges[i].first, last = known->ranges[i].last;
        first = first > r.first ? first : r.first;
        last = last < r.last ? last : r.last;
        if (first <= last)
            add_missing(s, out, first, last);
    }
}

void imap_tell_vanished(struct imap_session *s, uint64_t since, const struct imap_set *known)
{
    struct ranges all = {0}, out = {0};
    uint32_t done = 0;
    store_mailbox_vanished(s->mailbox, since, on_vanished, &all);
    if (all.n)
        qsort(all.v, all.n, sizeof *all.v, by_first);
    for (size_t i = 0; i < all.n; i++) {
        struct imap_range r = all.v[i];
        r.first = r.first > done ? r.first : done + 1;
        if (r.first <= r.last)
            add_known(s, &out, r, known);
        done = r.last > done ? r.last : done;
    }
    for (size_t i = 0; i < out.n; i++) {
        output_z(&s->out, i == 0 ? "* VANISHED (EARLIER) " : ",");
        output_printf(&s->out, out.v[i].first == out.v[i].last ? "%u" : "%u:%u", out.v[i].first,
                      out.v[i].last);
    }
    if (out.n)
        output_z(&s->out, "\r\n");
    free(all.v);
    free(out.v);
}

void imap_tell_changed(struct imap_session *s, uint64_t since, const struct imap_set *known)
{
    size_t count = store_mailbox_count(s->mailbox);
    for (size_t i = 0; i < count && !s->out.failed; i++) {
        const struct store_msg *m = store_mailbox_at(s->mailbox, i);
        if (m->modseq > since && !m->gone && (!known || imap_set_has(known, m->uid)))
            imap_tell_fetch_flags(s, i, true);
    }
}
