/* SORT: the criteria of every message, and the order they make (RFC 5256, RFC 5957). */
#include "session/search_order.h"

#include "session/search_keys.h"

#include <stdlib.h>

/* What one criterion says of one message. Most comparisons end with the first number: a date, a size,
 * or the first eight bytes of a text, whose rest is in sort.text. */
struct value {
    uint64_t first;
    uint32_t at, n;
};

struct sort {
    struct imap_session *s;
    const struct imap_search_command *what;
    struct search_keys keys;
    struct value *value; /* sort_count of them for each message */
    struct buf text;
};

static bool is_text(enum imap_sort_key key)
{
    return key != IMAP_SORT_ARRIVAL && key != IMAP_SORT_DATE && key != IMAP_SORT_SIZE;
}

typedef int get_order(struct search_keys *, size_t, struct search_order *, struct err *);

/* How to learn what messages are sorted by; NULL: from nothing but their files. */
static get_order *order_getter(const struct imap_search_command *what)
{
    get_order *get = NULL;
    for (size_t i = 0; i < what->sort_count; i++) {
        if (is_text(what->sort[i].key))
            return search_keys_order;
        if (what->sort[i].key == IMAP_SORT_DATE)
            get = search_keys_date;
    }
    return get;
}

static bool needs_measure(const struct imap_search_command *what)
{
    for (size_t i = 0; i < what->sort_count; i++)
        if (what->sort[i].key == IMAP_SORT_ARRIVAL || what->sort[i].key == IMAP_SORT_SIZE)
            return true;
    return false;
}

/* --- values --- */

static void set_text(struct sort *o, struct value *v, struct str s)
{
    v->first = 0;
    for (size_t i = 0; i < 8; i++)
        v->first = v->first << 8 | (i < s.n ? (unsigned char)s.p[i] : 0);
    v->at = (uint32_t)o->text.n;
    v->n = (uint32_t)s.n;
    if (s.n > 8 && buf_str(&o->text, s) != 0)
        v->n = 8; /* past 4 GiB of texts their beginnings must do */
}

/* So that earlier is smaller for numbers without a sign too. */
static void set_number(struct value *v, int64_t n)
{
    v->first = (uint64_t)n ^ UINT64_C(1) << 63;
}

static void set_value(struct sort *o, enum imap_sort_key key, size_t index,
                      const struct search_order *order, struct value *v)
{
    static const enum search_text_kind text[] = {
        [IMAP_SORT_CC] = SEARCH_CC,
        [IMAP_SORT_FROM] = SEARCH_FROM,
        [IMAP_SORT_SUBJECT] = SEARCH_SUBJECT,
        [IMAP_SORT_TO] = SEARCH_TO,
        [IMAP_SORT_DISPLAY_FROM] = SEARCH_DISPLAY_FROM,
        [IMAP_SORT_DISPLAY_TO] = SEARCH_DISPLAY_TO,
    };
    const struct store_msg *m = store_mailbox_at(o->s->mailbox, index);
    if (key == IMAP_SORT_ARRIVAL)
        set_number(v, m->date);
    else if (key == IMAP_SORT_SIZE)
        set_number(v, (int64_t)m->vsize);
    else if (key == IMAP_SORT_DATE)
        set_number(v, search_keys_sent(&o->keys, index, order));
    else
        set_text(o, v, order->text[text[key]]);
}

/* --- order --- */

static int compare_values(const struct sort *o, enum imap_sort_key key, const struct value *a,
                          const struct value *b)
{
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (!is_text(key))
        return 0;
    if (a->n <= 8 || b->n <= 8)
        return a->n < b->n ? -1 : a->n > b->n;
    return str_cmp((struct str){o->text.p + a->at, a->n}, (struct str){o->text.p + b->at, b->n});
}

/* A place in the list of what was found, with what decides most comparisons beside it. */
struct place {
    uint64_t first; /* of the first criterion, turned over where that is reversed */
    uint32_t at;
};

/* The order of the list itself is the last criterion. */
static int compare(const void *x, const void *y, void *arg)
{
    const struct place *p = x, *q = y;
    const struct sort *o = arg;
    size_t a = p->at, b = q->at, count = o->what->sort_count;
    if (p->first != q->first)
        return p->first < q->first ? -1 : 1;
    for (size_t i = 0; i < count; i++) {
        const struct imap_sort *by = &o->what->sort[i];
        int r = compare_values(o, by->key, &o->value[a * count + i], &o->value[b * count + i]);
        if (r)
            return by->reverse ? -r : r;
    }
    return a < b ? -1 : a > b;
}

static void reorder(struct sort *o, struct search_found *found)
{
    struct place *place = mem_array(found->n + 1, sizeof *place);
    size_t sorted = 1; /* so many from the beginning: most mailboxes are in the order of their dates */
    for (size_t i = 0; i < found->n; i++) {
        uint64_t first = o->value[i * o->what->sort_count].first;
        place[i] = (struct place){o->what->sort[0].reverse ? ~first : first, (uint32_t)i};
        sorted += sorted == i && compare(&place[i - 1], &place[i], o) < 0;
    }
    if (sorted < found->n)
        qsort_r(place, found->n, sizeof *place, compare, o);
    uint32_t *v = mem_array(found->n + 1, sizeof *v);
    for (size_t i = 0; i < found->n; i++)
        v[i] = found->v[place[i].at];
    free(place);
    free(found->v);
    found->v = v;
    found->cap = found->n + 1;
}

static int gather(struct sort *o, const struct search_found *found, struct err *e)
{
    size_t count = o->what->sort_count;
    bool measure = needs_measure(o->what);
    get_order *get = order_getter(o->what);
    for (size_t i = 0; i < found->n; i++) {
        uint32_t index = found->v[i];
        struct search_order order = {0};
        int r = measure ? store_mailbox_measure(o->s->mailbox, index, e) : 0;
        /* What vanished meanwhile is still told, in some place: its number is still good. */
        if (r < 0 || (get && get(&o->keys, index, &order, e) < 0))
            return -1;
        for (size_t k = 0; k < count; k++)
            set_value(o, o->what->sort[k].key, index, &order, &o->value[i * count + k]);
    }
    return 0;
}

int search_sort(struct imap_session *s, const struct imap_search_command *what,
                struct search_found *found)
{
    struct sort o = {.s = s, .what = what, .text = BUF_MAX(UINT32_MAX)};
    struct err e = {0};
    search_keys_begin(&o.keys, s);
    o.value = mem_array(found->n + 1, what->sort_count * sizeof *o.value);
    int r = gather(&o, found, &e);
    if (r == 0)
        reorder(&o, found);
    else
        imap_reply_error(s, &e);
    search_keys_end(&o.keys);
    free(o.value);
    buf_free(&o.text);
    if (r != 0 && (what->returns & IMAP_RETURN_SAVE))
        search_forget(s); /* RFC 5182 2.1 */
    return r;
}
