/* mail/header.h, mail/wire.h, mail/rfc5322.h: fields, addresses in them, dates, message
 * identifiers. */
#include "mail/header.h"
#include "mail/list.h"
#include "mail/rfc5322.h"
#include "mail/wire.h"
#include "tests/unit/mail_prefix.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const char message[] = "From: a@b\r\n"
                              "Subject : one\r\n two\n"
                              "\tthree\n"
                              "no colon here\n"
                              "X-Empty:\n"
                              "to: c@d\n"
                              "TO: e@f\n"
                              "\n"
                              "body: not a field\n";

static void fields(void)
{
    static const char *const names[] = {"From", "Subject", "no colon here", "X-Empty", "to", "TO"};
    struct str m = STR(message);
    struct mail_header_walk w = mail_header_walk(m);
    struct mail_field f;
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_FATAL(mail_header_next(&w, &f));
        UNIT_STR(f.name, names[i]);
        CU_ASSERT(f.colon == (i != 2));
    }
    CU_ASSERT(!mail_header_next(&w, &f));
    UNIT_STR(str_skip(m, mail_header_size(m)), "body: not a field\n");
    CU_ASSERT_FATAL(mail_header_find(m, STR("SUBJECT"), 0, &f));
    UNIT_STR(f.value, "one\r\n two\n\tthree");
    UNIT_STR(f.whole, "Subject : one\r\n two\n\tthree\n");
    AUTO_ARENA a = arena_new(256);
    UNIT_STR(mail_value_unfold(a, f.value), "one two\tthree");
    CU_ASSERT(!mail_header_is_cut(m));
    CU_ASSERT(mail_header_count(m, STR("To")) == 2);
    CU_ASSERT(mail_header_find(m, STR("to"), 1, &f));
    UNIT_STR(f.value, "e@f");
    CU_ASSERT(!mail_header_find(m, STR("to"), 2, &f));
    CU_ASSERT(!mail_header_find(m, STR("body"), 0, &f));
}

static void header_ends(void)
{
    CU_ASSERT(mail_header_size(STR("")) == 0);
    CU_ASSERT(mail_header_size(STR("\nx")) == 1);
    CU_ASSERT(mail_header_size(STR("\r\nx")) == 2);
    CU_ASSERT(mail_header_size(STR("A: b")) == 4);
    CU_ASSERT(mail_header_size(STR("A: b\n\r\nx")) == 7);
    CU_ASSERT(mail_header_size(STR("A: b\r\rx\n\ny")) == 9);
    CU_ASSERT(mail_header_size(STR("A: b\n \n\nx")) == 8); /* a blank line that is no empty line */
}

static void selecting(void)
{
    const struct str names[] = {STR("to"), STR("x-empty")};
    AUTO_BUF b = {0};
    CU_ASSERT(mail_header_select(&b, STR(message), names, 2, false) == 0);
    UNIT_STR(buf_view(&b), "X-Empty:\r\nto: c@d\r\nTO: e@f\r\n\r\n");
    buf_clear(&b);
    CU_ASSERT(mail_header_select(&b, STR("A: b\nTo: c\n d"), names, 1, true) == 0);
    UNIT_STR(buf_view(&b), "A: b\r\n\r\n");
    buf_clear(&b);
    CU_ASSERT(mail_header_select(&b, STR("A: b\nTo: c\n d"), names, 1, false) == 0);
    UNIT_STR(buf_view(&b), "To: c\r\n d\r\n\r\n");
    AUTO_BUF small = BUF_MAX(5);
    CU_ASSERT(mail_header_select(&small, STR(message), names, 2, false) == -1);
}

/* Every way of cutting the wire form gives the same bytes. */
static void wire(void)
{
    struct str raw = STR("a\r\nb\n\nc\rd\r\r\n\n\r");
    const char *want = "a\r\nb\r\n\r\nc\rd\r\r\n\r\n\r";
    uint32_t lines;
    CU_ASSERT(mail_wire_size(raw, &lines) == strlen(want));
    CU_ASSERT(lines == 5);
    AUTO_BUF all = {0};
    CU_ASSERT(mail_wire_add(&all, raw) == 0);
    UNIT_STR(buf_view(&all), want);
    for (size_t skip = 0; skip <= strlen(want) + 1; skip++) {
        for (size_t step = 1; step < 8; step++) {
            struct mail_wire w = mail_wire_open(raw);
            char got[64];
            size_t n = 0, k;
            size_t skipped = skip > strlen(want) ? strlen(want) : skip;
            CU_ASSERT(mail_wire_skip(&w, skip) == skipped);
            while ((k = mail_wire_read(&w, got + n, step)) > 0)
                n += k;
            unit_str(got, n, want + skipped, __FILE__, __LINE__);
        }
    }
}

