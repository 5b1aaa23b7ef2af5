/* protocol/pop3: lines, commands and messages, cut at every possible boundary. */
#include "protocol/pop3/body.h"
#include "protocol/pop3/command.h"
#include "protocol/pop3/reader.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* --- lines --- */

/* What the reader says of bytes that come step at a time: "<line>" for each, "!why" for a wrong one. */
static void read_all(struct buf *said, struct str bytes, size_t step, size_t max)
{
    struct pop3_reader r;
    struct str line;
    pop3_reader_init(&r, max);
    for (size_t at = 0; at < bytes.n; at += step) {
        struct str in = str_head(str_skip(bytes, at), step);
        while (in.n) {
            enum pop3_event e = pop3_reader_feed(&r, &in, &line);
            if (e == POP3_MORE)
                continue;
            if (e == POP3_LINE)
                buf_printf(said, "<%.*s>", STR_FMT(line));
            else
                buf_printf(said, "!%s;", r.wrong);
            pop3_reader_next(&r);
        }
    }
    CU_ASSERT(r.line.n <= max);
    pop3_reader_free(&r);
}

static void expect_lines(struct str bytes, size_t max, const char *want)
{
    for (size_t step = 1; step <= bytes.n; step++) {
        AUTO_BUF said = {0};
        read_all(&said, bytes, step, max);
        UNIT_STR(buf_view(&said), want);
    }
}

static void lines_end_with_lf(void)
{
    expect_lines(STR("STAT\r\nLIST 1\nNO OP\r\r\n\r\n"), 20, "<STAT><LIST 1><NO OP\r><>");
    expect_lines(STR("QUIT"), 20, "");
}

static void long_lines_are_skipped(void)
{
    expect_lines(STR("12345678\r\n"), 10, "<12345678>");
    expect_lines(STR("123456789\r\nNOOP\r\n"), 10, "!Line too long;<NOOP>");
    expect_lines(STR("1234567890123456789012345\nNOOP\r\n"), 10, "!Line too long;<NOOP>");
}

static void nuls_are_wrong(void)
{
    expect_lines(STR("NO\0OP\r\nNOOP\r\n"), 20, "!A NUL has no place in a command;<NOOP>");
    expect_lines(STR("N\0O too long\r\n"), 8, "!A NUL has no place in a command;");
    expect_lines(STR("NO too long\0\r\n"), 8, "!A NUL has no place in a command;");
}

static void the_limit_may_grow(void)
{
    struct pop3_reader r;
    struct str line, in = STR("12345");
    pop3_reader_init(&r, 4);
    CU_ASSERT_EQUAL(pop3_reader_feed(&r, &in, &line), POP3_MORE);
    in = STR("\n");
    CU_ASSERT_EQUAL(pop3_reader_feed(&r, &in, &line), POP3_WRONG);
    pop3_reader_next(&r);
    r.max = 1000;
    AUTO_BUF much = {0};
    for (int i = 0; i < 900; i++)
        buf_byte(&much, 'x');
    buf_byte(&much, '\n');
    for (size_t i = 0; i < much.n; i++) {
        in = (struct str){much.p + i, 1};
        CU_ASSERT_EQUAL(pop3_reader_feed(&r, &in, &line), i < 900 ? POP3_MORE : POP3_LINE);
    }
    CU_ASSERT_EQUAL(line.n, 900);
    pop3_reader_free(&r);
}

/* --- commands --- */

static void expect_wrong(const char *line, const char *why)
{
    struct pop3_command c;
    const char *wrong = pop3_command_parse(str_from(line), &c);
    UNIT_STR(str_from(wrong ? wrong : "nothing wrong"), why);
}

static void numbers(void)
{
    struct pop3_command c;
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("retr 12"), &c));
    CU_ASSERT(c.verb == POP3_RETR && c.number == 12);
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("LIST"), &c));
    CU_ASSERT(c.verb == POP3_LIST && c.number == 0);
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("Uidl 7 "), &c));
    CU_ASSERT(c.verb == POP3_UIDL && c.number == 7);
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("TOP 3 0"), &c));
    CU_ASSERT(c.verb == POP3_TOP && c.number == 3 && c.lines == 0);
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("TOP 3 99999999999999999999999"), &c));
    CU_ASSERT(c.lines == UINT64_MAX);
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("DELE 4294967296"), &c));
    CU_ASSERT(c.verb == POP3_DELE && c.number == UINT32_MAX);
    expect_wrong("RETR", "A message number is wanted");
    expect_wrong("RETR  1", "A message number is wanted");
    expect_wrong("RETR -1", "A message number is wanted");
    expect_wrong("RETR 1x", "A message number is wanted");
    expect_wrong("LIST 0", "Message numbers start with 1");
    expect_wrong("DELE 1 2", "Too many arguments");
    expect_wrong("TOP 1", "A number of lines is wanted");
    expect_wrong("TOP 1 -1", "A number of lines is wanted");
    expect_wrong("TOP 1 2 3", "Too many arguments");
    expect_wrong("STAT 1", "Too many arguments");
    expect_wrong("", "Unknown command");
    expect_wrong("RETRY 1", "Unknown command");
}

