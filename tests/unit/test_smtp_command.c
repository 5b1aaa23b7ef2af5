/* protocol/smtp: the grammar of commands. */
#include "protocol/smtp/command.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define ALL_EXT (SMTP_EXT_SIZE | SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_AUTH)

/* "path size body utf8", or the reply. */
static void expect_mail_with(const char *args, unsigned offered, const char *want)
{
    AUTO_ARENA a = arena_new(1024);
    struct smtp_mail m;
    struct err e = {0};
    char got[400];
    if (smtp_parse_mail(a, str_from(args), offered, &m, &e) != 0)
        snprintf(got, sizeof got, "%s", e.client);
    else
        snprintf(got, sizeof got, "<%.*s> %llu %s%s", STR_FMT(m.path), (unsigned long long)m.size,
                 m.body == SMTP_BODY_NONE ? "-" : m.body == SMTP_BODY_7BIT ? "7" : "8",
                 m.smtputf8 ? " utf8" : "");
    UNIT_STR(str_from(got), want);
}

static void expect_mail(const char *args, const char *want)
{
    expect_mail_with(args, ALL_EXT, want);
}

static void test_mail(void)
{
    expect_mail("FROM:<a@b.example>", "<a@b.example> 0 -");
    expect_mail("from: <a@b.example>", "<a@b.example> 0 -");
    expect_mail("FROM:<>", "<> 0 -");
    expect_mail("FROM:<a@B.Example> SIZE=100 BODY=8BITMIME", "<a@b.example> 100 8");
    expect_mail("FROM:<a@b.example> size=0 body=7bit smtputf8", "<a@b.example> 0 7 utf8");
    expect_mail("FROM:<\"a b\"@b.example>", "<\"a b\"@b.example> 0 -");
    expect_mail("FROM:<@x.example,@y.example:a@b.example>", "<a@b.example> 0 -");
    expect_mail("FROM:<a@[192.0.2.1]>", "<a@[192.0.2.1]> 0 -");
    expect_mail("FROM:<a@b.example> AUTH=<>", "<a@b.example> 0 -");
    expect_mail("FROM:<a@b.example> SIZE=18446744073709551615", "<a@b.example> 18446744073709551615 -");
    expect_mail("FROM:<a@b.example> SIZE=99999999999999999999", "<a@b.example> 18446744073709551615 -");
    expect_mail("FROM:<j\xc3\xbcrgen@b.example> SMTPUTF8", "<j\xc3\xbcrgen@b.example> 0 - utf8");
}

static void test_mail_sad(void)
{
    expect_mail("", "501 5.5.4 Syntax: MAIL FROM:<address>");
    expect_mail("<a@b.example>", "501 5.5.4 Syntax: MAIL FROM:<address>");
    expect_mail("FROM:a@b.example", "501 5.5.4 Syntax: MAIL FROM:<address>");
    expect_mail("FROM:", "501 5.5.4 Syntax: MAIL FROM:<address>");
    expect_mail("TO:<a@b.example>", "501 5.5.4 Syntax: MAIL FROM:<address>");
    expect_mail("FROM:<a@b.example", "501 5.1.7 Bad sender address syntax");
    expect_mail("FROM:<a@>", "501 5.1.7 Bad sender address syntax");
    expect_mail("FROM:<@b.example>", "501 5.1.7 Bad sender address syntax");
    expect_mail("FROM:<a b@c.example>", "501 5.1.7 Bad sender address syntax");
    expect_mail("FROM:<a@b@c.example>", "501 5.1.7 Bad sender address syntax");
    expect_mail("FROM:<a>", "501 5.1.7 Bad sender address syntax");
    expect_mail("FROM:<a@b.example>SIZE=1", "501 5.5.4 Syntax error behind the address");
    expect_mail("FROM:<a@b.example> SIZE", "501 5.5.4 Bad SIZE value");
    expect_mail("FROM:<a@b.example> SIZE=1x", "501 5.5.4 Bad SIZE value");
    expect_mail("FROM:<a@b.example> SIZE=-1", "501 5.5.4 Bad SIZE value");
    expect_mail("FROM:<a@b.example> SIZE=100000000000000000000", "501 5.5.4 Bad SIZE value");
    expect_mail("FROM:<a@b.example> SIZE=1 SIZE=2", "501 5.5.4 A parameter is given twice");
    expect_mail("FROM:<a@b.example> BODY=BINARYMIME", "501 5.5.4 Bad BODY value: 7BIT or 8BITMIME");
    expect_mail("FROM:<a@b.example> SMTPUTF8=1", "501 5.5.4 SMTPUTF8 takes no value");
    expect_mail("FROM:<a@b.example> =1", "501 5.5.4 Syntax error in parameters");
    expect_mail("FROM:<a@b.example> X=", "501 5.5.4 Syntax error in parameters");
    expect_mail("FROM:<a@b.example> X=1=2", "501 5.5.4 Syntax error in parameters");
    expect_mail("FROM:<a@b.example> RET=FULL", "555 5.5.4 Unsupported parameter: RET");
    expect_mail("FROM:<a@b.example> ENVID=1", "555 5.5.4 Unsupported parameter: ENVID");
    expect_mail("FROM:<a@b.example> <c@d.example>", "501 5.5.4 Syntax error in parameters");
    expect_mail("FROM:<j\xc3\xbcrgen@b.example>",
                "553 5.6.7 Address with non-ASCII characters needs SMTPUTF8");
    expect_mail("FROM:<j\xff@b.example> SMTPUTF8", "501 5.1.7 Bad sender address syntax");
    expect_mail_with("FROM:<a@b.example> SIZE=1", 0, "555 5.5.4 Unsupported parameter: SIZE");
    expect_mail_with("FROM:<a@b.example> AUTH=<>", SMTP_EXT_SIZE,
                     "555 5.5.4 Unsupported parameter: AUTH");
}