/* --- address lists --- */

/* "name|route|local|domain" for a mailbox, "[group" and "]"; "!" at the end: the list is broken. */
static struct str describe(struct arena *a, struct str value)
{
    struct mail_addr_list l = {0};
    struct str out = STR("");
    mail_addrs_parse(a, value, &l);
    for (size_t i = 0; i < l.n; i++) {
        struct mail_addr *m = &l.v[i];
        struct str one;
        if (m->kind == MAIL_ADDR_GROUP_START)
            one = arena_printf(a, "[%.*s ", STR_FMT(m->local));
        else if (m->kind == MAIL_ADDR_GROUP_END)
            one = STR("] ");
        else
            one = arena_printf(a, "%.*s|%.*s|%.*s|%.*s ", STR_FMT(m->name), STR_FMT(m->route),
                               STR_FMT(m->local), STR_FMT(m->domain));
        out = arena_concat(a, out, one);
    }
    return l.broken ? arena_concat(a, out, STR("!")) : str_trim(out);
}

static const struct {
    const char *text, *want;
} lists[] = {
    /* RFC 5322 appendix A */
    {"John Doe <jdoe@machine.example>", "John Doe||jdoe|machine.example"},
    {"\"Joe Q. Public\" <john.q.public@example.com>", "Joe Q. Public||john.q.public|example.com"},
    {"Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
     "Mary Smith||mary|x.test ||jdoe|example.org Who?||one|y.test"},
    {"<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "||boss|nil.test Giant; \"Big\" Box||sysservices|example.net"},
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
     "[A Group Ed Jones||c|a.test ||joe|where.test John||jdoe|one.test ]"},
    {"Undisclosed recipients:;", "[Undisclosed recipients ]"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete||pete|silly.test"},
    {"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n"
     "         joe@example.org,\r\n  John <jdoe@one.test> (my dear friend); (the end of the group)",
     "[A Group Chris Jones||c|public.example ||joe|example.org John||jdoe|one.test ]"},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "[Hidden recipients ]"},
    {"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public||john.q.public|example.com"},
    {"Mary Smith <@node.test:mary@example.net>", "Mary Smith|@node.test|mary|example.net"},
    {"jdoe@test  . example", "||jdoe|test.example"},
    {"John Doe <jdoe@machine(comment).  example>", "John Doe||jdoe|machine.example"},
    /* old ways of writing */
    {"jdoe@example.org (John Doe)", "John Doe||jdoe|example.org"},
    {"john . doe @ example . org", "||john.doe|example.org"},
    {"\"john\".doe@example.org", "||john.doe|example.org"},
    {"<@a,@b:c@d>", "|@a,@b|c|d"},
    {"a@[192.0.2.1]", "||a|[192.0.2.1]"},
    {"\"a b\"@c", "||a b|c"},
    {"=?utf-8?q?a=2C_b?= <a@b>", "=?utf-8?q?a=2C_b?=||a|b"},
    {"\xc3\xa9 <\xc3\xa9@b>", "\xc3\xa9||\xc3\xa9|b"},
    {"\"a\r\n b\" <a@b>", "a b||a|b"},
    {"a@b,", "||a|b"},
    {"", ""},
    {" (only) (comments) ", ""},
    /* damage: nothing that follows is trusted, and broken says so */
    {"foo", "||foo| !"},
    {"foo bar", "foo bar||| !"},
    {"<>", "||| !"},
    {"<foo>", "||foo| !"},
    {"@b", "|||b !"},
    {"a@", "||a| !"},
    {"a@b c@d", "||a|b !"},
    {"a@b <c@d>", "||a|b !"},
    {"a@b@c", "||a|b !"},
    {"<a@b><c@d>", "||a|b !"},
    {"a@b; c@d", "||a|b !"},
    {"x <a@b", "x||a| !"},
    {"x <a@b> <c@d>", "x||a|b !"},
    {"a@b, , c@d", "||a|b ||| ||c|d !"},
    {"\"x <a@b>", "||| !"},
    {"a@b (x", "||a| !"},
    {"g: a@b, c@d", "[g ||a|b ||c|d ] !"},
    {"a\001b <c@d>", "||a| !"},
    {"<a@b:c@d>", "||a| !"},
    {"<@a c@d>", "||c|d !"},
};

