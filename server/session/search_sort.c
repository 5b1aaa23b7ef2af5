/* SORT: the criteria of every message, and the order they make (RFC 5256, RFC 5957). */
#include "session/search_order.h"

#include "mail/rfc5322.h"
#include "mail/subject.h"
#include "session/search_fields.h"

#include <stdlib.h>

/* What one criterion says of one message: a number, or text in sort.text. */
struct value {
    union {
        int64_t number;
        struct {
            uint32_t at, n;
        } text;
    };
};

struct sort {
    struct imap_session *s;
    const struct imap_search_command *what;
    struct search_fields fields;
    struct value *value; /* sort_count of them for each message */
    struct buf text;     /* casemapped */
    struct buf scratch;
};

enum { TEXT_MAX = 1024 }; /* bytes of a text by which messages are told apart */

static bool is_text(enum imap_sort_key key)
{
    return key != IMAP_SORT_ARRIVAL && key != IMAP_SORT_DATE && key != IMAP_SORT_SIZE;
}

static unsigned wanted_fields(const struct imap_search_command *what)
{
    static const enum search_field field[] = {
        [IMAP_SORT_CC] = SEARCH_CC,
        [IMAP_SORT_DATE] = SEARCH_DATE,
        [IMAP_SORT_FROM] = SEARCH_FROM,
        [IMAP_SORT_SUBJECT] = SEARCH_SUBJECT,
        [IMAP_SORT_TO] = SEARCH_TO,
        [IMAP_SORT_DISPLAY_FROM] = SEARCH_FROM,
        [IMAP_SORT_DISPLAY_TO] = SEARCH_TO,
    };
    unsigned wanted = 0;
    for (size_t i = 0; i < what->sort_count; i++)
        if (what->sort[i].key != IMAP_SORT_ARRIVAL && what->sort[i].key != IMAP_SORT_SIZE)
            wanted |= 1u << field[what->sort[i].key];
    return wanted;
}

/* --- values --- */

static void add_text(struct sort *o, struct value *v, struct str utf8)
{
    size_t at = o->text.n;
    /* A text that is cut in a character is cut alike everywhere. */
    (void)mail_casemap(str_head(utf8, TEXT_MAX), &o->text);
    v->text.at = (uint32_t)at;
    v->text.n = (uint32_t)(o->text.n - at);
}

static void add_subject(struct sort *o, struct value *v)
{
    buf_clear(&o->scratch);
    (void)mail_subject_base(o->s->conv, o->fields.value[SEARCH_SUBJECT], &o->scratch, NULL);
    add_text(o, v, buf_view(&o->scratch));
}

/* The first address; a group's start counts as one whose mailbox is its name, as in ENVELOPE. */
static const struct mail_addr *first_address(struct sort *o, enum search_field field)
{
    struct mail_addr_list list = {0};
    if (o->fields.value[field].p)
        mail_addrs_parse(o->fields.arena, str_head(o->fields.value[field], 4096), &list);
    return list.n ? &list.v[0] : NULL;
}

static void add_mailbox(struct sort *o, struct value *v, enum search_field field)
{
    const struct mail_addr *addr = first_address(o, field);
    add_text(o, v, addr ? addr->local : (struct str){0});
}

/* RFC 5957 3. */
static void add_display(struct sort *o, struct value *v, enum search_field field)
{
    const struct mail_addr *addr = first_address(o, field);
    buf_clear(&o->scratch);
    if (addr && addr->name.n)
        (void)mail_words_decode(o->s->conv, addr->name, &o->scratch);
    if (addr && o->scratch.n == 0 && addr->local.n) {
        buf_str(&o->scratch, addr->local);
        if (addr->domain.n) {
            buf_byte(&o->scratch, '@');
            buf_str(&o->scratch, addr->domain);
        }
    }
    add_text(o, v, buf_view(&o->scratch));
}

