/* What messages are compared by; see search_keys.h. */
#include "session/search_keys.h"

#include "mail/header.h"
#include "mail/rfc5322.h"
#include "mail/subject.h"
#include "session/search_thread.h"

#include <sodium.h>

enum { FORMAT = 1, ADDRESS_MAX = 4096 };

void search_keys_begin(struct search_keys *k, struct imap_session *s)
{
    *k = (struct search_keys){.s = s, .m = {.fd = -1}};
    k->arena = arena_new(16384);
    k->generation = store_index_generation(s->index);
}

void search_keys_end(struct search_keys *k)
{
    search_dates_free(k);
    message_close(&k->m);
    arena_free(k->arena);
    buf_free(&k->order);
    buf_free(&k->scratch);
    buf_free(&k->folded);
}

/* --- pieces as bytes; numbers as this machine has them --- */

static void put(struct buf *b, const void *p, size_t n)
{
    buf_add(b, p, n);
}

static bool take(struct str *from, void *p, size_t n)
{
    if (from->n < n)
        return false;
    memcpy(p, from->p, n);
    *from = str_skip(*from, n);
    return true;
}

static void put_head(struct search_keys *k, struct buf *b)
{
    uint8_t format = FORMAT;
    buf_clear(b);
    put(b, &format, sizeof format);
    put(b, &k->generation, sizeof k->generation);
}

static bool take_head(struct search_keys *k, struct str *from)
{
    uint8_t format;
    uint64_t generation;
    return take(from, &format, sizeof format) && format == FORMAT &&
           take(from, &generation, sizeof generation) && generation == k->generation;
}

static void put_text(struct buf *b, struct str s)
{
    uint16_t n = (uint16_t)s.n;
    put(b, &n, sizeof n);
    buf_str(b, s);
}

static bool take_text(struct str *from, struct str *s)
{
    uint16_t n;
    if (!take(from, &n, sizeof n) || n > from->n)
        return false;
    *s = str_head(*from, n);
    *from = str_skip(*from, n);
    return true;
}

/* --- fields --- */

int search_keys_fields(struct search_keys *k, size_t index, struct str *fields, struct err *e)
{
    arena_reset(k->arena);
    if (k->at != index + 1)
        message_close(&k->m);
    k->at = index + 1;
    return message_usual_fields(&k->m, k->s->mailbox, index, fields, e);
}

/* --- order --- */

enum field { DATE, SUBJECT, FROM, TO, CC, MESSAGE_ID, IN_REPLY_TO, REFERENCES, FIELDS };

static void pick(struct str header, struct str value[FIELDS])
{
    static const struct str names[FIELDS] = {
        [DATE] = {"Date", 4}, [SUBJECT] = {"Subject", 7}, [FROM] = {"From", 4}, [TO] = {"To", 2},
        [CC] = {"Cc", 2}, [MESSAGE_ID] = {"Message-ID", 10}, [IN_REPLY_TO] = {"In-Reply-To", 11},
        [REFERENCES] = {"References", 10},
    };
    struct mail_field f;
    struct mail_header_walk w = mail_header_walk(header);
    memset(value, 0, FIELDS * sizeof *value);
    while (mail_header_next(&w, &f))
        for (size_t i = 0; i < FIELDS && f.colon; i++)
            if (!value[i].p && str_caseeq(f.name, names[i]))
                value[i] = f.value;
}

/* Not 0, which is nothing. The key is the index's own, so that hashes can be kept in it. */
static uint64_t hash_of(struct search_keys *k, struct str s)
{
    uint64_t h;
    unsigned char key[crypto_shorthash_KEYBYTES] = {0};
    memcpy(key, &k->generation, sizeof k->generation);
    crypto_shorthash((unsigned char *)&h, (const unsigned char *)(s.n ? s.p : ""), s.n, key);
    return h ? h : 1;
}

/* The message's own id and those it refers to: of References, where the last ones stay when they are
 * too many; without a valid one there the first of In-Reply-To (RFC 5256, REFERENCES). */
static void write_ids(struct search_keys *k, const struct str value[FIELDS])
{
    struct str rest = value[MESSAGE_ID], id;
    uint64_t own = rest.n && mail_msgid_next(k->arena, &rest, &id) ? hash_of(k, id) : 0;
    uint64_t ring[SEARCH_THREAD_REFERENCES_MAX];
    const uint32_t max = SEARCH_THREAD_REFERENCES_MAX;
    uint32_t n = 0;
    rest = value[REFERENCES];
    while (rest.n && mail_msgid_next(k->arena, &rest, &id))
        ring[n++ % max] = hash_of(k, id);
    rest = value[IN_REPLY_TO];
    if (n == 0 && rest.n && mail_msgid_next(k->arena, &rest, &id))
        ring[n++] = hash_of(k, id);
    uint32_t count = n < max ? n : max;
    put(&k->order, &own, sizeof own);
    put(&k->order, &count, sizeof count);
    for (uint32_t i = n - count; i < n; i++)
        put(&k->order, &ring[i % max], sizeof ring[0]);
}

