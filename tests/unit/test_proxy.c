/* io/proxy.c: the header of the PROXY protocol. */
#include "base/mem.h"
#include "io/proxy.h"
#include "tests/unit/unit.h"

#include <string.h>

#define BYTES(lit) ((struct str){(lit), sizeof(lit) - 1})
#define BEGIN2 "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\0\2\x07\xc6\x33\x64\1\x30\x39\0\x19"
#define CRC "\343\351\266\372"
#define V6                                                                                         \
    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x30\x39\0\x19"

/* Fed octet by octet: until the header is there, more is wanted; what follows does not matter. */
static bool whole(struct str header, const char *client, unsigned port)
{
    AUTO_BUF all = {0};
    struct proxy_header h;
    struct err e = {0};
    size_t used = 0;
    buf_str(&all, header);
    buf_str(&all, BYTES("\x16\3\1EHLO \n\r\n"));
    for (size_t n = 0; n < header.n; n++)
        if (proxy_header_parse(str_head(buf_view(&all), n), &used, &h, &e) != PROXY_MORE)
            return false;
    for (size_t n = header.n; n <= all.n; n++)
        if (proxy_header_parse(str_head(buf_view(&all), n), &used, &h, &e) != PROXY_DONE ||
            used != header.n || h.local != !client)
            return false;
    return !client || (strcmp(h.client.text, client) == 0 && h.client.port == port);
}

/* Bad at the latest when all is there, and then it stays so. */
static bool bad(struct str in)
{
    struct proxy_header h;
    struct err e = {0};
    size_t used = 0;
    bool was = false;
    for (size_t n = 0; n <= in.n; n++) {
        enum proxy_event now = proxy_header_parse(str_head(in, n), &used, &h, &e);
        if (now == PROXY_DONE || (was && now != PROXY_BAD))
            return false;
        was = now == PROXY_BAD;
    }
    return was && e.log[0];
}

static void lines_are_read(void)
{
    CU_ASSERT(whole(STR("PROXY TCP4 192.0.2.7 198.51.100.1 12345 25\r\n"), "192.0.2.7", 12345));
    CU_ASSERT(whole(STR("PROXY TCP6 2001:db8::7 2001:db8::1 12345 25\r\n"), "2001:db8::7", 12345));
    CU_ASSERT(whole(STR("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 65535\r\n"), "192.0.2.7", 1));
    CU_ASSERT(whole(STR("PROXY UNKNOWN\r\n"), NULL, 0));
    CU_ASSERT(whole(STR("PROXY UNKNOWN ffff:f... 65535 whatever\r\n"), NULL, 0));
}

static void bad_lines_are_refused(void)
{
    static const char *const lines[] = {
        "EHLO x\r\n", "PROXYTCP4", "PROXY TCP4\r\n", "PROXY  TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.1 -1 2\r\n", "PROXY TCP4 192.0.2.7 x 1 2\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY tcp4 192.0.2.7 192.0.2.1 1 2\r\n", "PROXY TCP4 192.0.2.7\t192.0.2.1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CU_ASSERT(bad(str_from(lines[i])));
    CU_ASSERT(bad(BYTES("PROXY TCP4 192.0.2.7\0 192.0.2.1 1 2\r\n")));
    char longest[108];
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "PROXY UNKNOWN ", 14);
    CU_ASSERT(bad((struct str){longest, 107}));
    memcpy(longest + 105, "\r\n", 2);
    CU_ASSERT(whole((struct str){longest, 107}, NULL, 0));
}

static void octets_are_read(void)
{
    CU_ASSERT(whole(BYTES(BEGIN2 "\x21\x11\0\x0c" V4), "192.0.2.7", 12345));
    CU_ASSERT(whole(BYTES(BEGIN2 "\x21\x21\0\x24" V6), "2001:db8::7", 12345));
    CU_ASSERT(whole(BYTES(BEGIN2 "\x20\0\0\0"), NULL, 0));
    CU_ASSERT(whole(BYTES(BEGIN2 "\x20\x11\0\x0c" V4), NULL, 0));
    CU_ASSERT(whole(BYTES(BEGIN2 "\x21\0\0\3abc"), NULL, 0));
    /* Extensions: of a kind that is not known, an empty one. */
    CU_ASSERT(whole(BYTES(BEGIN2 "\x21\x11\0\x14" V4 "\xe0\0\2ab\4\0\0"), "192.0.2.7", 12345));
}

static void bad_octets_are_refused(void)
{
    CU_ASSERT(bad(BYTES("\r\n\r\n\0\r\nQUIT\r")));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x11\x11\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x22\x11\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x41\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x13\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x12\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x31\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x11\0\x0b" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x21\0\x0c" V4)));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x11\x10\0")));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x11\0\x0e" V4 "\4\0")));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x11\0\x10" V4 "\4\0\2a")));
}

/* Section 2.2.3, with a sum that another program made (tests/system/balancers.py has its own). */
static void checksums_are_checked(void)
{
    CU_ASSERT(whole(BYTES(BEGIN2 "\x21\x11\0\x13" V4 "\3\0\4" CRC), "192.0.2.7", 12345));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x11\0\x13" V4 "\3\0\4\0\0\0\0")));
    CU_ASSERT(bad(BYTES(BEGIN2 "\x21\x11\0\x12" V4 "\3\0\3\0\0\0")));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"lines are read", lines_are_read},
        {"bad lines are refused", bad_lines_are_refused},
        {"octets are read", octets_are_read},
        {"bad octets are refused", bad_octets_are_refused},
        {"checksums are checked", checksums_are_checked},
        {NULL, NULL},
    };
    return unit_main("proxy", tests);
}
