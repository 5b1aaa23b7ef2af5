/* Sequence sets (RFC 3501 9: sequence-set; RFC 9051 adds nothing that changes it). */
#include "protocol/imap/args.h"

#include <stdlib.h>

static int get_seq_number(struct imap_cursor *c, uint32_t *n)
{
    if (imap_try(c, '*')) {
        *n = IMAP_STAR;
        return 0;
    }
    return imap_get_nz_number(c, n);
}

int imap_get_set(struct imap_cursor *c, struct arena *a, struct imap_set *set)
{
    size_t cap = 0;
    *set = (struct imap_set){0};
    set->saved = imap_try(c, '$');
    if (set->saved)
        return 0;
    do {
        struct imap_range r;
        if (get_seq_number(c, &r.first) != 0)
            return -1;
        r.last = r.first;
        if (imap_try(c, ':') && get_seq_number(c, &r.last) != 0)
            return -1;
        if (set->n >= c->limits->items)
            return imap_wrong(c, "Too many ranges in the set");
        if (set->n == cap) {
            cap = cap ? cap * 2 : 4;
            struct imap_range *more = arena_array(a, cap, sizeof *more);
            if (set->n)
                memcpy(more, set->ranges, set->n * sizeof *more);
            set->ranges = more;
        }
        set->ranges[set->n++] = r;
    } while (imap_try(c, ','));
    return 0;
}

static int by_first(const void *x, const void *y)
{
    const struct imap_range *a = x, *b = y;
    return a->first < b->first ? -1 : a->first > b->first;
}

struct imap_set imap_set_resolve(struct arena *a, const struct imap_set *set, uint32_t max)
{
    struct imap_set out = {.ranges = arena_array(a, set->n ? set->n : 1, sizeof *out.ranges)};
    for (size_t i = 0; i < set->n; i++) {
        struct imap_range r = set->ranges[i];
        r.first = r.first == IMAP_STAR ? max : r.first;
        r.last = r.last == IMAP_STAR ? max : r.last;
        /* 4:2 and 2:4 are the same (RFC 3501 9: seq-range). */
        if (r.first > r.last)
            r = (struct imap_range){r.last, r.first};
        out.ranges[i] = r;
    }
    if (set->n > 1)
        qsort(out.ranges, set->n, sizeof *out.ranges, by_first);
    for (size_t i = 0; i < set->n; i++) {
        struct imap_range r = out.ranges[i];
        struct imap_range *last = out.n ? &out.ranges[out.n - 1] : NULL;
        if (last && (last->last == UINT32_MAX || r.first <= last->last + 1))
            last->last = r.last > last->last ? r.last : last->last;
        else
            out.ranges[out.n++] = r;
    }
    return out;
}

bool imap_set_has(const struct imap_set *set, uint32_t n)
{
    size_t i = MEM_BELOW(set->ranges, set->n, last, n);
    return i < set->n && set->ranges[i].first <= n;
}
