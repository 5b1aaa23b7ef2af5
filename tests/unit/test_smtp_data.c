/* protocol/smtp: lines and messages, cut at every possible boundary; every way to smuggle an end. */
#include "protocol/smtp/data.h"
#include "protocol/smtp/reader.h"
#include "tests/unit/unit.h"

#include <sodium.h>
#include <stdio.h>

/* --- lines --- */

/* What the reader says about a text: "line;" for a line, "!long;" and so on for what is none. */
static void read_lines(struct str all, size_t step, bool lf_is_end, struct buf *said)
{
    static const char *const names[] = {"", "", "!long;", "!nul;", "!cr", "!lf"};
    struct smtp_reader r;
    smtp_reader_init(&r, 20, 30, lf_is_end);
    for (size_t at = 0; at < all.n; at += step) {
        struct str in = str_head(str_skip(all, at), step), line;
        while (in.n) {
            enum smtp_line e = smtp_reader_feed(&r, &in, &line);
            if (e == SMTP_LINE_DONE)
                buf_printf(said, "%.*s;", STR_FMT(line));
            buf_str(said, str_from(names[e]));
            if (e == SMTP_LINE_BARE_CR || e == SMTP_LINE_BARE_LF) {
                smtp_reader_free(&r);
                return;
            }
            if (e != SMTP_LINE_MORE)
                smtp_reader_next(&r);
        }
    }
    if (r.line.n || r.cr || r.nul || r.too_long) /* a line has begun */
        buf_str(said, STR("..."));
    smtp_reader_free(&r);
}

static void expect_lines_of(struct str all, bool lf_is_end, const char *want)
{
    for (size_t step = 1; step <= all.n; step++) {
        AUTO_BUF said = {0};
        read_lines(all, step, lf_is_end, &said);
        UNIT_STR(said, want);
    }
}

static void test_lines(void)
{
    expect_lines_of(STR("NOOP\r\nQUIT\r\n"), false, "NOOP;QUIT;");
    expect_lines_of(STR("\r\n\r\nNO"), false, ";;...");
    expect_lines_of(STR("123456789012345678\r\n"), false, "123456789012345678;");
    expect_lines_of(STR("1234567890123456789\r\nNOOP\r\n"), false, "!long;NOOP;");
    expect_lines_of(STR("AUTH 56789012345678901234\r\nx\r\n"), false, "AUTH 56789012345678901234;x;");
    expect_lines_of(STR("auth 5678901234567890123456789\r\nx\r\n"), false, "!long;x;");
    expect_lines_of(STR("AUTHX56789012345678901234\r\n"), false, "!long;");
    expect_lines_of(STR("NO\0OP\r\nNOOP\r\n"), false, "!nul;NOOP;");
}

static void test_bare_lines(void)
{
    expect_lines_of(STR("NOOP\nQUIT\r\n"), false, "!lf");
    expect_lines_of(STR("NOOP\rQUIT\r\n"), false, "!cr");
    expect_lines_of(STR("NOOP\r\r\n"), false, "!cr");
    expect_lines_of(STR("NOOP\r\n\nQUIT\r\n"), false, "NOOP;!lf");
    expect_lines_of(STR("12345678901234567890123\nx"), false, "!lf");
    expect_lines_of(STR("NOOP\nQUIT\r\n"), true, "NOOP;QUIT;");
    expect_lines_of(STR("NOOP\rQUIT\n"), true, "!cr");
}

static void test_reader_wipes(void)
{
    struct smtp_reader r;
    struct str in = STR("AUTH PLAIN c2VjcmV0\r\n"), line;
    smtp_reader_init(&r, 512, 512, false);
    CU_ASSERT_EQUAL(smtp_reader_feed(&r, &in, &line), SMTP_LINE_DONE);
    const char *p = line.p;
    smtp_reader_next(&r);
    CU_ASSERT_PTR_EQUAL(p, r.line.p);
    for (size_t i = 0; i < line.n; i++)
        CU_ASSERT_EQUAL(p[i], 0);
    smtp_reader_free(&r);
}

