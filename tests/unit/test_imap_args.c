/* protocol/imap: arguments of commands. */
#include "protocol/imap/fetch.h"
#include "protocol/imap/list.h"
#include "protocol/imap/search.h"
#include "protocol/imap/write.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct imap_limits limits = {
    .line = 2000, .literal = 1000, .literals = 1500, .nesting = 8, .items = 20};

/* A cursor on a copy, since strings are unescaped in place; one at a time. */
static struct imap_cursor on(struct arena *a, struct str s)
{
    char *copy = arena_strz(a, s);
    return (struct imap_cursor){copy, copy + s.n, &limits, NULL};
}

#define ON(text) on(a, STR(text))

static void strings(void)
{
    AUTO_ARENA a = arena_new(1000);
    struct str s;
    struct imap_cursor c = ON("abc \"a \\\"b\\\\\" {4+}\r\nx\r\ny ]b&-");
    CU_ASSERT(imap_get_astring(&c, &s) == 0 && imap_get_space(&c) == 0);
    UNIT_STR(s, "abc");
    CU_ASSERT(imap_get_astring(&c, &s) == 0 && imap_get_space(&c) == 0);
    UNIT_STR(s, "a \"b\\");
    CU_ASSERT(imap_get_astring(&c, &s) == 0 && imap_get_space(&c) == 0);
    UNIT_STR(s, "x\r\ny");
    CU_ASSERT(imap_get_astring(&c, &s) == 0 && imap_get_end(&c) == 0);
    UNIT_STR(s, "]b&-");
    static const struct str bad[] = {{"", 0}, {"\"a", 2}, {"\"a\\n\"", 5}, {"(", 1}, {"{9}\r\nx", 6},
                                     {"\"a\r\nb\"", 6}, {"{x}\r\n", 5}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c = on(a, bad[i]);
        CU_ASSERT(imap_get_astring(&c, &s) == -1 && c.wrong != NULL);
    }
}

static void lists(void)
{
    AUTO_ARENA a = arena_new(1000);
    struct imap_list l;
    struct imap_cursor c = ON(" (remote SUBSCRIBED recursivematch) \"\" (a \"b c\" %.d) return (STATUS "
                              "(size unseen) children)");
    CU_ASSERT_FATAL(imap_get_list(&c, a, &l) == 0);
    CU_ASSERT(l.extended && l.n == 3);
    CU_ASSERT(l.select == (IMAP_LIST_REMOTE | IMAP_LIST_SUBSCRIBED | IMAP_LIST_RECURSIVE));
    CU_ASSERT(l.returns == (IMAP_RETURN_STATUS | IMAP_RETURN_CHILDREN | IMAP_RETURN_SUBSCRIBED));
    CU_ASSERT(l.status == (IMAP_STATUS_SIZE | IMAP_STATUS_UNSEEN));
    UNIT_STR(l.patterns[1], "b c");
    c = ON(" a b");
    CU_ASSERT(imap_get_list(&c, a, &l) == 0 && !l.extended && l.n == 1);
    /* No more patterns than the limit. */
    AUTO_BUF many = {0};
    buf_str(&many, STR(" \"\" ("));
    for (size_t i = 0; i <= limits.items; i++)
        buf_str(&many, STR("a "));
    buf_str(&many, STR("a)"));
    c = on(a, buf_view(&many));
    CU_ASSERT(imap_get_list(&c, a, &l) == -1);
    UNIT_STR(str_from(c.wrong), "Too many mailbox patterns");
}

static void create_params(void)
{
    AUTO_ARENA a = arena_new(1000);
    unsigned uses;
    struct imap_cursor c = ON("(USE (\\sent \\Junk))");
    CU_ASSERT(imap_get_create_params(&c, &uses) == 0 && uses == (IMAP_USE_SENT | IMAP_USE_JUNK));
    c = ON("(use ())");
    CU_ASSERT(imap_get_create_params(&c, &uses) == 0 && uses == 0);
    c = ON("(USE (\\Sent \\All))");
    CU_ASSERT(imap_get_create_params(&c, &uses) == 0 && uses == (IMAP_USE_SENT | IMAP_USE_OTHER));
    c = ON("(USE (\\Sent ))");
    CU_ASSERT(imap_get_create_params(&c, &uses) == -1);
}

