/* protocol/sasl: PLAIN and LOGIN as servers hear them. */
#include "protocol/sasl/sasl.h"
#include "protocol/sasl/claim.h"
#include "tests/unit/unit.h"

#include <sodium.h>
#include <stdlib.h>

static struct str encode(char *out, size_t max, struct str s)
{
    sodium_bin2base64(out, max, (const unsigned char *)s.p, s.n, sodium_base64_VARIANT_ORIGINAL);
    return str_from(out);
}

static enum sasl_event plain(struct sasl *s, struct str message)
{
    char text[20000];
    struct str initial = encode(text, sizeof text, message);
    return sasl_start(s, STR("PLAIN"), &initial);
}

static enum sasl_event step(struct sasl *s, struct str message)
{
    char text[20000];
    return sasl_step(s, encode(text, sizeof text, message));
}

#define GOT(s) ((struct str){(s).p, (s).n})

static void expect_plain(struct str message, enum sasl_event want)
{
    struct sasl s;
    CU_ASSERT_EQUAL(plain(&s, message), want);
    if (want != SASL_DONE)
        CU_ASSERT_PTR_NULL(s.password.p);
    sasl_free(&s);
}

static void test_plain(void)
{
    struct sasl s;
    CU_ASSERT_EQUAL(plain(&s, STR("\0alice\0se cret")), SASL_DONE);
    UNIT_STR(GOT(s.user), "alice");
    UNIT_STR(GOT(s.password), "se cret");
    sasl_free(&s);
    CU_ASSERT_PTR_NULL(s.password.p);
    CU_ASSERT_EQUAL(plain(&s, STR("alice\0alice\0x")), SASL_DONE);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_start(&s, STR("plain"), NULL), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "");
    CU_ASSERT_EQUAL(step(&s, STR("\0b\xc3\xb6rn@x\0p\xff")), SASL_DONE);
    UNIT_STR(GOT(s.user), "b\xc3\xb6rn@x");
    UNIT_STR(GOT(s.password), "p\xff");
    CU_ASSERT_EQUAL(step(&s, STR("\0again\0x")), SASL_WRONG);
    sasl_free(&s);
}

static void test_plain_sad(void)
{
    expect_plain(STR("\0alice\0"), SASL_REFUSED);
    expect_plain(STR("\0\0secret"), SASL_REFUSED);
    expect_plain(STR("bob\0alice\0secret"), SASL_REFUSED);
    expect_plain(STR("Alice\0alice\0secret"), SASL_REFUSED);
    expect_plain(STR("alice"), SASL_WRONG);
    expect_plain(STR("\0alice"), SASL_WRONG);
    expect_plain(STR(""), SASL_WRONG);
    expect_plain(STR("\0alice\0se\0cret"), SASL_WRONG);
    expect_plain(STR("\0al\xff" "ice\0secret"), SASL_WRONG);
}

static void test_login(void)
{
    struct sasl s;
    CU_ASSERT_EQUAL(sasl_start(&s, STR("LOGIN"), NULL), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "VXNlcm5hbWU6");
    CU_ASSERT_EQUAL(step(&s, STR("alice")), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "UGFzc3dvcmQ6");
    CU_ASSERT_EQUAL(step(&s, STR("secret")), SASL_DONE);
    UNIT_STR(GOT(s.user), "alice");
    UNIT_STR(GOT(s.password), "secret");
    sasl_free(&s);
    struct str initial = STR("YWxpY2U=");
    CU_ASSERT_EQUAL(sasl_start(&s, STR("login"), &initial), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "UGFzc3dvcmQ6");
    CU_ASSERT_EQUAL(step(&s, STR("")), SASL_REFUSED);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_start(&s, STR("LOGIN"), NULL), SASL_CONTINUE);
    CU_ASSERT_EQUAL(step(&s, STR("")), SASL_REFUSED);
    sasl_free(&s);
}