/* --- DATA --- */

/* "text" then "|" at the end and what follows it; "!cr" and "!lf" when it must be refused. A NUL is
 * shown as "~". */
static void decode(struct str all, size_t step, bool lf_is_end, struct buf *said)
{
    struct smtp_data d;
    char out[1000];
    size_t n, at = 0;
    bool ended = false;
    smtp_data_init(&d, lf_is_end);
    while (at < all.n && !ended) {
        struct str in = str_head(str_skip(all, at), step);
        size_t given = in.n;
        ended = smtp_data_feed(&d, &in, out, &n);
        CU_ASSERT(n <= given);
        for (size_t i = 0; i < n; i++)
            buf_byte(said, out[i] ? out[i] : '~');
        at += given - in.n;
    }
    buf_str(said, d.bare_cr ? STR("!cr") : STR(""));
    buf_str(said, d.bare_lf ? STR("!lf") : STR(""));
    if (ended)
        buf_printf(said, "|%.*s", STR_FMT(str_skip(all, at)));
}

static void expect_data_of(struct str all, bool lf_is_end, const char *want)
{
    for (size_t step = 1; step <= all.n; step++) {
        AUTO_BUF said = {0};
        decode(all, step, lf_is_end, &said);
        UNIT_STR(said, want);
    }
}

static void expect_data(struct str all, const char *want)
{
    expect_data_of(all, false, want);
}

static void test_data(void)
{
    expect_data(STR("a\r\nb\r\n.\r\nQUIT"), "a\nb\n|QUIT");
    expect_data(STR(".\r\nQUIT"), "|QUIT");
    expect_data(STR("\r\n.\r\n"), "\n|");
    expect_data(STR("..\r\n...a\r\n.b\r\n.\r\n"), ".\n..a\nb\n|");
    expect_data(STR("a.\r\n.\r\n"), "a.\n|");
    expect_data(STR("a\r\n. \r\n.\r\n"), "a\n \n|");
    expect_data(STR("a\0b\r\n.\r\n"), "a~b\n|");
}

/* Text is looked at many octets at a time: ends of lines, bare CRs and LFs in every place of a long line. */
static void test_long_lines(void)
{
    static const char *const end[] = {"\r\n", "\r", "\n"};
    for (size_t before = 0; before < 300; before++) {
        for (size_t i = 0; i < 3; i++) {
            AUTO_BUF in = {0};
            AUTO_BUF want = {0};
            AUTO_BUF said = {0};
            for (size_t k = 0; k < before; k++)
                buf_byte(&in, (char)('a' + k % 26));
            buf_str(&want, buf_view(&in));
            buf_printf(&in, "%stail\r\n.\r\nQUIT", end[i]);
            buf_printf(&want, "%stail\n%s|QUIT", i == 1 ? "" : "\n", i == 1 ? "!cr" : i == 2 ? "!lf" : "");
            decode(buf_view(&in), in.n, false, &said);
            UNIT_STR(said, buf_z(&want));
        }
    }
}

/* Each of these was an end of data to some server, and none is one here. */
static void test_smuggling(void)
{
    expect_data(STR("a\n.\nMAIL\r\n.\r\n"), "a\n\nMAIL\n!lf|");
    expect_data(STR("a\n.\r\nMAIL\r\n.\r\n"), "a\n\nMAIL\n!lf|");
    expect_data(STR("a\r\n.\nMAIL\r\n.\r\n"), "a\n\nMAIL\n!lf|");
    expect_data(STR("a\r.\rMAIL\r\n.\r\n"), "a.MAIL\n!cr|");
    expect_data(STR("a\r.\r\nMAIL\r\n.\r\n"), "a.\nMAIL\n!cr|");
    expect_data(STR("a\r\n.\rMAIL\r\n.\r\n"), "a\nMAIL\n!cr|");
    expect_data(STR("a\n.\rMAIL\r\n.\r\n"), "a\nMAIL\n!cr!lf|");
    expect_data(STR("a\r.\nMAIL\r\n.\r\n"), "a.\nMAIL\n!cr!lf|");
    expect_data(STR("a\r\r\n.\r\r\nMAIL\r\n.\r\n"), "a\n\nMAIL\n!cr|");
    expect_data(STR("a\r\n\0.\r\nMAIL\r\n.\r\n"), "a\n~.\nMAIL\n|");
    expect_data(STR("a\r\n.\0\r\nMAIL\r\n.\r\n"), "a\n~\nMAIL\n|");
    expect_data(STR("a\n\n.\n\nMAIL\r\n.\r\n"), "a\n\n\n\nMAIL\n!lf|");
    expect_data(STR("a\r\n.\r\r\n.\r\n"), "a\n\n!cr|");
}