/* 8-bit bytes between quotes are UTF-8 or an error. */
static void quoted_utf8(void)
{
    AUTO_ARENA a = arena_new(1000);
    struct str s;
    struct imap_cursor c = ON("\"\xc3\xa9-\xc3\xa9\"");
    CU_ASSERT(imap_get_string(&c, &s) == 0);
    UNIT_STR(s, "\xc3\xa9-\xc3\xa9");
    c = ON("\"\xe9-\xe9\"");
    CU_ASSERT(imap_get_string(&c, &s) == -1);
    UNIT_STR(str_from(c.wrong), "Invalid UTF-8 in quoted string");
    AUTO_BUF b = {0};
    imap_write_utf8(&b, STR("a\"\xc3\xa9"));
    UNIT_STR(b, "\"a\\\"\xc3\xa9\"");
    buf_clear(&b);
    imap_write_utf8(&b, STR("\xe9"));
    UNIT_STR(b, "{1}\r\n\xe9");
}

static void check_set(struct arena *a, const char *text, uint32_t max, const char *want)
{
    struct imap_cursor c = on(a, str_from(text));
    struct imap_set set;
    AUTO_BUF b = {0};
    if (imap_get_set(&c, a, &set) != 0 || imap_get_end(&c) != 0) {
        buf_str(&b, STR("bad"));
    } else {
        set = imap_set_resolve(a, &set, max);
        for (size_t i = 0; i < set.n; i++)
            buf_printf(&b, "%u-%u ", set.ranges[i].first, set.ranges[i].last);
    }
    UNIT_STR(b, want);
}

static void sets(void)
{
    AUTO_ARENA a = arena_new(1000);
    check_set(a, "1", 9, "1-1 ");
    check_set(a, "5,1:3,2,4", 9, "1-5 ");
    check_set(a, "*:7,1", 9, "1-1 7-9 ");
    check_set(a, "12:*", 9, "9-12 ");
    check_set(a, "4294967295,4294967294:*", 9, "9-4294967295 ");
    check_set(a, "0", 9, "bad");
    check_set(a, "1:", 9, "bad");
    check_set(a, "1,,2", 9, "bad");
    check_set(a, "4294967296", 9, "bad");
    check_set(a, "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33,35,37,39,41", 99, "bad");
    struct imap_range ranges[] = {{1, 3}, {7, 9}};
    struct imap_set set = {.ranges = ranges, .n = 2};
    CU_ASSERT(imap_set_has(&set, 1) && imap_set_has(&set, 3) && imap_set_has(&set, 8));
    CU_ASSERT(!imap_set_has(&set, 4) && !imap_set_has(&set, 10) && !imap_set_has(&set, 0));
}

static void dates(void)
{
    AUTO_ARENA a = arena_new(1000);
    int64_t t;
    struct imap_date d;
    struct imap_cursor c = ON("\"17-Jul-1996 02:44:25 -0700\"");
    CU_ASSERT(imap_get_date_time(&c, &t) == 0 && t == 837596665);
    c = ON("\" 1-Jan-1970 01:00:00 +0100\"");
    CU_ASSERT(imap_get_date_time(&c, &t) == 0 && t == 0);
    c = ON("29-feb-2000");
    CU_ASSERT(imap_get_date(&c, &d) == 0 && d.day == 29 && d.month == 2 && d.year == 2000);
    c = ON("\"1-Dec-1969\"");
    CU_ASSERT(imap_get_date(&c, &d) == 0 && imap_at_end(&c) && d.day == 1);
    static const char *const bad[] = {"29-Feb-1900", "0-Jan-2000", "1-Jxn-2000", "1-Jan-200", "", "32-"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c = on(a, str_from(bad[i]));
        CU_ASSERT(imap_get_date(&c, &d) == -1);
    }
    static const char *const bad_times[] = {"\"17-Jul-1996 24:44:25 -0700\"", "17-Jul-1996", "\"",
                                            "\"17-Jul-1996 02:44:25 -0700", "\"\"",
                                            "{26}17-Jul-1996 02:44:25 -0700"};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++) {
        c = on(a, str_from(bad_times[i]));
        CU_ASSERT(imap_get_date_time(&c, &t) == -1);
    }
    CU_ASSERT(imap_date_days((struct imap_date){1970, 1, 1}) == 0);
    CU_ASSERT(imap_date_days((struct imap_date){1969, 12, 31}) == -1);
    CU_ASSERT(imap_date_days((struct imap_date){2000, 3, 1}) == 11017);
}