static void write_folded(struct search_keys *k, struct str utf8)
{
    buf_clear(&k->folded);
    (void)mail_casemap(utf8, &k->folded);
    put_text(&k->order, str_head(buf_view(&k->folded), SEARCH_TEXT_MAX));
}

/* The first address; a group's start counts as one whose mailbox is its name, as in ENVELOPE. */
static const struct mail_addr *first_address(struct search_keys *k, struct str value)
{
    struct mail_addr_list list = {0};
    if (value.p)
        mail_addrs_parse(k->arena, str_head(value, ADDRESS_MAX), &list);
    return list.n ? &list.v[0] : NULL;
}

static void write_mailbox(struct search_keys *k, const struct mail_addr *addr)
{
    write_folded(k, addr ? addr->local : (struct str){0});
}

static void write_display(struct search_keys *k, const struct mail_addr *addr)
{
    buf_clear(&k->scratch);
    if (addr && addr->name.n)
        (void)mail_words_decode(k->s->conv, addr->name, &k->scratch);
    if (addr && k->scratch.n == 0 && addr->local.n) {
        buf_str(&k->scratch, addr->local);
        if (addr->domain.n) {
            buf_byte(&k->scratch, '@');
            buf_str(&k->scratch, addr->domain);
        }
    }
    write_folded(k, buf_view(&k->scratch));
}

static void write_order(struct search_keys *k, const struct str value[FIELDS])
{
    int64_t sent = 0;
    int zone = 0;
    bool reply = false;
    uint8_t dated = value[DATE].p && mail_date_parse(value[DATE], &sent, &zone) == 0;
    const struct mail_addr *from = first_address(k, value[FROM]), *to = first_address(k, value[TO]);
    buf_clear(&k->scratch);
    buf_clear(&k->folded);
    (void)mail_subject_base(k->s->conv, value[SUBJECT], &k->scratch, &reply);
    (void)mail_casemap(buf_view(&k->scratch), &k->folded);
    uint8_t marks = (uint8_t)(dated | reply << 1);
    int16_t minutes = (int16_t)zone;
    uint64_t subject = k->folded.n ? hash_of(k, buf_view(&k->folded)) : 0;
    put_head(k, &k->order);
    put(&k->order, &sent, sizeof sent);
    put(&k->order, &minutes, sizeof minutes);
    put(&k->order, &marks, sizeof marks);
    put(&k->order, &subject, sizeof subject);
    write_ids(k, value);
    put_text(&k->order, str_head(buf_view(&k->folded), SEARCH_TEXT_MAX));
    write_mailbox(k, from);
    write_mailbox(k, to);
    write_mailbox(k, first_address(k, value[CC]));
    write_display(k, from);
    write_display(k, to);
}

/* False when this is no such piece. */
static bool read_order(struct search_keys *k, struct str piece, struct search_order *out)
{
    int16_t minutes;
    uint8_t marks;
    uint32_t count;
    *out = (struct search_order){0};
    if (!take_head(k, &piece) || !take(&piece, &out->sent, sizeof out->sent) ||
        !take(&piece, &minutes, sizeof minutes) || !take(&piece, &marks, sizeof marks) ||
        !take(&piece, &out->subject, sizeof out->subject) ||
        !take(&piece, &out->id, sizeof out->id) || !take(&piece, &count, sizeof count) ||
        count > piece.n / sizeof(uint64_t))
        return false;
    out->zone = minutes;
    out->dated = marks & 1;
    out->reply = marks & 2;
    out->references = piece.p;
    out->reference_count = count;
    piece = str_skip(piece, count * sizeof(uint64_t));
    for (size_t i = 0; i < SEARCH_TEXTS; i++)
        if (!take_text(&piece, &out->text[i]))
            return false;
    return piece.n == 0;
}

int search_keys_order(struct search_keys *k, size_t index, struct search_order *out, struct err *e)
{
    struct store_mailbox *mb = k->s->mailbox;
    struct str piece, fields, value[FIELDS];
    if (store_mailbox_piece(mb, index, STORE_PIECE_ORDER, &piece) && read_order(k, piece, out))
        return 0;
    *out = (struct search_order){0};
    int r = search_keys_fields(k, index, &fields, e);
    if (r != 0)
        return r;
    pick(fields, value);
    write_order(k, value);
    if (k->generation)
        store_mailbox_keep(mb, index, STORE_PIECE_ORDER, buf_view(&k->order));
    (void)read_order(k, buf_view(&k->order), out);
    return 0;
}

int64_t search_keys_sent(struct search_keys *k, size_t index, const struct search_order *order)
{
    struct err e = {0};
    if (order->dated)
        return order->sent;
    if (store_mailbox_measure(k->s->mailbox, index, &e) != 0)
        return 0;
    return store_mailbox_at(k->s->mailbox, index)->date;
}