static void test_cancel(void)
{
    struct sasl s;
    sasl_start(&s, STR("PLAIN"), NULL);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("*")), SASL_CANCELLED);
    sasl_free(&s);
    sasl_start(&s, STR("LOGIN"), NULL);
    step(&s, STR("alice"));
    CU_ASSERT_EQUAL(sasl_step(&s, STR("*")), SASL_CANCELLED);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_start(&s, STR("CRAM-MD5"), NULL), SASL_UNKNOWN);
    CU_ASSERT_EQUAL(sasl_start(&s, STR(""), NULL), SASL_UNKNOWN);
    CU_ASSERT_EQUAL(sasl_start(&s, STR("PLAINX"), NULL), SASL_UNKNOWN);
    sasl_free(&s);
}

static void test_base64(void)
{
    static const char *const wrong[] = {
        "AGFsaWNlAHNlY3JldA",      /* padding missing */
        "AGFsaWNlAHNlY3JldA=",     /* half of it */
        "AGFsaWNlAHNlY3JldA===",   /* too much */
        "AGFsaWNlAHNlY3JldB==",    /* stray bits */
        "AGFsaWNl AHNlY3JldA==",   /* a blank */
        " AGFsaWNlAHNlY3JldA==",
        "AGFsaWNlAHNlY3JldA== ",
        "AGFsaWNlAHNlY3Jld-_=",    /* another alphabet */
        "A", "====", "=", "**",
    };
    struct sasl s;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sasl_start(&s, STR("PLAIN"), NULL);
        CU_ASSERT_EQUAL(sasl_step(&s, str_from(wrong[i])), SASL_WRONG);
        sasl_free(&s);
    }
    struct str empty = STR("=");
    CU_ASSERT_EQUAL(sasl_start(&s, STR("PLAIN"), &empty), SASL_WRONG);
    CU_ASSERT_EQUAL(sasl_start(&s, STR("LOGIN"), &empty), SASL_REFUSED);
    sasl_start(&s, STR("PLAIN"), NULL);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("AGFsaWNlAHNlY3JldA==")), SASL_DONE);
    sasl_free(&s);
}

static void test_limits(void)
{
    AUTO_BUF b = {0};
    struct sasl s;
    buf_add(&b, "\0a\0", 3);
    for (int i = 0; i < SASL_PASSWORD_MAX; i++)
        buf_byte(&b, 'p');
    CU_ASSERT_EQUAL(plain(&s, buf_view(&b)), SASL_DONE);
    sasl_free(&s);
    buf_byte(&b, 'p');
    CU_ASSERT_EQUAL(plain(&s, buf_view(&b)), SASL_REFUSED);
    sasl_free(&s);
    buf_clear(&b);
    while (b.n <= SASL_LINE_MAX)
        buf_str(&b, STR("AAAA"));
    sasl_start(&s, STR("LOGIN"), NULL);
    CU_ASSERT_EQUAL(sasl_step(&s, buf_view(&b)), SASL_WRONG);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("QUFB")), SASL_WRONG);
    sasl_free(&s);
}

static void expect_claim(const char *mechanism, struct str said, const char *want)
{
    char room[SASL_CLAIM_MAX];
    AUTO_FREE char *exact = mem_alloc(said.n + 1); /* so that the sanitizer sees what is read beyond */
    memcpy(exact, said.p, said.n);
    UNIT_STR(sasl_claim(str_from(mechanism), (struct str){exact, said.n}, room), want);
}