static void test_parameters_bounded(void)
{
    AUTO_BUF b = {0};
    buf_str(&b, STR("FROM:<a@b.example>"));
    for (int i = 0; i <= SMTP_PARAMETERS_MAX; i++)
        buf_printf(&b, " X%d=1", i);
    expect_mail(buf_z(&b), "501 5.5.4 Too many parameters");
    buf_clear(&b);
    buf_str(&b, STR("FROM:<a@b.example> "));
    for (int i = 0; i < 300; i++)
        buf_byte(&b, 'N');
    expect_mail(buf_z(&b),
                "555 5.5.4 Unsupported parameter: NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN");
}

static void expect_rcpt(const char *args, bool utf8, const char *want)
{
    AUTO_ARENA a = arena_new(1024);
    struct smtp_rcpt r;
    struct err e = {0};
    char got[400];
    if (smtp_parse_rcpt(a, str_from(args), 0, utf8, &r, &e) != 0)
        snprintf(got, sizeof got, "%s", e.client);
    else
        snprintf(got, sizeof got, "<%.*s>", STR_FMT(r.path));
    UNIT_STR(str_from(got), want);
}

static void test_rcpt(void)
{
    expect_rcpt("TO:<a@b.example>", false, "<a@b.example>");
    expect_rcpt("to: <a@b.example>", false, "<a@b.example>");
    expect_rcpt("TO:<postmaster>", false, "<postmaster>");
    expect_rcpt("TO:<PostMaster>", false, "<PostMaster>");
    expect_rcpt("TO:<a+tag@B.example>", false, "<a+tag@b.example>");
    expect_rcpt("TO:<j\xc3\xbcrgen@b.example>", true, "<j\xc3\xbcrgen@b.example>");
    expect_rcpt("TO:<a>", false, "501 5.1.3 Bad recipient address syntax");
    expect_rcpt("TO:<>", false, "501 5.1.3 Bad recipient address syntax");
    expect_rcpt("TO:<a@b..example>", false, "501 5.1.3 Bad recipient address syntax");
    expect_rcpt("TO:a@b.example", false, "501 5.5.4 Syntax: RCPT TO:<address>");
    expect_rcpt("FROM:<a@b.example>", false, "501 5.5.4 Syntax: RCPT TO:<address>");
    expect_rcpt("TO:<a@b.example> NOTIFY=NEVER", false, "555 5.5.4 Unsupported parameter: NOTIFY");
    expect_rcpt("TO:<a@b.example>X", false, "501 5.5.4 Syntax error behind the address");
    expect_rcpt("TO:<j\xc3\xbcrgen@b.example>", false,
                "553 5.6.7 Address with non-ASCII characters needs SMTPUTF8");
}