static void address_lists(void)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        AUTO_ARENA a = arena_new(1024);
        UNIT_STR(describe(a, str_from(lists[i].text)), lists[i].want);
    }
}

static void feed_list(struct arena *a, struct str s)
{
    (void)describe(a, s);
}

static void list_prefixes(void)
{
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        each_prefix(str_from(lists[i].text), feed_list);
}

static void list_bounds(void)
{
    AUTO_ARENA a = arena_new(1024);
    AUTO_BUF b = {0};
    for (int i = 0; i < MAIL_ADDRS_MAX + 5; i++)
        buf_str(&b, STR("a@b,"));
    struct mail_addr_list l = {0};
    mail_addrs_parse(a, buf_view(&b), &l);
    CU_ASSERT(l.n == MAIL_ADDRS_MAX && l.truncated && l.broken);
    mail_addrs_parse(a, STR("c@d"), &l);
    CU_ASSERT(l.n == MAIL_ADDRS_MAX);
    buf_clear(&b);
    for (int i = 0; i < MAIL_COMMENT_DEPTH_MAX + 1; i++)
        buf_byte(&b, '(');
    for (int i = 0; i < MAIL_COMMENT_DEPTH_MAX + 1; i++)
        buf_byte(&b, ')');
    buf_str(&b, STR("a@b"));
    l = (struct mail_addr_list){0};
    mail_addrs_parse(a, buf_view(&b), &l);
    CU_ASSERT(l.n == 0 && l.broken);
    l = (struct mail_addr_list){0};
    mail_addrs_parse(a, str_head(str_skip(buf_view(&b), 1), 2 * MAIL_COMMENT_DEPTH_MAX), &l);
    CU_ASSERT(!l.broken);
}

/* --- dates --- */

static const struct {
    const char *text;
    int64_t t;
    int zone;
} dates[] = {
    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360},
    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120},
    {"Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -210},
    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
     "               -0330 (Newfoundland Time)", -27723480, -210},
    {"21 Nov 97 09:55:06 GMT", 880106106, 0},
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360},
    {"1 Jan 1970 00:00:00 +0000", 0, 0},
    {"1 Jan 70 00:00 Z", 0, 0},
    {"1 Jan 49 00:00:00 +0000", 2493072000, 0},
    {"1 Jan 50 00:00:00 +0000", -631152000, 0},
    {"1 Jan 103 00:00:00 +0000", 1041379200, 0},
    {"29 Feb 2000 12:00:00 EST", 951843600, -300},
    {"31 Dec 1999 23:59:60 +0000", 946684800, 0},
    {"Thu Nov  6 08:49:37 1994", 784111777, 0},
    {"Sun, 06-Nov-1994 08:49:37 PDT", 784136977, -420},
    {"6 November 1994 08.49.37 +0000", 784111777, 0},
    {"Fri, 31 Dec 9999 23:59:59 +0000", 253402300799, 0},
    {"1 Jan 2000 00:00:00 -0000", 946684800, 0},
    {"1 Jan 2000 00:00:00 A", 946684800, 0},
    {"1 Jan 2000 00:00:00", 946684800, 0},
};

static const char *const no_dates[] = {
    "", "yesterday", "1 Jan", "1 Jan 2000", "32 Jan 2000 00:00:00 +0000",
    "29 Feb 1999 00:00:00 +0000", "0 Jan 2000 00:00:00 +0000", "1 Foo 2000 00:00:00 +0000",
    "1 Jan 2000 24:00:00 +0000", "1 Jan 2000 00:60:00 +0000", "1 Jan 2000 00:00:61 +0000",
    "1 Jan 2000 00:00:00 +000", "1 Jan 2000 00:00:00 +0060", "1 Jan 2000 00:00:00 +2400",
    "1 Jan 20000 00:00:00 +0000", "1 Jan 2000 00 +0000", "(", "Thu", "Thu, Nov", "1 Jan 2 00:00:00",
};

