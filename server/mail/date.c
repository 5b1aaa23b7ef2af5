/* Dates of header fields and of IMAP (RFC 5322 sections 3.3 and 4.3, RFC 3501 section 9). */
#include "mail/lex.h"
#include "mail/rfc5322.h"

#include <stdio.h>

static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

struct date {
    int64_t year;
    int month, day, hour, minute, second, zone; /* month 1 … 12; zone in minutes */
};

static bool leap(int64_t y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int64_t year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days from 1970-01-01 to the first of January of a year. */
static int64_t year_start(int64_t year)
{
    int64_t y = year - 1;
    return 365 * (year - 1970) + (floor_div(y, 4) - 492) - (floor_div(y, 100) - 19) +
           (floor_div(y, 400) - 4);
}

bool mail_date_exists(int64_t year, int month, int day)
{
    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
           day <= month_days(year, month);
}

int64_t mail_date_days(int64_t year, int month, int day)
{
    int64_t days = year_start(year) + day - 1;
    for (int m = 1; m < month; m++)
        days += month_days(year, m);
    return days;
}

static int date_to_unix(const struct date *d, int64_t *unix_time)
{
    if (!mail_date_exists(d->year, d->month, d->day) || d->hour > 23 || d->minute > 59 ||
        d->second > 60)
        return -1;
    int64_t days = mail_date_days(d->year, d->month, d->day);
    *unix_time = days * 86400 + d->hour * 3600 + (d->minute - d->zone) * 60 + d->second;
    return 0;
}

static struct date date_from_unix(int64_t t, int zone)
{
    const int64_t lowest = year_start(1) * 86400, highest = year_start(10000) * 86400 - 1;
    struct date d = {.zone = zone < -1439 ? -1439 : zone > 1439 ? 1439 : zone};
    t = t < lowest - 86400 ? lowest : t > highest + 86400 ? highest : t + d.zone * 60;
    t = t < lowest ? lowest : t > highest ? highest : t;
    int64_t days = floor_div(t, 86400), rest = t - days * 86400;
    d.year = 1970 + floor_div(days, 365);
    while (year_start(d.year) > days)
        d.year--;
    while (year_start(d.year + 1) <= days)
        d.year++;
    days -= year_start(d.year);
    for (d.month = 1; days >= month_days(d.year, d.month); d.month++)
        days -= month_days(d.year, d.month);
    d.day = (int)days + 1;
    d.hour = (int)(rest / 3600);
    d.minute = (int)(rest / 60 % 60);
    d.second = (int)(rest % 60);
    return d;
}

int64_t mail_date_day(int64_t unix_time, int zone)
{
    return floor_div(unix_time + zone * 60, 86400);
}

/* --- reading --- */

/* 1 to max digits; -1 when there are none or more. */
static int number(struct mail_lex *x, size_t max)
{
    int v = 0;
    size_t n = 0;
    for (int c; (c = mail_lex_peek(x)) >= '0' && c <= '9'; x->at++)
        if (++n > max)
            return -1;
        else
            v = v * 10 + (c - '0');
    return n ? v : -1;
}

static struct str word(struct mail_lex *x)
{
    size_t start = x->at;
    for (int c; (c = mail_lex_peek(x) | 0x20) >= 'a' && c <= 'z'; x->at++)
        ;
    return (struct str){x->s.p + start, x->at - start};
}

int mail_date_month(struct str name)
{
    for (int i = 0; i < 12 && name.n >= 3; i++)
        if (str_caseeq(str_head(name, 3), str_from(months[i])))
            return i + 1;
    return -1;
}

/* White space, comments, and the dashes, commas and dots that some programs put between. */
static void gap(struct mail_lex *x)
{
    mail_lex_cfws(x);
    while (mail_lex_peek(x) == '-' || mail_lex_peek(x) == ',' || mail_lex_peek(x) == '.') {
        x->at++;
        mail_lex_cfws(x);
    }
}

/* RFC 5322 section 4.3: two digits below 50 are of this century, others of the last. */
static int read_year(struct mail_lex *x)
{
    size_t start = x->at;
    int y = number(x, 4);
    size_t digits = x->at - start;
    if (y < 0 || digits < 2)
        return -1;
    return digits == 4 ? y : digits == 2 && y < 50 ? y + 2000 : y + 1900;
}

/* hour ":" minute [":" second] */
static int read_time(struct mail_lex *x, struct date *d)
{
    int *const field[3] = {&d->hour, &d->minute, &d->second};
    for (int i = 0; i < 3; i++) {
        if ((*field[i] = number(x, 2)) < 0)
            return -1;
        mail_lex_cfws(x);
        if (mail_lex_peek(x) != ':' && mail_lex_peek(x) != '.')
            return i >= 1 ? 0 : -1;
        if (i < 2)
            x->at++;
        mail_lex_cfws(x);
    }
    return 0;
}

/* The named zones of RFC 5322 section 4.3; all others, military ones too, mean nothing certain. */
static int named_zone(struct str s)
{
    static const struct {
        char name[4];
        int hours;
    } zones[] = {{"EDT", -4}, {"EST", -5}, {"CDT", -5}, {"CST", -6},
                 {"MDT", -6}, {"MST", -7}, {"PDT", -7}, {"PST", -8}};
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
        if (str_caseeq(s, str_from(zones[i].name)))
            return zones[i].hours * 60;
    return 0;
}

static int read_zone(struct mail_lex *x, int *zone)
{
    int sign = mail_lex_peek(x);
    *zone = 0;
    if (sign != '+' && sign != '-') {
        *zone = named_zone(word(x));
        return 0;
    }
    x->at++;
    size_t start = x->at;
    int v = number(x, 4);
    if (v < 0 || x->at - start != 4 || v % 100 > 59 || v / 100 > 23)
        return -1;
    *zone = (v / 100 * 60 + v % 100) * (sign == '-' ? -1 : 1);
    return 0;
}

/* asctime's order: month day time year (RFC 5322 does not know it; mail does). */
static int read_asctime(struct mail_lex *x, struct date *d)
{
    gap(x);
    d->day = number(x, 2);
    gap(x);
    if (d->day < 0 || read_time(x, d) != 0)
        return -1;
    gap(x);
    if (read_zone(x, &d->zone) != 0)
        return -1;
    gap(x);
    d->year = read_year(x);
    return d->year < 0 ? -1 : 0;
}

int mail_date_parse(struct str value, int64_t *unix_time, int *zone)
{
    struct mail_lex x = {.s = str_head(value, 1024)};
    struct date d = {0};
    gap(&x);
    struct str first = word(&x);
    gap(&x);
    if (first.n && mail_date_month(first) < 0) {
        struct str second = word(&x);
        if (second.n)
            first = second;
        gap(&x);
    }
    d.month = mail_date_month(first);
    if (d.month > 0) {
        if (read_asctime(&x, &d) != 0)
            return -1;
    } else {
        d.day = number(&x, 2);
        gap(&x);
        d.month = mail_date_month(word(&x));
        gap(&x);
        d.year = read_year(&x);
        gap(&x);
        if (d.day < 0 || d.month < 0 || d.year < 0 || read_time(&x, &d) != 0)
            return -1;
        mail_lex_cfws(&x);
        if (read_zone(&x, &d.zone) != 0)
            return -1;
    }
    *zone = d.zone;
    return date_to_unix(&d, unix_time);
}

/* --- IMAP: date-time = DQUOTE date-day-fixed "-" month "-" year SP time SP zone DQUOTE --- */

static bool expect(struct mail_lex *x, char c)
{
    if (mail_lex_peek(x) != c)
        return false;
    x->at++;
    return true;
}

/* Exactly n digits. */
static int fixed(struct mail_lex *x, size_t n)
{
    size_t start = x->at;
    int v = number(x, n);
    return x->at - start == n ? v : -1;
}

int mail_date_parse_imap(struct str text, int64_t *unix_time, int *zone)
{
    struct mail_lex x = {.s = text};
    struct date d = {0};
    bool ok = true;
    d.day = expect(&x, ' ') ? fixed(&x, 1) : number(&x, 2);
    ok = ok && expect(&x, '-');
    struct str name = word(&x);
    d.month = name.n == 3 ? mail_date_month(name) : -1;
    ok = ok && d.month > 0 && expect(&x, '-') && (d.year = fixed(&x, 4)) >= 0 && expect(&x, ' ');
    ok = ok && (d.hour = fixed(&x, 2)) >= 0 && expect(&x, ':');
    ok = ok && (d.minute = fixed(&x, 2)) >= 0 && expect(&x, ':');
    ok = ok && (d.second = fixed(&x, 2)) >= 0 && expect(&x, ' ');
    int sign = mail_lex_peek(&x);
    if (!ok || (sign != '+' && sign != '-') || read_zone(&x, &d.zone) != 0 || x.at != text.n)
        return -1;
    *zone = d.zone;
    return date_to_unix(&d, unix_time);
}

/* --- printing --- */

struct str mail_date_print(char *out, int64_t unix_time, int zone)
{
    struct date d = date_from_unix(unix_time, zone);
    struct date utc = d;
    int64_t t = 0;
    utc.zone = 0;
    (void)date_to_unix(&utc, &t);
    int64_t day = floor_div(t, 86400) + 4; /* 1970-01-01 was a Thursday */
    int z = d.zone < 0 ? -d.zone : d.zone;
    int n = snprintf(out, MAIL_DATE_SIZE, "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d",
                     weekdays[day - floor_div(day, 7) * 7], d.day, months[d.month - 1], (int)d.year,
                     d.hour, d.minute, d.second, d.zone < 0 ? '-' : '+', z / 60, z % 60);
    return (struct str){out, (size_t)n};
}

struct str mail_date_print_imap(char *out, int64_t unix_time, int zone)
{
    struct date d = date_from_unix(unix_time, zone);
    int z = d.zone < 0 ? -d.zone : d.zone;
    int n = snprintf(out, MAIL_DATE_SIZE, "%2d-%s-%04d %02d:%02d:%02d %c%02d%02d", d.day,
                     months[d.month - 1], (int)d.year, d.hour, d.minute, d.second,
                     d.zone < 0 ? '-' : '+', z / 60, z % 60);
    return (struct str){out, (size_t)n};
}