/* "RET envid", "notify orcpt", or the reply. */
static void expect_dsn_mail(const char *args, const char *want)
{
    AUTO_ARENA a = arena_new(1024);
    struct smtp_mail m;
    struct err e = {0};
    char got[400];
    if (smtp_parse_mail(a, str_from(args), SMTP_EXT_DSN, &m, &e) != 0)
        snprintf(got, sizeof got, "%s", e.client);
    else
        snprintf(got, sizeof got, "%d %.*s", m.ret, STR_FMT(m.envid));
    UNIT_STR(str_from(got), want);
}

static void expect_dsn_rcpt(const char *args, const char *want)
{
    AUTO_ARENA a = arena_new(1024);
    struct smtp_rcpt r;
    struct err e = {0};
    char got[400];
    if (smtp_parse_rcpt(a, str_from(args), SMTP_EXT_DSN, false, &r, &e) != 0)
        snprintf(got, sizeof got, "%s", e.client);
    else
        snprintf(got, sizeof got, "%u %.*s", r.notify, STR_FMT(r.orcpt));
    UNIT_STR(str_from(got), want);
}

static void test_dsn(void)
{
    static const char notify[] =
        "501 5.5.4 Bad NOTIFY value: NEVER, or some of SUCCESS,FAILURE,DELAY";
    expect_dsn_mail("FROM:<a@b.example>", "0 ");
    expect_dsn_mail("FROM:<a@b.example> RET=FULL ENVID=x+2B1", "1 x+2B1");
    expect_dsn_mail("FROM:<a@b.example> ret=hdrs", "2 ");
    expect_dsn_mail("FROM:<a@b.example> RET=HALF", "501 5.5.4 Bad RET value: FULL or HDRS");
    expect_dsn_mail("FROM:<a@b.example> RET", "501 5.5.4 Bad RET value: FULL or HDRS");
    expect_dsn_mail("FROM:<a@b.example> ENVID=a+0Ab", "501 5.5.4 Bad ENVID");
    expect_dsn_mail("FROM:<a@b.example> ENVID=a+4", "501 5.5.4 Bad ENVID");
    expect_dsn_mail("FROM:<a@b.example> ENVID=a+4X", "501 5.5.4 Bad ENVID");
    expect_dsn_mail("FROM:<a@b.example> ENVID", "501 5.5.4 Bad ENVID");
    AUTO_BUF longer = {0};
    buf_str(&longer, STR("FROM:<a@b.example> ENVID="));
    for (int i = 0; i <= SMTP_ENVID_MAX; i++)
        buf_byte(&longer, 'x');
    expect_dsn_mail(buf_z(&longer), "501 5.5.4 Bad ENVID");
    expect_dsn_rcpt("TO:<a@b.example>", "0 ");
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY=NEVER", "8 ");
    expect_dsn_rcpt("TO:<a@b.example> notify=success,DELAY,Failure", "7 ");
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY=NEVER,SUCCESS", notify);
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY=SUCCESS,NEVER", notify);
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY=SUCCESS,SUCCESS", notify);
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY=SUCCESS,", notify);
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY=,DELAY", notify);
    expect_dsn_rcpt("TO:<a@b.example> NOTIFY", notify);
    expect_dsn_rcpt("TO:<a@b.example> ORCPT=rfc822;x+40y.example", "0 rfc822;x+40y.example");
    expect_dsn_rcpt("TO:<a@b.example> ORCPT=x", "501 5.5.4 Bad ORCPT value");
    expect_dsn_rcpt("TO:<a@b.example> ORCPT=;x", "501 5.5.4 Bad ORCPT value");
    expect_dsn_rcpt("TO:<a@b.example> ORCPT=rfc822;", "501 5.5.4 Bad ORCPT value");
    expect_dsn_rcpt("TO:<a@b.example> ORCPT=rfc(822;x", "501 5.5.4 Bad ORCPT value");
    expect_dsn_rcpt("TO:<a@b.example> ORCPT=rfc822;x+0Ay", "501 5.5.4 Bad ORCPT value");
    expect_dsn_rcpt("TO:<a@b.example> RET=FULL", "555 5.5.4 Unsupported parameter: RET");
}

static void test_xtext(void)
{
    AUTO_BUF out = {0};
    smtp_xtext_decode(STR("a+2Bb+3Dc+40+20d"), &out);
    UNIT_STR(buf_view(&out), "a+b=c@ d");
    buf_clear(&out);
    smtp_xtext_encode(STR("a+b=c@ d"), &out);
    UNIT_STR(buf_view(&out), "a+2Bb+3Dc@+20d");
    buf_clear(&out);
    smtp_notify_print(SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY, &out);
    UNIT_STR(buf_view(&out), "SUCCESS,DELAY");
}

