/* Reading, building and ordering maildir file names. */
#include "store/name.h"
#include "store/fs.h"

#include <stdio.h>
#include <unistd.h>

/* The number after the last ",<key>=" of the base name. */
static uint64_t field(struct str base, char key)
{
    uint64_t value, found = STORE_SIZE_UNKNOWN;
    for (ptrdiff_t at; (at = str_find(base, ',')) >= 0;) {
        base = str_skip(base, (size_t)at + 1);
        if (base.n < 3 || base.p[0] != key || base.p[1] != '=')
            continue;
        struct str number = str_skip(base, 2);
        ptrdiff_t end = str_find(number, ',');
        if (end >= 0)
            number = str_head(number, (size_t)end);
        if (str_u64(number, &value) == 0 && value < UINT64_MAX / 4)
            found = value;
    }
    return found;
}

static uint8_t flag_of(char c)
{
    switch (c) {
    case 'D':
        return STORE_DRAFT;
    case 'F':
        return STORE_FLAGGED;
    case 'P':
        return STORE_PASSED;
    case 'R':
        return STORE_ANSWERED;
    case 'S':
        return STORE_SEEN;
    case 'T':
        return STORE_DELETED;
    default:
        return 0;
    }
}

/* The info after ":2,", empty when there is none. The last colon counts, as in Dovecot. */
static struct str info_of(struct str file)
{
    ptrdiff_t colon = str_rfind(file, ':');
    if (colon < 0 || !str_starts(str_skip(file, (size_t)colon), STR(":2,")))
        return (struct str){0};
    return str_skip(file, (size_t)colon + 3);
}

bool store_name_parse(struct str file, struct store_name *out)
{
    if (file.n == 0 || file.n > STORE_NAME_MAX || file.p[0] == '.' || str_find(file, '/') >= 0 ||
        str_find(file, '\n') >= 0 || str_find(file, '\r') >= 0)
        return false;
    ptrdiff_t colon = str_find(file, ':');
    *out = (struct store_name){.base = colon < 0 ? file : str_head(file, (size_t)colon)};
    if (out->base.n == 0)
        return false;
    out->size = field(out->base, 'S');
    out->vsize = field(out->base, 'W');
    struct str info = info_of(file);
    for (size_t i = 0; i < info.n && info.p[i] != ','; i++) {
        if (info.p[i] >= 'a' && info.p[i] <= 'z')
            out->keywords |= 1u << (info.p[i] - 'a');
        else
            out->flags |= flag_of(info.p[i]);
    }
    return true;
}

/* Letters that others put into the info are kept; all stand in the order of their codes. */
void store_name_format(struct buf *out, struct str base, struct str old, uint8_t flags,
                       uint32_t keywords)
{
    static const char system[] = "DFPRST";
    bool there[256] = {false};
    struct str info = info_of(old);
    ptrdiff_t comma = str_find(info, ',');
    for (size_t i = 0; i < info.n && info.p[i] != ','; i++)
        there[(unsigned char)info.p[i]] =
            !flag_of(info.p[i]) && !(info.p[i] >= 'a' && info.p[i] <= 'z');
    for (const char *c = system; *c; c++)
        there[(unsigned char)*c] = (flags & flag_of(*c)) != 0;
    for (unsigned bit = 0; bit < 26; bit++)
        there['a' + bit] = keywords >> bit & 1;
    buf_str(out, base);
    buf_str(out, STR(":2,"));
    for (int c = 1; c < 256; c++)
        if (there[c])
            buf_byte(out, (char)c);
    if (comma >= 0) /* and what follows a second comma */
        buf_str(out, str_skip(info, (size_t)comma));
}

static struct str digits(struct str s, uint64_t *value)
{
    *value = 0;
    while (s.n && s.p[0] >= '0' && s.p[0] <= '9') {
        *value = *value * 10 + (uint64_t)(s.p[0] - '0');
        s = str_skip(s, 1);
    }
    return s;
}

/* The microseconds in the part between the first two dots: the number after its first 'M'. */
static bool micros(struct str rest, uint64_t *value)
{
    for (size_t i = 1; i < rest.n && rest.p[i] != '.' && rest.p[i] != ':'; i++) {
        if (rest.p[i] == 'M') {
            digits(str_skip(rest, i + 1), value);
            return true;
        }
    }
    return false;
}

struct store_name_order store_name_order(struct str base)
{
    struct store_name_order o = {.base = base};
    struct str rest = digits(base, &o.seconds);
    o.has_micros = rest.n && rest.p[0] == '.' && micros(rest, &o.micros);
    return o;
}

int store_name_cmp(const struct store_name_order *a, const struct store_name_order *b)
{
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    if (a->has_micros && b->has_micros && a->micros != b->micros)
        return a->micros < b->micros ? -1 : 1;
    return str_cmp(a->base, b->base);
}

void store_name_host(char out[128])
{
    char host[256];
    size_t n = 0;
    if (gethostname(host, sizeof host - 1) < 0 || host[0] == '\0')
        snprintf(host, sizeof host, "localhost");
    host[sizeof host - 1] = '\0';
    for (size_t i = 0; host[i] && n < 64; i++) {
        if (host[i] == '/' || host[i] == ':' || host[i] == ',' || (unsigned char)host[i] <= ' ')
            n += (size_t)snprintf(out + n, 128 - n, "\\%03o", (unsigned char)host[i]);
        else
            out[n++] = host[i];
    }
    out[n] = '\0';
}
