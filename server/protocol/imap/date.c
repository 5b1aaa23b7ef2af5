/* Dates of the IMAP grammar (RFC 3501 9: date, date-time). */
#include "mail/rfc5322.h"
#include "protocol/imap/args.h"

static int get_digits(struct imap_cursor *c, size_t count, int *out)
{
    int v = 0;
    for (size_t i = 0; i < count; i++, c->p++) {
        if (imap_at_end(c) || *c->p < '0' || *c->p > '9')
            return imap_wrong(c, "Invalid date");
        v = v * 10 + (*c->p - '0');
    }
    *out = v;
    return 0;
}

static int get_month(struct imap_cursor *c, int *month)
{
    struct str name = str_head((struct str){c->p, (size_t)(c->end - c->p)}, 3);
    *month = mail_date_month(name);
    if (*month < 0)
        return imap_wrong(c, "Invalid month");
    c->p += name.n;
    return 0;
}

int imap_get_date(struct imap_cursor *c, struct imap_date *date)
{
    bool quoted = imap_try(c, '"');
    bool two = c->end - c->p >= 2 && c->p[1] >= '0' && c->p[1] <= '9';
    if (get_digits(c, two ? 2 : 1, &date->day) != 0 || imap_get_char(c, '-') != 0 ||
        get_month(c, &date->month) != 0 || imap_get_char(c, '-') != 0 ||
        get_digits(c, 4, &date->year) != 0)
        return -1;
    if (!mail_date_exists(date->year, date->month, date->day))
        return imap_wrong(c, "No such day");
    return quoted ? imap_get_char(c, '"') : 0;
}

int imap_get_date_time(struct imap_cursor *c, int64_t *seconds)
{
    struct str text;
    int zone;
    if (!imap_peek(c, '"'))
        return imap_wrong(c, "Invalid date");
    if (imap_get_string(c, &text) != 0)
        return -1;
    return mail_date_parse_imap(text, seconds, &zone) == 0 ? 0 : imap_wrong(c, "Invalid date");
}

int64_t imap_date_days(struct imap_date d)
{
    return mail_date_days(d.year, d.month, d.day);
}