static void flags(void)
{
    AUTO_ARENA a = arena_new(1000);
    struct imap_flags f;
    struct imap_store st;
    struct imap_cursor c = ON("(\\seen $Junk \\DELETED $junk x)");
    CU_ASSERT(imap_get_flags(&c, a, false, &f) == 0);
    CU_ASSERT(f.system == (IMAP_SEEN | IMAP_DELETED) && f.n == 2);
    UNIT_STR(f.keywords[1], "x");
    c = ON("()");
    CU_ASSERT(imap_get_flags(&c, a, false, &f) == 0 && f.n == 0 && f.system == 0);
    c = ON("(\\Recent)");
    CU_ASSERT(imap_get_flags(&c, a, false, &f) == -1);
    c = ON("(\\Nonsense)");
    CU_ASSERT(imap_get_flags(&c, a, false, &f) == -1);
    c = ON("-flags.silent \\Flagged a");
    CU_ASSERT(imap_get_store(&c, a, &st) == 0 && st.silent && st.mode == IMAP_STORE_REMOVE);
    CU_ASSERT(st.flags.system == IMAP_FLAGGED && st.flags.n == 1);
    c = ON("FLAGSX (a)");
    CU_ASSERT(imap_get_store(&c, a, &st) == -1);
    unsigned items;
    c = ON("(MESSAGES unseen UIDNEXT)");
    CU_ASSERT(imap_get_status_items(&c, &items) == 0);
    CU_ASSERT(items == (IMAP_STATUS_MESSAGES | IMAP_STATUS_UNSEEN | IMAP_STATUS_UIDNEXT));
    c = ON("()");
    CU_ASSERT(imap_get_status_items(&c, &items) == -1);
    struct imap_id id;
    c = ON("(\"name\" \"x\" \"version\" NIL)");
    CU_ASSERT(imap_get_id(&c, a, &id) == 0 && id.n == 2 && id.fields[3].p == NULL);
}

static void check_fetch(struct arena *a, const char *text, const char *want)
{
    struct imap_cursor c = on(a, str_from(text));
    struct imap_fetch f;
    AUTO_BUF b = {0};
    if (imap_get_fetch(&c, a, &f) != 0 || imap_get_end(&c) != 0) {
        buf_str(&b, STR("bad"));
    } else {
        for (size_t i = 0; i < f.n; i++) {
            buf_printf(&b, "%s%d%s", i ? " " : "", f.items[i].kind, f.items[i].peek ? "" : "!");
            if (f.items[i].kind == IMAP_FETCH_SECTION || f.items[i].kind == IMAP_FETCH_BINARY ||
                f.items[i].kind == IMAP_FETCH_BINARY_SIZE)
                imap_section_write(&b, &f.items[i].section);
        }
    }
    UNIT_STR(b, want);
}

