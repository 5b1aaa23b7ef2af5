/* Header fields of messages; see search_fields.h. */
#include "session/search_fields.h"

#include "mail/header.h"
#include "mail/rfc5322.h"

static const struct str names[SEARCH_FIELDS] = {
    [SEARCH_DATE] = {"Date", 4},
    [SEARCH_SUBJECT] = {"Subject", 7},
    [SEARCH_FROM] = {"From", 4},
    [SEARCH_TO] = {"To", 2},
    [SEARCH_CC] = {"Cc", 2},
    [SEARCH_MESSAGE_ID] = {"Message-ID", 10},
    [SEARCH_IN_REPLY_TO] = {"In-Reply-To", 11},
    [SEARCH_REFERENCES] = {"References", 10},
};

void search_fields_begin(struct search_fields *f, struct imap_session *s, unsigned wanted)
{
    *f = (struct search_fields){.s = s, .wanted = wanted, .m = {.fd = -1}};
    f->arena = arena_new(16384);
}

void search_fields_end(struct search_fields *f)
{
    message_close(&f->m);
    arena_free(f->arena);
}

static void pick(struct search_fields *f, struct str header)
{
    struct mail_field field;
    struct mail_header_walk w = mail_header_walk(header);
    while (mail_header_next(&w, &field))
        for (unsigned i = 0; i < SEARCH_FIELDS && field.colon; i++)
            if ((f->wanted >> i & 1) && !f->value[i].p && str_caseeq(field.name, names[i]))
                f->value[i] = field.value;
}

int search_fields_get(struct search_fields *f, size_t index, struct err *e)
{
    memset(f->value, 0, sizeof f->value);
    arena_reset(f->arena);
    message_close(&f->m);
    if (f->wanted == 0)
        return 0;
    struct str fields;
    int r = message_usual_fields(&f->m, f->s->mailbox, index, &fields, e);
    if (r == 0)
        pick(f, fields);
    return r;
}

int64_t search_fields_sent(struct search_fields *f, size_t index)
{
    int64_t t;
    int zone;
    struct err e = {0};
    if (f->value[SEARCH_DATE].p && mail_date_parse(f->value[SEARCH_DATE], &t, &zone) == 0)
        return t;
    if (store_mailbox_measure(f->s->mailbox, index, &e) != 0)
        return 0;
    return store_mailbox_at(f->s->mailbox, index)->date;
}
