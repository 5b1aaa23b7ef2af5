/* One message against a search; see search_match.h. */
#include "session/search_match.h"
#include "session/thread_id.h"

#include "mail/header.h"
#include "mail/rfc5322.h"

#include <time.h>

enum { TEXT_MAX = 64 << 20 }; /* bytes of one decoded part that are looked at */

void search_match_begin(struct search_match *x, struct imap_session *s)
{
    *x = (struct search_match){.s = s, .m = {.fd = -1}, .now = time(NULL)};
    x->arena = arena_new(16384);
    x->text.max = TEXT_MAX;
    search_keys_begin(&x->keys, s);
}

void search_match_end(struct search_match *x)
{
    message_close(&x->m);
    arena_free(x->arena);
    buf_free(&x->text);
    buf_free(&x->scratch);
    search_keys_end(&x->keys);
}

/* --- the message's bytes --- */

static bool trouble(struct search_match *x, int r)
{
    x->gone |= r > 0;
    x->failed |= r < 0;
    return r != 0;
}

static bool open_message(struct search_match *x)
{
    if (x->gone || x->failed)
        return false;
    if (x->opened)
        return true;
    x->opened = x->m.open || !trouble(x, message_open(&x->m, x->s->mailbox, x->index, &x->e));
    return x->opened;
}

static bool know_header(struct search_match *x)
{
    return open_message(x) && !trouble(x, message_read_header(&x->m, &x->e));
}

static bool know_all(struct search_match *x)
{
    return open_message(x) && !trouble(x, message_read_all(&x->m, &x->e));
}

static const struct store_msg *measured(struct search_match *x)
{
    if (x->gone || x->failed || trouble(x, store_mailbox_measure(x->s->mailbox, x->index, &x->e)))
        return NULL;
    return store_mailbox_at(x->s->mailbox, x->index);
}

/* --- text --- */

static bool contains(struct search_match *x, struct str needle)
{
    return needle.n == 0 || mail_casemap_contains(buf_view(&x->text), needle, &x->scratch);
}

/* Where the key's field stands: among the usual ones, or in the whole header. */
static bool header_with(struct search_match *x, const struct imap_search *k, struct str *out)
{
    if (k->usual)
        return !x->gone && !x->failed && !trouble(x, search_keys_fields(&x->keys, x->index, out, &x->e));
    if (!know_header(x))
        return false;
    *out = message_header(&x->m);
    return true;
}

/* Fields of one name; an empty needle asks whether there is one (RFC 3501 6.4.4: HEADER). */
static bool match_header(struct search_match *x, const struct imap_search *k)
{
    struct str header;
    struct mail_field f;
    if (!header_with(x, k, &header))
        return false;
    struct mail_header_walk w = mail_header_walk(header);
    while (mail_header_next(&w, &f)) {
        if (!f.colon || !str_caseeq(f.name, k->field))
            continue;
        buf_clear(&x->text);
        mail_words_decode(x->s->conv, f.value, &x->text);
        if (contains(x, k->text))
            return true;
    }
    return false;
}

void search_field_text(struct mail_conv *c, const struct mail_field *f, struct buf *out)
{
    buf_clear(out);
    (void)mail_conv_utf8(c, (struct str){0}, f->name, out);
    if (!f->colon)
        return;
    buf_str(out, STR(": "));
    (void)mail_words_decode(c, f->value, out);
}

static bool any_field_contains(struct search_match *x, struct str header, struct str needle)
{
    struct mail_field f;
    struct mail_header_walk w = mail_header_walk(header);
    while (mail_header_next(&w, &f)) {
        search_field_text(x->s->conv, &f, &x->text);
        if (contains(x, needle))
            return true;
    }
    return false;
}

static bool is_absent(const struct imap_search *k, size_t index)
{
    return k->absent && (k->absent[index / 8] >> index % 8 & 1);
}

static bool match_text(struct search_match *x, struct str needle, bool headers)
{
    if (!know_all(x))
        return false;
    const struct mail_part *root = message_mime(&x->m, x->arena);
    for (const struct mail_part *p = root; p; p = mail_part_next(root, p)) {
        if (headers && any_field_contains(x, mail_part_header(x->m.raw, p), needle))
            return true;
        if (p->kind != MAIL_PART_TEXT)
            continue;
        buf_clear(&x->text);
        mail_part_text(x->s->conv, x->m.raw, p, &x->text);
        if (contains(x, needle))
            return true;
    }
    return needle.n == 0;
}

/* --- dates --- */

static int compare_day(enum imap_search_key before, const struct imap_search *k, int64_t day)
{
    int64_t wanted = imap_date_days(k->date);
    switch ((int)k->key - (int)before) {
    case 0:
        return day < wanted;
    case 1:
        return day == wanted;
    default:
        return day >= wanted;
    }
}

/* The day as the server's people read it: time and zone do not count (RFC 3501 6.4.4). */
static bool match_internal_date(struct search_match *x, const struct imap_search *k)
{
    const struct store_msg *msg = measured(x);
    struct tm tm = {0};
    if (!msg)
        return false;
    time_t t = (time_t)msg->date;
    localtime_r(&t, &tm);
    return compare_day(IMAP_SEARCH_BEFORE, k, mail_date_day(msg->date, (int)(tm.tm_gmtoff / 60)));
}

/* The day of the save date, where the file's name tells it; else the internal date takes its place
 * (RFC 8514 4.3). */