static void fetches(void)
{
    AUTO_ARENA a = arena_new(1000);
    check_fetch(a, "fast", "1 2 3");
    check_fetch(a, "(UID Flags BODY BODYSTRUCTURE)", "0 1 5! 6");
    check_fetch(a, "BODY[]", "7!BODY[]");
    check_fetch(a, "body.peek[1.2.mime]<5.10>", "7BODY[1.2.MIME]<5>");
    check_fetch(a, "BODY[3.HEADER.FIELDS.NOT (\"To\" x-y \"a(b\")]",
                "7!BODY[3.HEADER.FIELDS.NOT (To x-y \"a(b\")]");
    check_fetch(a, "BODY[12]", "7!BODY[12]");
    check_fetch(a, "(RFC822.HEADER RFC822 RFC822.TEXT RFC822.SIZE)",
                "7RFC822.HEADER 7!RFC822 7!RFC822.TEXT 3");
    check_fetch(a, "(binary.peek[1.2]<3.4> BINARY[] binary.size[2])",
                "8BODY[1.2]<3> 8!BODY[] 9BODY[2]");
    check_fetch(a, "(EMAILID threadid SAVEDATE PREVIEW preview (lazy))", "10 11 12 13 13");
    static const char *const bad[] = {"",
                                      "()",
                                      "BINARY",
                                      "BINARY[HEADER]",
                                      "BINARY[1.MIME]",
                                      "BINARY.SIZE[1]<0.1>",
                                      "PREVIEW ()",
                                      "PREVIEW (LAZY FAST)",
                                      "EMAILID[1]",
                                      "(ALL)",
                                      "BODY[MIME]",
                                      "BODY[0]",
                                      "BODY[1.]",
                                      "BODY[1",
                                      "BODY[1HEADER]",
                                      "BODY[HEADER.FIELDS ()]",
                                      "BODY[HEADER.FIELDS (a:b)]",
                                      "BODY[]<1>",
                                      "BODY[]<1.0>",
                                      "BODY.PEEK",
                                      "BODY[1.1.1.1.1.1.1.1.1]",
                                      "FLAGS UID",
                                      "(FLAGS,UID)"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_fetch(a, bad[i], "bad");
}

static void show_search(struct buf *b, const struct imap_search *s)
{
    buf_printf(b, "%d", s->key);
    if (s->field.n)
        buf_printf(b, "[%.*s]", STR_FMT(s->field));
    if (s->text.n)
        buf_printf(b, "'%.*s'", STR_FMT(s->text));
    if (s->number)
        buf_printf(b, "#%u", (unsigned)s->number);
    if (!s->kids)
        return;
    buf_byte(b, '(');
    for (const struct imap_search *k = s->kids; k; k = k->next) {
        show_search(b, k);
        buf_str(b, k->next ? STR(" ") : STR(")"));
    }
}

static void check_search(struct arena *a, struct str text, const char *want)
{
    struct imap_cursor c = on(a, text);
    struct imap_search_command s;
    AUTO_BUF b = {0};
    if (imap_get_search(&c, a, &s) != 0)
        buf_str(&b, STR("bad"));
    else
        show_search(&b, s.root);
    UNIT_STR(b, want);
}

static void searches(void)
{
    AUTO_ARENA a = arena_new(1000);
    check_search(a, STR("ALL"), "1(0)");
    check_search(a, STR("NEW"), "1(1(6#32 3(6#1)))");
    check_search(a, STR("CHARSET UTF-8 OR FROM \"x y\" (NOT 1:2 UID 3)"),
                 "1(2(8[From]'x y' 1(3(4) 5)))");
    check_search(a, STR("HEADER X-a {3+}\r\n\xc3\xa9z LARGER 10 UNKEYWORD $a"),
                 "1(8[X-a]'\xc3\xa9z' 17#10 3(7'$a'))");
    check_search(a, STR("SENTSINCE 1-Jan-2000 ON \"2-Feb-2001\""), "1(16 12)");
    static const char *const bad[] = {"", "CHARSET UTF-8", "OR SEEN", "NOT", "()", "(SEEN", "SEEN ",
                                      "SINCE x", "FOO", "SEENX", "((((((((((SEEN))))))))))",
                                      "NOT NOT NOT NOT NOT NOT NOT NOT NOT SEEN"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_search(a, str_from(bad[i]), "bad");
}

static void show_command(struct buf *b, const struct imap_search_command *s)
{
    buf_printf(b, "%d:%u:", s->extended, s->returns);
    if (s->returns & IMAP_RETURN_PARTIAL)
        buf_printf(b, "%s%u-%u:", s->partial.from_end ? "-" : "", s->partial.first, s->partial.last);
    for (size_t i = 0; i < s->sort_count; i++)
        buf_printf(b, "%s%d,", s->sort[i].reverse ? "-" : "", s->sort[i].key);
    buf_printf(b, "%.*s:", STR_FMT(s->charset));
    show_search(b, s->root);
}

typedef int get_command(struct imap_cursor *, struct arena *, struct imap_search_command *);

static void check_command(struct arena *a, get_command *get, const char *text, const char *want)
{
    struct imap_cursor c = on(a, str_from(text));
    struct imap_search_command s;
    AUTO_BUF b = {0};
    if (get(&c, a, &s) != 0)
        buf_str(&b, STR("bad"));
    else
        show_command(&b, &s);
    UNIT_STR(b, want);
}

static void search_commands(void)
{
    AUTO_ARENA a = arena_new(1000);
    get_command *search = imap_get_search, *sort = imap_get_sort, *thread = imap_get_thread;
    check_command(a, search, "ALL", "0:0::1(0)");
    check_command(a, search, "RETURN () ALL", "1:4::1(0)");
    check_command(a, search, "return (min Max COUNT save) CHARSET x 1", "1:27:x:1(4)");
    check_command(a, search, "RETURN (PARTIAL -1:-100) $", "1:32:-1-100::1(4)");
    check_command(a, search, "RETURN (COUNT PARTIAL 500:400) ALL", "1:40:500-400::1(0)");
    check_command(a, sort, "(DATE) UTF-8 ALL", "0:0:2,UTF-8:1(0)");
    check_command(a, sort, "RETURN (ALL) (REVERSE SUBJECT DISPLAYTO) \"x\" ALL", "1:4:-5,8,x:1(0)");
    check_command(a, thread, "REFERENCES UTF-8 OLDER 5", "0:0:UTF-8:1(19#5)");
    check_command(a, search, "MODSEQ \"/flags/\\\\draft\" all 620162338", "0:0::1(21#620162338)");
    check_command(a, search, "MODSEQ 5 EMAILID M-x_1", "0:0::1(21#5 26'M-x_1')");
    static const char *const bad[] = {
        "RETURN ALL", "RETURN (", "RETURN (MIN", "RETURN (MIN)", "RETURN (MIN)ALL", "RETURN (FOO) ALL",
        "RETURN (PARTIAL 1) ALL", "RETURN (PARTIAL 0:1) ALL", "RETURN (PARTIAL -1:1) ALL",
        "RETURN (PARTIAL 1:-1) ALL", "RETURN (PARTIAL 1:*) ALL", "RETURN (ALL PARTIAL 1:2) ALL",
        "RETURN (PARTIAL 1:2 PARTIAL 1:2) ALL", "RETURN () RETURN () ALL", "OLDER 0", "YOUNGER x",
        "MODSEQ", "MODSEQ x", "MODSEQ \"/flags/x\" 5", "MODSEQ \"/x\" all 5",
        "MODSEQ 9223372036854775808", "EMAILID a.b", "THREADID", "$,1", "UID 1:$"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_command(a, search, bad[i], "bad");
    static const char *const bad_sorts[] = {"ALL", "() UTF-8 ALL", "(DATE) ALL", "(DATE", "(REVERSE) x ALL",
                                            "(DATE,SIZE) x ALL", "(FOO) x ALL", "(DATE)x ALL"};
    for (size_t i = 0; i < sizeof bad_sorts / sizeof *bad_sorts; i++)
        check_command(a, sort, bad_sorts[i], "bad");
    check_command(a, thread, "FOO UTF-8 ALL", "bad");
    check_command(a, thread, "REFERENCES ALL", "bad");
}

static void check_partial(size_t first, size_t last, bool from_end, size_t count, size_t from, size_t end)
{
    const struct imap_partial p = {(uint32_t)first, (uint32_t)last, from_end};
    size_t f, e;
    imap_partial_bounds(&p, count, &f, &e);
    CU_ASSERT(f == from && e == end);
}

static void partials(void)
{
    check_partial(1, 5, false, 10, 0, 5);
    check_partial(5, 1, false, 10, 0, 5);
    check_partial(8, 20, false, 10, 7, 10);
    check_partial(11, 20, false, 10, 10, 10);
    check_partial(1, 3, true, 10, 7, 10);
    check_partial(3, 1, true, 10, 7, 10);
    check_partial(9, 20, true, 10, 0, 2);
    check_partial(11, 20, true, 10, 0, 0);
    check_partial(1, 4294967295u, true, 0, 0, 0);
}

static void check_utf7(const char *utf7, const char *utf8)
{
    AUTO_BUF b = {0};
    if (utf7) {
        CU_ASSERT(imap_utf7_decode(&b, str_from(utf7)) == 0);
        UNIT_STR(b, utf8);
        buf_clear(&b);
        CU_ASSERT(imap_utf7_encode(&b, str_from(utf8)) == 0);
        UNIT_STR(b, utf7);
    }
}

static void utf7(void)
{
    check_utf7("INBOX", "INBOX");
    check_utf7("a&-b", "a&b");
    check_utf7("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/"
                                                    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
    check_utf7("Entw&APw-rfe &2D3crg-", "Entw\xc3\xbcrfe \xf0\x9f\x92\xae");
    static const char *const bad[] = {"&", "&AOk", "&AGE-", "&2D0-", "&3K4-", "&AO!-", "\xc3\xa9",
                                      "&AOk-&APw-", "&AAA-", "&AOl-", "&ACY-", "&AOkAJg-"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        AUTO_BUF b = {0};
        CU_ASSERT(imap_utf7_decode(&b, str_from(bad[i])) == -1);
    }
    AUTO_BUF b = {0};
    CU_ASSERT(imap_utf7_encode(&b, STR("\xff")) == -1);
}

static void answers(void)
{
    AUTO_BUF b = {0};
    imap_write_string(&b, STR("a\"b\\"));
    imap_write_astring(&b, STR("ab]"));
    imap_write_astring(&b, STR(""));
    imap_write_astring(&b, STR("nil"));
    imap_write_string(&b, STR("\xc3\xa9\0"));
    UNIT_STR(b, "\"a\\\"b\\\\\"ab]\"\"\"nil\"{3}\r\n\xc3\xa9\x80");
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"strings", strings},   {"sets", sets},         {"dates", dates}, {"flags", flags},
        {"FETCH items", fetches}, {"SEARCH keys", searches}, {"SEARCH, SORT, THREAD", search_commands}, {"PARTIAL", partials},
        {"modified UTF-7", utf7},
        {"answers", answers},   {"LIST", lists},        {"CREATE", create_params},
        {"UTF-8 in quotes", quoted_utf8}, {NULL, NULL},
    };
    return unit_main("imap args", tests);
}
