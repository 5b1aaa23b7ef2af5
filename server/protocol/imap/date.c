/* Dates of the IMAP grammar (RFC 3501 9: date, date-time). */
#include "protocol/imap/args.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a day in the Gregorian calendar. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static int month_days(int year, int month)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

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
    struct str name = {c->p, 3};
    if (c->end - c->p < 3)
        return imap_wrong(c, "Invalid date");
    for (int i = 0; i < 12; i++) {
        if (str_caseeq(name, (struct str){months + 3 * i, 3})) {
            *month = i + 1;
            c->p += 3;
            return 0;
        }
    }
    return imap_wrong(c, "Invalid month");
}

/* "-Mon-yyyy" behind the day, and the checks of the whole. */
static int get_rest_of_date(struct imap_cursor *c, struct imap_date *date)
{
    if (imap_get_char(c, '-') != 0 || get_month(c, &date->month) != 0 ||
        imap_get_char(c, '-') != 0 || get_digits(c, 4, &date->year) != 0)
        return -1;
    if (date->day < 1 || date->day > month_days(date->year, date->month))
        return imap_wrong(c, "No such day");
    return 0;
}

int imap_get_date(struct imap_cursor *c, struct imap_date *date)
{
    bool quoted = imap_try(c, '"');
    bool two = c->end - c->p >= 2 && c->p[1] >= '0' && c->p[1] <= '9';
    if (get_digits(c, two ? 2 : 1, &date->day) != 0 || get_rest_of_date(c, date) != 0)
        return -1;
    return quoted ? imap_get_char(c, '"') : 0;
}

int imap_get_date_time(struct imap_cursor *c, int64_t *seconds)
{
    struct imap_date d;
    int h, m, s, zone;
    if (imap_get_char(c, '"') != 0 ||
        get_digits(c, imap_try(c, ' ') ? 1 : 2, &d.day) != 0 || get_rest_of_date(c, &d) != 0 ||
        imap_get_space(c) != 0 || get_digits(c, 2, &h) != 0 || imap_get_char(c, ':') != 0 ||
        get_digits(c, 2, &m) != 0 || imap_get_char(c, ':') != 0 || get_digits(c, 2, &s) != 0 ||
        imap_get_space(c) != 0)
        return -1;
    bool west = imap_try(c, '-');
    if ((!west && imap_get_char(c, '+') != 0) || get_digits(c, 4, &zone) != 0 ||
        imap_get_char(c, '"') != 0)
        return -1;
    if (h > 23 || m > 59 || s > 60 || zone % 100 > 59)
        return imap_wrong(c, "Invalid time");
    int64_t offset = (zone / 100 * 60 + zone % 100) * 60;
    *seconds = days_from_civil(d.year, d.month, d.day) * 86400 + h * 3600 + m * 60 + s -
               (west ? -offset : offset);
    return 0;
}

int64_t imap_date_days(struct imap_date d)
{
    return days_from_civil(d.year, d.month, d.day);
}