static void add_value(struct sort *o, enum imap_sort_key key, size_t index, struct value *v)
{
    const struct store_msg *m = store_mailbox_at(o->s->mailbox, index);
    switch (key) {
    case IMAP_SORT_ARRIVAL:
        v->number = m->date;
        break;
    case IMAP_SORT_SIZE:
        v->number = (int64_t)m->vsize;
        break;
    case IMAP_SORT_DATE:
        v->number = search_fields_sent(&o->fields, index);
        break;
    case IMAP_SORT_SUBJECT:
        add_subject(o, v);
        break;
    case IMAP_SORT_CC:
        add_mailbox(o, v, SEARCH_CC);
        break;
    case IMAP_SORT_FROM:
        add_mailbox(o, v, SEARCH_FROM);
        break;
    case IMAP_SORT_TO:
        add_mailbox(o, v, SEARCH_TO);
        break;
    case IMAP_SORT_DISPLAY_FROM:
        add_display(o, v, SEARCH_FROM);
        break;
    case IMAP_SORT_DISPLAY_TO:
        add_display(o, v, SEARCH_TO);
        break;
    }
}

/* --- order --- */

static int compare_values(const struct sort *o, enum imap_sort_key key, const struct value *a,
                          const struct value *b)
{
    if (is_text(key))
        return str_cmp((struct str){o->text.p + a->text.at, a->text.n},
                       (struct str){o->text.p + b->text.at, b->text.n});
    return a->number < b->number ? -1 : a->number > b->number;
}

/* Places in the list of what was found, whose order is the last criterion. */
static int compare(const void *x, const void *y, void *arg)
{
    const struct sort *o = arg;
    size_t a = *(const uint32_t *)x, b = *(const uint32_t *)y, count = o->what->sort_count;
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
    uint32_t *place = mem_array(found->n + 1, sizeof *place);
    for (uint32_t i = 0; i < found->n; i++)
        place[i] = i;
    qsort_r(place, found->n, sizeof *place, compare, o);
    for (size_t i = 0; i < found->n; i++)
        place[i] = found->v[place[i]];
    free(found->v);
    found->v = place;
    found->cap = found->n + 1;
}

static bool needs_measure(const struct imap_search_command *what)
{
    for (size_t i = 0; i < what->sort_count; i++)
        if (what->sort[i].key == IMAP_SORT_ARRIVAL || what->sort[i].key == IMAP_SORT_SIZE)
            return true;
    return false;
}

static int gather(struct sort *o, const struct search_found *found, struct err *e)
{
    size_t count = o->what->sort_count;
    bool measure = needs_measure(o->what);
    for (size_t i = 0; i < found->n; i++) {
        uint32_t index = found->v[i];
        int r = measure ? store_mailbox_measure(o->s->mailbox, index, e) : 0;
        /* What vanished meanwhile is still told, in some place: its number is still good. */
        if (r < 0 || search_fields_get(&o->fields, index, e) < 0)
            return -1;
        for (size_t k = 0; k < count; k++)
            add_value(o, o->what->sort[k].key, index, &o->value[i * count + k]);
    }
    return 0;
}

int search_sort(struct imap_session *s, const struct imap_search_command *what,
                struct search_found *found)
{
    struct sort o = {.s = s, .what = what, .text = BUF_MAX(UINT32_MAX)};
    struct err e = {0};
    search_fields_begin(&o.fields, s, wanted_fields(what));
    o.value = mem_array(found->n + 1, what->sort_count * sizeof *o.value);
    int r = gather(&o, found, &e);
    if (r == 0)
        reorder(&o, found);
    else
        imap_reply_error(s, &e);
    search_fields_end(&o.fields);
    free(o.value);
    buf_free(&o.text);
    buf_free(&o.scratch);
    if (r != 0 && (what->returns & IMAP_RETURN_SAVE))
        search_forget(s); /* RFC 5182 2.1 */
    return r;
}