static bool match_save_date(struct search_match *x, const struct imap_search *k)
{
    struct tm tm = {0};
    int64_t saved = store_mailbox_saved(x->s->mailbox, x->index);
    if (saved == STORE_DATE_UNKNOWN) {
        const struct store_msg *msg = measured(x);
        if (!msg)
            return false;
        saved = msg->date;
    }
    time_t t = (time_t)saved;
    localtime_r(&t, &tm);
    return compare_day(IMAP_SEARCH_SAVED_BEFORE, k, mail_date_day(saved, (int)(tm.tm_gmtoff / 60)));
}

static bool match_email_id(struct search_match *x, const struct imap_search *k)
{
    char id[IMAP_EMAILID_SIZE];
    return str_eq(imap_emailid(x->s, x->index, id), k->text);
}

static bool match_thread_id(struct search_match *x, const struct imap_search *k)
{
    char id[IMAP_EMAILID_SIZE];
    struct str fields;
    if (x->gone || x->failed ||
        trouble(x, search_keys_fields(&x->keys, x->index, &fields, &x->e)))
        return false;
    return str_eq(imap_threadid(x->s, x->keys.arena, x->index, fields, id), k->text);
}

static bool match_sent_date(struct search_match *x, const struct imap_search *k)
{
    struct search_order order;
    if (x->gone || x->failed ||
        trouble(x, search_keys_date(&x->keys, x->index, &order, &x->e)) || !order.dated)
        return false;
    return compare_day(IMAP_SEARCH_SENT_BEFORE, k, mail_date_day(order.sent, order.zone));
}

/* RFC 5032 3: an interval that ends now. */
static bool match_within(struct search_match *x, const struct imap_search *k)
{
    const struct store_msg *msg = measured(x);
    if (!msg)
        return false;
    int64_t since = x->now - (int64_t)k->number;
    return k->key == IMAP_SEARCH_OLDER ? msg->date <= since : msg->date >= since;
}

static bool match_size(struct search_match *x, const struct imap_search *k)
{
    const struct store_msg *msg = measured(x);
    if (!msg)
        return false;
    return k->key == IMAP_SEARCH_LARGER ? msg->vsize > k->number : msg->vsize < k->number;
}

/* --- the tree --- */

static bool match(struct search_match *x, const struct imap_search *k);

static bool match_kids(struct search_match *x, const struct imap_search *k, bool all)
{
    for (const struct imap_search *kid = k->kids; kid && all; kid = kid->next)
        if (is_absent(kid, x->index))
            return false;
    for (const struct imap_search *kid = k->kids; kid; kid = kid->next)
        if (match(x, kid) != all)
            return !all;
    return all;
}

static bool match(struct search_match *x, const struct imap_search *k)
{
    const struct store_msg *msg = store_mailbox_at(x->s->mailbox, x->index);
    switch (k->key) {
    case IMAP_SEARCH_ALL:
        return true;
    case IMAP_SEARCH_AND:
        return match_kids(x, k, true);
    case IMAP_SEARCH_OR:
        return match_kids(x, k, false);
    case IMAP_SEARCH_NOT:
        return !match(x, k->kids);
    case IMAP_SEARCH_SET:
        return imap_set_has(&k->set, (uint32_t)x->index + 1);
    case IMAP_SEARCH_UID:
        return imap_set_has(&k->set, msg->uid);
    case IMAP_SEARCH_FLAG:
        return k->number == UINT64_MAX ? msg->recent : (msg->flags & k->number) != 0;
    case IMAP_SEARCH_KEYWORD:
        return (msg->keywords & k->number) != 0;
    case IMAP_SEARCH_HEADER:
        return match_header(x, k);
    case IMAP_SEARCH_BODY:
    case IMAP_SEARCH_TEXT:
        return !is_absent(k, x->index) && match_text(x, k->text, k->key == IMAP_SEARCH_TEXT);
    case IMAP_SEARCH_BEFORE:
    case IMAP_SEARCH_ON:
    case IMAP_SEARCH_SINCE:
        return match_internal_date(x, k);
    case IMAP_SEARCH_SENT_BEFORE:
    case IMAP_SEARCH_SENT_ON:
    case IMAP_SEARCH_SENT_SINCE:
        return match_sent_date(x, k);
    case IMAP_SEARCH_LARGER:
    case IMAP_SEARCH_SMALLER:
        return match_size(x, k);
    case IMAP_SEARCH_OLDER:
    case IMAP_SEARCH_YOUNGER:
        return match_within(x, k);
    case IMAP_SEARCH_SAVED_BEFORE:
    case IMAP_SEARCH_SAVED_ON:
    case IMAP_SEARCH_SAVED_SINCE:
        return match_save_date(x, k);
    case IMAP_SEARCH_SAVE_DATE_SUPPORTED:
        return true;
    case IMAP_SEARCH_EMAIL_ID:
        return match_email_id(x, k);
    case IMAP_SEARCH_MODSEQ:
        return msg->modseq >= k->number;
    case IMAP_SEARCH_THREAD_ID:
        return match_thread_id(x, k);
    }
    return false;
}

bool search_match(struct search_match *x, const struct imap_search *root, size_t index)
{
    x->index = index;
    x->opened = false;
    x->gone = store_mailbox_at(x->s->mailbox, index)->gone;
    bool hit = !x->gone && match(x, root) && !x->gone && !x->failed;
    message_close(&x->m);
    arena_reset(x->arena);
    return hit;
}