static void feed_date(struct arena *a, struct str s)
{
    int64_t t;
    int zone;
    (void)a;
    (void)mail_date_parse(s, &t, &zone);
    (void)mail_date_parse_imap(s, &t, &zone);
}

static void date_table(void)
{
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        int64_t t = 0;
        int zone = 1;
        struct str text = str_from(dates[i].text);
        int r = mail_date_parse(text, &t, &zone);
        CU_ASSERT(r == 0 && t == dates[i].t && zone == dates[i].zone);
        if (r != 0 || t != dates[i].t)
            printf("# %s: %d %lld\n", dates[i].text, r, (long long)t);
        each_prefix(text, feed_date);
    }
    for (size_t i = 0; i < sizeof no_dates / sizeof *no_dates; i++) {
        int64_t t;
        int zone, r = mail_date_parse(str_from(no_dates[i]), &t, &zone);
        CU_ASSERT(r == -1);
        if (r == 0)
            printf("# accepted: %s\n", no_dates[i]);
    }
}

static void date_print(void)
{
    char out[MAIL_DATE_SIZE];
    UNIT_STR(mail_date_print(out, 0, 0), "Thu, 1 Jan 1970 00:00:00 +0000");
    UNIT_STR(mail_date_print(out, 1732176240, 60), "Thu, 21 Nov 2024 09:04:00 +0100");
    UNIT_STR(mail_date_print(out, 1709164800, -210), "Wed, 28 Feb 2024 20:30:00 -0330");
    UNIT_STR(mail_date_print_imap(out, 1730419440, 60), " 1-Nov-2024 01:04:00 +0100");
    UNIT_STR(mail_date_print_imap(out, 837596665, -420), "17-Jul-1996 02:44:25 -0700");
    UNIT_STR(mail_date_print(out, INT64_MIN, 0), "Mon, 1 Jan 0001 00:00:00 +0000");
    CU_ASSERT(mail_date_print(out, INT64_MAX, 1439).n < MAIL_DATE_SIZE);
    CU_ASSERT(mail_date_day(-1, 0) == -1 && mail_date_day(0, -1) == -1 && mail_date_day(86399, 1) == 1);
}

/* Reading what was printed gives the same time, over ten thousand years and all zones. */
static void date_round_trip(void)
{
    char out[MAIL_DATE_SIZE];
    bool same = true;
    for (int64_t t = -62135424000; t < 253402128000; t += 9876543217 / 100) {
        int zone = (int)(t % 720), got_zone, imap_zone;
        int64_t got, imap;
        struct str text = mail_date_print(out, t, zone);
        same &= mail_date_parse(text, &got, &got_zone) == 0 && got == t && got_zone == zone;
        text = mail_date_print_imap(out, t, zone);
        same &= mail_date_parse_imap(text, &imap, &imap_zone) == 0 && imap == t && imap_zone == zone;
    }
    CU_ASSERT(same);
    /* The first and the last hours of all, whatever the zone makes of them. */
    static const char *const edges[] = {
        "Mon, 1 Jan 0001 01:02:03 +0000", "Mon, 1 Jan 0001 00:30:00 +0100",
        "Fri, 31 Dec 9999 22:59:59 +0000", "Fri, 31 Dec 9999 23:30:00 -0200",
    };
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        int64_t t;
        int zone;
        CU_ASSERT(mail_date_parse(str_from(edges[i]), &t, &zone) == 0);
        UNIT_STR(mail_date_print(out, t, zone), edges[i]);
    }
}

