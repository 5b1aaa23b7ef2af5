/* protocol/sasl: PLAIN and LOGIN as servers hear them. */
#include "protocol/sasl/sasl.h"
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

int main(void)
{
    static const struct unit_test tests[] = {
        {"PLAIN gives user and password", test_plain},
        {"PLAIN that must not pass", test_plain_sad},
        {"LOGIN gives user and password", test_login},
        {"a client may cancel; unknown mechanisms", test_cancel},
        {"base64 is canonical or wrong", test_base64},
        {"lengths are bounded", test_limits},
        {NULL, NULL},
    };
    if (sodium_init() < 0)
        return 99;
    return unit_main("sasl", tests);
}
