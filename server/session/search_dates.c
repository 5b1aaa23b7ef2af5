/*
 * The Date fields of many messages, packed into blocks that the index keeps: who sorts by date or asks for
 * days reads 8 bytes a message, not all that it could be sorted by.
 *
 * A block is a number that tells the format, then for each UID of it the date and zone, or that it has
 * none, or that it is not known. Numbers are as this machine has them, like the index's own.
 */
#include "session/search_keys.h"

#include "mail/header.h"
#include "mail/rfc5322.h"

#include <stdlib.h>

#define FORMAT INT64_C(1)
#define UNKNOWN INT64_MIN
#define NO_DATE (INT64_MIN + 1)
#define ZONES INT64_C(65536)   /* a date is seconds * ZONES + minutes + ZONES / 2 */
#define SECONDS_MAX (INT64_C(1) << 46)
#define DATE_MAX ((SECONDS_MAX + 1) * ZONES)

struct search_dates {
    uint32_t number; /* of the block at hand */
    bool changed;    /* the index has not all of it */
    int64_t v[STORE_BLOCK];
};

static int64_t pack(const struct search_order *o)
{
    if (!o->dated)
        return NO_DATE;
    if (o->sent > SECONDS_MAX || o->sent < -SECONDS_MAX)
        return UNKNOWN;
    return o->sent * ZONES + o->zone + ZONES / 2;
}

static bool is_known(int64_t v)
{
    return v == NO_DATE || (v > -DATE_MAX && v < DATE_MAX);
}

static void unpack(int64_t v, struct search_order *o)
{
    *o = (struct search_order){.dated = v != NO_DATE};
    if (!o->dated)
        return;
    int64_t zone = (int64_t)((uint64_t)v % (uint64_t)ZONES);
    o->sent = (v - zone) / ZONES;
    o->zone = (int)(zone - ZONES / 2);
}

static void write_back(struct search_keys *k)
{
    struct search_dates *d = k->dates;
    const int64_t format = FORMAT;
    size_t n = STORE_BLOCK;
    if (!d->changed)
        return;
    d->changed = false;
    while (n && d->v[n - 1] == UNKNOWN)
        n--;
    buf_clear(&k->scratch);
    buf_add(&k->scratch, &format, sizeof format);
    buf_add(&k->scratch, d->v, n * sizeof *d->v);
    store_mailbox_keep_block(k->s->mailbox, d->number, STORE_PIECE_DATES, buf_view(&k->scratch));
}

static void read_block(struct search_keys *k, uint32_t number)
{
    struct search_dates *d = k->dates;
    struct str piece;
    int64_t format;
    d->number = number;
    for (size_t i = 0; i < STORE_BLOCK; i++)
        d->v[i] = UNKNOWN;
    if (!store_mailbox_block(k->s->mailbox, number, STORE_PIECE_DATES, &piece) ||
        piece.n < sizeof format || piece.n > sizeof format + sizeof d->v ||
        piece.n % sizeof format != 0)
        return;
    memcpy(&format, piece.p, sizeof format);
    if (format == FORMAT)
        memcpy(d->v, piece.p + sizeof format, piece.n - sizeof format);
}

/* Where the message's date stands, or is to be put. */
static int64_t *place_of(struct search_keys *k, size_t index)
{
    uint32_t uid = store_mailbox_at(k->s->mailbox, index)->uid, number = uid / STORE_BLOCK;
    if (!k->dates) {
        k->dates = MEM_NEW(struct search_dates);
        read_block(k, number);
    } else if (k->dates->number != number) {
        write_back(k);
        read_block(k, number);
    }
    return &k->dates->v[uid % STORE_BLOCK];
}

/* From the message's first Date field, as search_keys_order has it. */
static int read_date(struct search_keys *k, size_t index, struct search_order *out, struct err *e)
{
    struct str fields;
    struct mail_field f;
    *out = (struct search_order){0};
    int r = search_keys_fields(k, index, &fields, e);
    if (r != 0)
        return r;
    struct mail_header_walk w = mail_header_walk(fields);
    while (mail_header_next(&w, &f))
        if (f.colon && str_caseeq(f.name, STR("Date"))) {
            out->dated = mail_date_parse(f.value, &out->sent, &out->zone) == 0;
            break;
        }
    return 0;
}

int search_keys_date(struct search_keys *k, size_t index, struct search_order *out, struct err *e)
{
    if (!store_mailbox_in_blocks(k->s->mailbox, index))
        return read_date(k, index, out, e);
    int64_t *v = place_of(k, index);
    if (is_known(*v)) {
        unpack(*v, out);
        return 0;
    }
    int r = read_date(k, index, out, e);
    if (r == 0 && (*v = pack(out)) != UNKNOWN)
        k->dates->changed = true;
    return r;
}

void search_dates_free(struct search_keys *k)
{
    if (k->dates)
        write_back(k);
    free(k->dates);
    k->dates = NULL;
}