static void test_hello(void)
{
    struct str name;
    struct err e;
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("mx.example"), &name, &e), 0);
    UNIT_STR(name, "mx.example");
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("[192.0.2.1]"), &name, &e), 0);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("[IPv6:2001:db8::1]"), &name, &e), 0);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("old_device"), &name, &e), 0);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR(""), &name, &e), -1);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("a b"), &name, &e), -1);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("a(b)"), &name, &e), -1);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("a\0b"), &name, &e), -1);
    CU_ASSERT_EQUAL(smtp_parse_hello(STR("\xc3\xbc"), &name, &e), -1);
    char longer[MAIL_DOMAIN_MAX + 2];
    memset(longer, 'a', sizeof longer);
    CU_ASSERT_EQUAL(smtp_parse_hello((struct str){longer, MAIL_DOMAIN_MAX}, &name, &e), 0);
    CU_ASSERT_EQUAL(smtp_parse_hello((struct str){longer, MAIL_DOMAIN_MAX + 1}, &name, &e), -1);
}

static void expect_bdat(const char *args, int r, uint64_t want, bool want_last)
{
    uint64_t size = 0;
    bool last = false;
    struct err e;
    CU_ASSERT_EQUAL(smtp_parse_bdat(str_from(args), &size, &last, &e), r);
    if (r == 0) {
        CU_ASSERT_EQUAL(size, want);
        CU_ASSERT_EQUAL(last, want_last);
    }
}

static void test_bdat(void)
{
    expect_bdat("10", 0, 10, false);
    expect_bdat("0 LAST", 0, 0, true);
    expect_bdat("10  last", 0, 10, true);
    expect_bdat("", -1, 0, false);
    expect_bdat("x", -1, 0, false);
    expect_bdat("-1", -1, 0, false);
    expect_bdat("1 2", -1, 0, false);
    expect_bdat("1 LAST 2", -1, 0, false);
    expect_bdat("99999999999999999999999", -1, 0, false);
    expect_bdat("18446744073709551616", -1, 0, false);
}

static void test_auth(void)
{
    struct smtp_auth auth;
    struct err e;
    CU_ASSERT_EQUAL(smtp_parse_auth(STR("PLAIN"), &auth, &e), 0);
    CU_ASSERT_PTR_NULL(auth.initial.p);
    CU_ASSERT_EQUAL(smtp_parse_auth(STR("PLAIN AGE="), &auth, &e), 0);
    UNIT_STR(auth.initial, "AGE=");
    CU_ASSERT_EQUAL(smtp_parse_auth(STR(""), &auth, &e), -1);
    CU_ASSERT_EQUAL(smtp_parse_auth(STR("PLAIN a b"), &auth, &e), -1);
}

static void test_split(void)
{
    struct str verb, args;
    smtp_command_split(STR("MAIL FROM:<>  "), &verb, &args);
    UNIT_STR(verb, "MAIL");
    UNIT_STR(args, "FROM:<>");
    smtp_command_split(STR("NOOP"), &verb, &args);
    UNIT_STR(verb, "NOOP");
    UNIT_STR(args, "");
    smtp_command_split(STR(" NOOP"), &verb, &args);
    UNIT_STR(verb, "");
}

static void test_status(void)
{
    CU_ASSERT(smtp_has_status(STR("5.1.1 No"), '5'));
    CU_ASSERT(smtp_has_status(STR("4.123.45 No"), '4'));
    CU_ASSERT_FALSE(smtp_has_status(STR("5.1.1 No"), '4'));
    CU_ASSERT_FALSE(smtp_has_status(STR("5.1 No"), '5'));
    CU_ASSERT_FALSE(smtp_has_status(STR("5.1.1"), '5'));
    CU_ASSERT_FALSE(smtp_has_status(STR(""), '5'));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"MAIL", test_mail},
        {"MAIL that is refused", test_mail_sad},
        {"parameters are bounded", test_parameters_bounded},
        {"RCPT", test_rcpt},
        {"the parameters of RFC 3461", test_dsn},
        {"xtext", test_xtext},
        {"EHLO and HELO", test_hello},
        {"BDAT", test_bdat},
        {"AUTH", test_auth},
        {"a line into verb and arguments", test_split},
        {"enhanced status codes", test_status},
        {NULL, NULL},
    };
    return unit_main("smtp command", tests);
}