static void texts(void)
{
    struct pop3_command c;
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("PASS  a b "), &c));
    CU_ASSERT_EQUAL(c.verb, POP3_PASS);
    UNIT_STR(c.text, " a b ");
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("user ann@example.org"), &c));
    UNIT_STR(c.text, "ann@example.org");
    expect_wrong("USER", "An argument is wanted");
    expect_wrong("PASS ", "An argument is wanted");
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("AUTH PLAIN"), &c));
    UNIT_STR(c.text, "PLAIN");
    CU_ASSERT_PTR_NULL(c.initial.p);
    CU_ASSERT_PTR_NULL(pop3_command_parse(STR("AUTH plain AGE="), &c));
    UNIT_STR(c.initial, "AGE=");
    expect_wrong("AUTH", "A mechanism is wanted");
    expect_wrong("AUTH PLAIN a b", "Too many arguments");
}

static void capabilities(void)
{
    AUTO_BUF clear = {0};
    AUTO_BUF tls = {0};
    pop3_write_capabilities(&clear, POP3_CAPA_STLS, "");
    pop3_write_capabilities(&tls, POP3_CAPA_LOGIN, "");
    CU_ASSERT(str_casecontains(buf_view(&clear), STR("\r\nSTLS\r\n")));
    CU_ASSERT(!str_casecontains(buf_view(&clear), STR("SASL")));
    CU_ASSERT(!str_casecontains(buf_view(&clear), STR("USER")));
    CU_ASSERT(str_casecontains(buf_view(&tls), STR("\r\nSASL PLAIN LOGIN\r\n")));
    CU_ASSERT(!str_casecontains(buf_view(&tls), STR("STLS")));
    CU_ASSERT(str_ends(buf_view(&tls), STR("\r\n.\r\n")));
}

/* --- messages --- */

static void expect_body(struct str message, uint64_t lines, const char *want)
{
    for (size_t step = 1; step <= message.n + 1; step++) {
        struct pop3_body w;
        AUTO_BUF out = {0};
        bool more = true;
        pop3_body_init(&w, lines);
        for (size_t at = 0; at < message.n && more; at += step)
            more = pop3_body_write(&w, str_head(str_skip(message, at), step), &out);
        pop3_body_end(&w, &out);
        UNIT_STR(buf_view(&out), want);
    }
}

static void whole_messages(void)
{
    expect_body(STR("A: b\n\nx\n"), POP3_LINES_ALL, "A: b\r\n\r\nx\r\n.\r\n");
    expect_body(STR("A: b\r\n\r\nx\r\n"), POP3_LINES_ALL, "A: b\r\n\r\nx\r\n.\r\n");
    expect_body(STR("A: b\n\nno end"), POP3_LINES_ALL, "A: b\r\n\r\nno end\r\n.\r\n");
    expect_body(STR("A: b\n\nx\r"), POP3_LINES_ALL, "A: b\r\n\r\nx\r\r\n.\r\n");
    expect_body(STR(""), POP3_LINES_ALL, ".\r\n");
    expect_body(STR("a\rb\r\r\nc"), POP3_LINES_ALL, "a\rb\r\r\nc\r\n.\r\n");
}

static void dots_are_doubled(void)
{
    expect_body(STR(".A: b\n\n.\n..\nx.\n.\r\n.x"), POP3_LINES_ALL,
                "..A: b\r\n\r\n..\r\n...\r\nx.\r\n..\r\n..x\r\n.\r\n");
}

static void tops(void)
{
    static const char message[] = "A: b\n c\n\none\n\nthree\nfour";
    struct str m = str_from(message);
    expect_body(m, 0, "A: b\r\n c\r\n\r\n.\r\n");
    expect_body(m, 1, "A: b\r\n c\r\n\r\none\r\n.\r\n");
    expect_body(m, 3, "A: b\r\n c\r\n\r\none\r\n\r\nthree\r\n.\r\n");
    expect_body(m, 4, "A: b\r\n c\r\n\r\none\r\n\r\nthree\r\nfour\r\n.\r\n");
    expect_body(m, 99, "A: b\r\n c\r\n\r\none\r\n\r\nthree\r\nfour\r\n.\r\n");
    expect_body(STR("A: b\r\n\r\none\r\ntwo\r\n"), 1, "A: b\r\n\r\none\r\n.\r\n");
    expect_body(STR("no body"), 0, "no body\r\n.\r\n");
    expect_body(STR("\nonly body\nx\n"), 1, "\r\nonly body\r\n.\r\n");
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"lines end with LF or CR LF", lines_end_with_lf},
        {"long lines are skipped", long_lines_are_skipped},
        {"NULs are wrong", nuls_are_wrong},
        {"the limit may grow between lines", the_limit_may_grow},
        {"numbers", numbers},
        {"texts", texts},
        {"capabilities", capabilities},
        {"whole messages", whole_messages},
        {"dots are doubled", dots_are_doubled},
        {"TOP", tops},
        {NULL, NULL},
    };
    return unit_main("pop3", tests);
}