static void test_old_devices(void)
{
    expect_data_of(STR("a\nb\n.\nQUIT"), true, "a\nb\n|QUIT");
    expect_data_of(STR("a\n..b\n.c\n.\n"), true, "a\n.b\nc\n|");
    expect_data_of(STR("a\nb\r\n.\r\nQUIT"), true, "a\nb\n|QUIT");
    /* A relay that speaks CR LF to us passed a bare LF on: no end. */
    expect_data_of(STR("x\r\na\n.\nMAIL\r\n.\r\n"), true, "x\na\n\nMAIL\n|");
    expect_data_of(STR("a\n.\r\nMAIL\r\n.\r\n"), true, "a\n\nMAIL\n|");
    expect_data_of(STR("a\r.\r\n.\r\n"), true, "a.\n!cr|");
}

static void test_size(void)
{
    struct smtp_data d;
    char out[100];
    size_t n;
    struct str in = STR("ab\r\n..c\r\n.\r\n");
    smtp_data_init(&d, false);
    CU_ASSERT(smtp_data_feed(&d, &in, out, &n));
    CU_ASSERT_EQUAL(d.size, 8); /* "ab\r\n.c\r\n" */
    CU_ASSERT_EQUAL(n, 6);
}

/* --- BDAT --- */

static void expect_chunks(struct str all, const char *want, bool line_ended)
{
    for (size_t step = 1; step <= all.n; step++) {
        struct smtp_data d;
        char out[1000];
        size_t n;
        AUTO_BUF said = {0};
        smtp_data_init(&d, false);
        for (size_t at = 0; at < all.n; at += step) {
            smtp_data_chunk(&d, str_head(str_skip(all, at), step), out, &n);
            buf_add(&said, out, n);
        }
        CU_ASSERT_EQUAL(smtp_data_chunks_end(&d), line_ended);
        buf_str(&said, d.bare_cr ? STR("!cr") : STR(""));
        buf_str(&said, d.bare_lf ? STR("!lf") : STR(""));
        UNIT_STR(said, want);
    }
}

static void test_chunks(void)
{
    expect_chunks(STR("a\r\n.\r\n..b\r\n"), "a\n.\n..b\n", true);
    expect_chunks(STR("a\r\nb"), "a\nb", false);
    expect_chunks(STR("a\nb\r\n"), "a\nb\n!lf", true);
    expect_chunks(STR("a\rb\r\n"), "ab\n!cr", true);
    expect_chunks(STR("a\r\n\r"), "a\n!cr", false);
    expect_chunks(STR("\r\r\n"), "\n!cr", true);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"lines end with CR LF and are bounded", test_lines},
        {"bare CR and bare LF are told at once", test_bare_lines},
        {"lines are wiped", test_reader_wipes},
        {"DATA is decoded to its end", test_data},
        {"long lines are decoded like short ones", test_long_lines},
        {"nothing but CR LF . CR LF ends DATA", test_smuggling},
        {"old devices may end with LF . LF, and only they", test_old_devices},
        {"the size counts CR LF as two", test_size},
        {"chunks of BDAT", test_chunks},
        {NULL, NULL},
    };
    if (sodium_init() < 0)
        return 99;
    return unit_main("smtp data", tests);
}