static void date_imap(void)
{
    static const char *const bad[] = {
        "", "1-Jan-2000", "1-Jan-2000 00:00:00", " 11-Jan-2000 00:00:00 +0000",
        "01-January-2000 00:00:00 +0000", "01-Jan-2000 0:00:00 +0000", "01-Jan-2000 00:00:00 GMT",
        "01-Jan-2000 00:00:00 +0000 ", "01-Jan-00 00:00:00 +0000", "30-Feb-2000 00:00:00 +0000",
    };
    int64_t t;
    int zone;
    CU_ASSERT(mail_date_parse_imap(STR("17-Jul-1996 02:44:25 -0700"), &t, &zone) == 0);
    CU_ASSERT(t == 837596665 && zone == -420);
    CU_ASSERT(mail_date_parse_imap(STR(" 1-jan-2000 00:00:00 +0000"), &t, &zone) == 0);
    CU_ASSERT(mail_date_parse_imap(STR("1-Jan-2000 00:00:00 +0000"), &t, &zone) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT(mail_date_parse_imap(str_from(bad[i]), &t, &zone) == -1);
}

/* --- message identifiers --- */

static void feed_ids(struct arena *a, struct str s)
{
    struct str id;
    while (mail_msgid_next(a, &s, &id))
        CU_ASSERT(id.n > 0);
}

static void message_ids(void)
{
    AUTO_ARENA a = arena_new(1024);
    const char text[] = " <a@b>(x <no@no>)<\"c d\"@e>\r\n junk <f @ (y) g> \"<q@q>\" <> <h@i <j@k> <l";
    struct str rest = STR(text), id;
    static const char *const want[] = {"a@b", "c d@e", "f@g", "j@k"};
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_FATAL(mail_msgid_next(a, &rest, &id));
        UNIT_STR(id, want[i]);
    }
    CU_ASSERT(!mail_msgid_next(a, &rest, &id));
    each_prefix(STR(text), feed_ids);
}

static void feed_header(struct arena *a, struct str s)
{
    const struct str names[] = {STR("to")};
    struct mail_header_walk w = mail_header_walk(s);
    struct mail_field f;
    while (mail_header_next(&w, &f))
        (void)mail_value_unfold(a, f.value);
    AUTO_BUF b = {0};
    (void)mail_header_select(&b, s, names, 1, true);
    CU_ASSERT(mail_header_size(s) <= s.n);
    CU_ASSERT(mail_wire_size(s, NULL) >= s.n);
}

static void header_prefixes(void)
{
    each_prefix(STR(message), feed_header);
    each_prefix(STR("\0:\0\n\r\r\n\t:\n \r\n:\n"), feed_header);
}

static void field_bound(void)
{
    AUTO_BUF b = {0};
    struct mail_field f;
    for (size_t i = 0; i < MAIL_FIELDS_MAX; i++)
        buf_str(&b, STR("a:\n"));
    CU_ASSERT(!mail_header_is_cut(buf_view(&b)));
    buf_str(&b, STR("\nFrom: text\n"));
    CU_ASSERT(!mail_header_is_cut(buf_view(&b)));
    b.n -= strlen("\nFrom: text\n");
    buf_str(&b, STR("From: x@y\n\n"));
    CU_ASSERT(mail_header_is_cut(buf_view(&b)));
    CU_ASSERT(!mail_header_find(buf_view(&b), STR("From"), 0, &f));
}

/* RFC 2919 section 2, RFC 2369 section 3.4, RFC 6068 section 2. */
static void list_fields(void)
{
    static const struct {
        const char *address, *want;
        bool closed;
    } t[] = {
        {"crew@example.com", "List-Id: <crew.example.com>\nList-Post: <mailto:crew@example.com>\n", false},
        {"news.de@x.example", "List-Id: <news.de.x.example>\nList-Post: NO\n", true},
        {"\"a b>\"@x.example", "List-Id: <-a-b--.x.example>\nList-Post: <mailto:%22a%20b%3E%22@x.example>\n", false},
        {"caf\xc3\xa9@x.example", "List-Id: <caf--.x.example>\nList-Post: <mailto:caf%C3%A9@x.example>\n", false},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        AUTO_BUF out = {0}, small = BUF_MAX(30);
        CU_ASSERT(mail_list_fields(str_from(t[i].address), t[i].closed, &out) == 0);
        UNIT_STR(buf_view(&out), t[i].want);
        CU_ASSERT(mail_list_fields(str_from(t[i].address), t[i].closed, &small) == -1);
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"fields", fields},
        {"more fields than are looked at", field_bound},
        {"where a header ends", header_ends},
        {"HEADER.FIELDS", selecting},
        {"wire form cut anywhere", wire},
        {"header prefixes", header_prefixes},
        {"address lists", address_lists},
        {"address list prefixes", list_prefixes},
        {"address list bounds", list_bounds},
        {"dates", date_table},
        {"dates printed", date_print},
        {"dates there and back", date_round_trip},
        {"IMAP dates", date_imap},
        {"message identifiers", message_ids},
        {"header lines of lists", list_fields},
        {NULL, NULL},
    };
    return unit_main("mail-header", tests);
}
