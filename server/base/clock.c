/* Clocks. */
#include "base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_real_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_up_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

/* n digits from the front. */
static int take_digits(struct str *rest, size_t n, int *out)
{
    uint32_t value;
    if (rest->n < n || str_u32(str_head(*rest, n), &value) != 0)
        return -1;
    *rest = str_skip(*rest, n);
    *out = (int)value;
    return 0;
}

static bool begins_with_digit(struct str s)
{
    return s.n > 0 && s.p[0] >= '0' && s.p[0] <= '9';
}

/* "Z", "+HH" or "+HHMM": seconds east of UTC. */
static int take_zone(struct str rest, int *out)
{
    int hours = 0, minutes = 0;
    bool west = rest.n > 0 && rest.p[0] == '-';
    *out = 0;
    if (str_eq(rest, STR("Z")))
        return 0;
    if (!west && !str_starts(rest, STR("+")))
        return -1;
    rest = str_skip(rest, 1);
    if (take_digits(&rest, 2, &hours) != 0 || (rest.n && take_digits(&rest, 2, &minutes) != 0) ||
        rest.n || hours > 23 || minutes > 59)
        return -1;
    *out = (west ? -60 : 60) * (60 * hours + minutes);
    return 0;
}

/* ".5", which is passed over; false: a point and no digit. */
static bool skip_fraction(struct str *rest)
{
    if (rest->n == 0 || (rest->p[0] != '.' && rest->p[0] != ','))
        return true;
    *rest = str_skip(*rest, 1);
    bool some = begins_with_digit(*rest);
    while (begins_with_digit(*rest))
        *rest = str_skip(*rest, 1);
    return some;
}

static bool is_day(const struct tm *t)
{
    struct tm day = {.tm_year = t->tm_year, .tm_mon = t->tm_mon, .tm_mday = t->tm_mday};
    timegm(&day);
    return t->tm_mon >= 0 && t->tm_mon < 12 && day.tm_mday == t->tm_mday;
}

int clock_generalized(struct str text, int64_t *seconds)
{
    struct tm t = {0};
    int zone;
    if (take_digits(&text, 4, &t.tm_year) != 0 || take_digits(&text, 2, &t.tm_mon) != 0 ||
        take_digits(&text, 2, &t.tm_mday) != 0 || take_digits(&text, 2, &t.tm_hour) != 0)
        return -1;
    t.tm_year -= 1900;
    t.tm_mon--;
    if (begins_with_digit(text) && take_digits(&text, 2, &t.tm_min) != 0)
        return -1;
    if (begins_with_digit(text) && take_digits(&text, 2, &t.tm_sec) != 0)
        return -1;
    if (!skip_fraction(&text) || take_zone(text, &zone) != 0 || !is_day(&t) || t.tm_hour > 23 ||
        t.tm_min > 59 || t.tm_sec > 60)
        return -1;
    *seconds = timegm(&t) - zone;
    return 0;
}