static void test_claim(void)
{
    expect_claim("SCRAM-SHA-256", STR("n,,n=alice,r=abc"), "alice");
    expect_claim("SCRAM-SHA-1", STR("y,a=bob,n=al=2Cice=3D=3d=2c,r=abc"), "al,ice==,");
    expect_claim("SCRAM-SHA-1", STR("p=tls-unique,,n=a=4,r="), "a=4");
    expect_claim("SCRAM-SHA-1", STR("n,a=n=bob,n=alice"), "alice");
    expect_claim("SCRAM-SHA-1", STR("n,,n=a="), "a=");
    expect_claim("CRAM-MD5", STR("al ice 0123abcd"), "al ice");
    expect_claim("cram-md5", STR("alice "), "alice");
    static const struct str none[] = {STR(""),        STR("n"),         STR("n,,"),     STR("n,,n"),
                                      STR("n,,r=abc"), STR("n,n=alice"), STR("c=biws,r=1,p=x")};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        expect_claim("SCRAM-SHA-256", none[i], "");
        expect_claim("OTHER", none[i], "");
    }
    expect_claim("CRAM-MD5", STR("alice"), "");
    expect_claim("CRAM-MD5", STR(""), "");
    AUTO_BUF b = {0};
    buf_str(&b, STR("n,,n="));
    for (int i = 0; i < 1000; i++)
        buf_byte(&b, 'x');
    char room[SASL_CLAIM_MAX];
    CU_ASSERT_EQUAL(sasl_claim(STR("SCRAM-SHA-1"), buf_view(&b), room).n, SASL_CLAIM_MAX);
    CU_ASSERT_EQUAL(sasl_claim(STR("CRAM-MD5"), STR(" x"), room).n, 0);
    buf_str(&b, STR(" 00"));
    CU_ASSERT_EQUAL(sasl_claim(STR("CRAM-MD5"), buf_view(&b), room).n, SASL_CLAIM_MAX);
}

static void test_relay(void)
{
    struct sasl s;
    CU_ASSERT_EQUAL(sasl_relay_start(&s, STR("scram-sha-1"), NULL), SASL_RELAY);
    UNIT_STR(str_from(s.mechanism), "SCRAM-SHA-1");
    CU_ASSERT(!s.has_message);
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR(""), false), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "");
    CU_ASSERT_EQUAL(step(&s, STR("n,,n=alice,r=x")), SASL_RELAY);
    CU_ASSERT(s.has_message);
    UNIT_STR(GOT(s.message), "n,,n=alice,r=x");
    UNIT_STR(GOT(s.user), "alice");
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR("r=xy\xff"), false), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "cj14ef8=");
    CU_ASSERT(!s.has_message);
    CU_ASSERT_EQUAL(step(&s, STR("n,,n=bob,r=x")), SASL_RELAY);
    UNIT_STR(GOT(s.user), "alice"); /* once */
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR("v=1"), true), SASL_CONTINUE);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("")), SASL_RELAYED);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("")), SASL_WRONG);
    sasl_free(&s);
}

static void test_relay_sad(void)
{
    struct sasl s;
    struct str wrong = STR("x"), empty = STR("=");
    CU_ASSERT_EQUAL(sasl_relay_start(&s, STR("X"), &wrong), SASL_WRONG);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_relay_start(&s, STR("A-NAME-OF-TWENTY-FOUR-XX"), NULL), SASL_UNKNOWN);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_relay_start(&s, STR("CRAM-MD5"), &empty), SASL_RELAY);
    CU_ASSERT(s.has_message && s.message.n == 0);
    sasl_relay_challenge(&s, STR("<1@x>"), false);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("*")), SASL_CANCELLED);
    sasl_free(&s);
    sasl_relay_start(&s, STR("CRAM-MD5"), NULL);
    sasl_relay_challenge(&s, STR("v"), true);
    CU_ASSERT_EQUAL(step(&s, STR("more")), SASL_WRONG);
    sasl_free(&s);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"PLAIN gives user and password", test_plain},
        {"PLAIN that must not pass", test_plain_sad},
        {"LOGIN gives user and password", test_login},
        {"a client may cancel; unknown mechanisms", test_cancel},
        {"base64 is canonical or wrong", test_base64},
        {"lengths are bounded", test_limits},
        {"who a client says it is", test_claim},
        {"a relayed exchange", test_relay},
        {"relayed exchanges that fail", test_relay_sad},
        {NULL, NULL},
    };
    if (sodium_init() < 0)
        return 99;
    return unit_main("sasl", tests);
}
