/* protocol/sasl: PLAIN and LOGIN as servers hear them. */
#include "protocol/sasl/bearer.h"
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
    return sasl_start(s, NULL, STR("PLAIN"), &initial);
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
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("plain"), NULL), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "");
    CU_ASSERT_EQUAL(step(&s, STR("\0b\xc3\xb6rn@x\0p\xff")), SASL_DONE);
    UNIT_STR(GOT(s.user), "b\xc3\xb6rn@x");
    UNIT_STR(GOT(s.password), "p\xff");
    CU_ASSERT_EQUAL(step(&s, STR("\0again\0x")), SASL_WRONG);
    sasl_free(&s);
}

/* What was used once is used again, and is empty by then. */
static void test_pool(void)
{
    struct secret_pool *pool = secret_pool_new();
    struct str initial = STR("AGFsaWNlAHNlIGNyZXQ="), message = STR("AWI=");
    struct sasl s;
    CU_ASSERT_EQUAL(sasl_start(&s, pool, STR("PLAIN"), &initial), SASL_DONE);
    UNIT_STR(GOT(s.user), "alice");
    UNIT_STR(GOT(s.password), "se cret");
    const char *first = s.password.p, *end = first + s.password.n;
    sasl_free(&s);
    for (const char *p = first; p < end; p++)
        CU_ASSERT_EQUAL(*p, 0);
    CU_ASSERT_EQUAL(sasl_relay_start(&s, pool, STR("X"), &message), SASL_RELAY);
    UNIT_STR(GOT(s.message), "\001b");
    CU_ASSERT_PTR_EQUAL(s.message.p + s.message.n, end);
    sasl_free(&s);
    secret_pool_free(pool);
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
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("LOGIN"), NULL), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "VXNlcm5hbWU6");
    CU_ASSERT_EQUAL(step(&s, STR("alice")), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "UGFzc3dvcmQ6");
    CU_ASSERT_EQUAL(step(&s, STR("secret")), SASL_DONE);
    UNIT_STR(GOT(s.user), "alice");
    UNIT_STR(GOT(s.password), "secret");
    sasl_free(&s);
    struct str initial = STR("YWxpY2U=");
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("login"), &initial), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "UGFzc3dvcmQ6");
    CU_ASSERT_EQUAL(step(&s, STR("")), SASL_REFUSED);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("LOGIN"), NULL), SASL_CONTINUE);
    CU_ASSERT_EQUAL(step(&s, STR("")), SASL_REFUSED);
    sasl_free(&s);
}

static void test_cancel(void)
{
    struct sasl s;
    sasl_start(&s, NULL, STR("PLAIN"), NULL);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("*")), SASL_CANCELLED);
    sasl_free(&s);
    sasl_start(&s, NULL, STR("LOGIN"), NULL);
    step(&s, STR("alice"));
    CU_ASSERT_EQUAL(sasl_step(&s, STR("*")), SASL_CANCELLED);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("CRAM-MD5"), NULL), SASL_UNKNOWN);
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR(""), NULL), SASL_UNKNOWN);
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("PLAINX"), NULL), SASL_UNKNOWN);
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
        sasl_start(&s, NULL, STR("PLAIN"), NULL);
        CU_ASSERT_EQUAL(sasl_step(&s, str_from(wrong[i])), SASL_WRONG);
        sasl_free(&s);
    }
    struct str empty = STR("=");
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("PLAIN"), &empty), SASL_WRONG);
    CU_ASSERT_EQUAL(sasl_start(&s, NULL, STR("LOGIN"), &empty), SASL_REFUSED);
    sasl_start(&s, NULL, STR("PLAIN"), NULL);
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
    sasl_start(&s, NULL, STR("LOGIN"), NULL);
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
    CU_ASSERT_EQUAL(sasl_relay_start(&s, NULL, STR("scram-sha-1"), NULL), SASL_RELAY);
    UNIT_STR(str_from(s.mechanism), "SCRAM-SHA-1");
    CU_ASSERT(!s.has_message);
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR(""), SASL_EXPECTS_MORE), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "");
    CU_ASSERT_EQUAL(step(&s, STR("n,,n=alice,r=x")), SASL_RELAY);
    CU_ASSERT(s.has_message);
    UNIT_STR(GOT(s.message), "n,,n=alice,r=x");
    UNIT_STR(GOT(s.user), "alice");
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR("r=xy\xff"), SASL_EXPECTS_MORE), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "cj14ef8=");
    CU_ASSERT(!s.has_message);
    CU_ASSERT_EQUAL(step(&s, STR("n,,n=bob,r=x")), SASL_RELAY);
    UNIT_STR(GOT(s.user), "alice"); /* once */
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR("v=1"), SASL_EXPECTS_NOTHING), SASL_CONTINUE);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("")), SASL_RELAYED);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("")), SASL_WRONG);
    sasl_free(&s);
}

static void test_relay_sad(void)
{
    struct sasl s;
    struct str wrong = STR("x"), empty = STR("=");
    CU_ASSERT_EQUAL(sasl_relay_start(&s, NULL, STR("X"), &wrong), SASL_WRONG);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_relay_start(&s, NULL, STR("A-NAME-OF-TWENTY-FOUR-XX"), NULL), SASL_UNKNOWN);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_relay_start(&s, NULL, STR("CRAM-MD5"), &empty), SASL_RELAY);
    CU_ASSERT(s.has_message && s.message.n == 0);
    sasl_relay_challenge(&s, STR("<1@x>"), SASL_EXPECTS_MORE);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("*")), SASL_CANCELLED);
    sasl_free(&s);
    sasl_relay_start(&s, NULL, STR("CRAM-MD5"), NULL);
    sasl_relay_challenge(&s, STR("v"), SASL_EXPECTS_NOTHING);
    CU_ASSERT_EQUAL(step(&s, STR("more")), SASL_WRONG);
    sasl_free(&s);
}

/* RFC 7628 section 4.1, without its line ends. */
#define OAUTH_HEADER "n,a=user@example.com,\1"
#define OAUTH_TOKEN "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
#define OAUTH_EXAMPLE                                                                              \
    OAUTH_HEADER "host=server.example.com\1port=143\1auth=Bearer " OAUTH_TOKEN "\1\1"

static void expect_bearer(const char *mechanism, struct str said, const char *user,
                          const char *token)
{
    struct sasl_bearer b;
    struct err e = {0};
    CU_ASSERT_EQUAL(sasl_bearer_parse(str_from(mechanism), said, &b, &e), 0);
    UNIT_STR(str_from(b.user), user);
    UNIT_STR(b.token, token);
}

static void test_bearer(void)
{
    CU_ASSERT(sasl_is_bearer(STR("OAUTHBEARER")) && sasl_is_bearer(STR("xoauth2")));
    CU_ASSERT(!sasl_is_bearer(STR("OAUTH10A")) && !sasl_is_bearer(STR("")));
    expect_bearer("OAUTHBEARER", STR(OAUTH_EXAMPLE), "user@example.com", OAUTH_TOKEN);
    expect_bearer("oauthbearer", STR("n,,\1auth=bearer   a.b-c_d~e+f/g=\1\1"), "", "a.b-c_d~e+f/g=");
    expect_bearer("OAUTHBEARER", STR("y,a=a=2Cb=3Dc,\1auth=Bearer x\1\1"), "a,b=c", "x");
    expect_bearer("XOAUTH2", STR("user=someuser@example.com\1auth=Bearer ya29.x\1\1"),
                  "someuser@example.com", "ya29.x");
    expect_bearer("XOAUTH2", STR("auth=Bearer ya29.x\1\1"), "", "ya29.x");
    expect_claim("OAUTHBEARER", STR(OAUTH_EXAMPLE), "user@example.com");
    expect_claim("XOAUTH2", STR("user=alice\1auth=Bearer x\1\1"), "alice");
    expect_claim("XOAUTH2", STR("user=alice\1"), "");
}

#define WRONG(mechanism, text) {mechanism, {text, sizeof(text) - 1}}

static void test_bearer_sad(void)
{
    static const struct {
        const char *mechanism;
        struct str said;
    } wrong[] = {
        WRONG("OAUTHBEARER", ""),
        WRONG("OAUTHBEARER", "\1"),
        WRONG("OAUTHBEARER", "n,,\1\1"),
        WRONG("OAUTHBEARER", "n,\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "p=tls-unique,,\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "n,u=x,\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "n,a=x=2,\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "n,a=x\xff,\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "n,a=x,y,\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer x\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer x\1\1more"),
        WRONG("OAUTHBEARER", "n,,\1auth=Basic x\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer \1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer =\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer x\ny\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer x\0y\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer x=y\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth=Bearer x\1auth=Bearer y\1\1"),
        WRONG("OAUTHBEARER", "n,,\1=\1auth=Bearer x\1\1"),
        WRONG("OAUTHBEARER", "n,,\1auth\1\1"),
        WRONG("XOAUTH2", "user=a\nb\1auth=Bearer x\1\1"),
        WRONG("XOAUTH2", "n,,\1auth=Bearer x\1\1"),
        WRONG("XOAUTH2", "user=a\1\1"),
    };
    struct sasl_bearer b;
    struct err e = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CU_ASSERT_EQUAL_FATAL(sasl_bearer_parse(str_from(wrong[i].mechanism), wrong[i].said, &b, &e),
                              -1);
    /* Cut anywhere, it is none. */
    for (size_t n = 0; n < strlen(OAUTH_EXAMPLE); n++)
        CU_ASSERT_EQUAL(sasl_bearer_parse(STR("OAUTHBEARER"), str_head(STR(OAUTH_EXAMPLE), n), &b, &e),
                        -1);
}

static void expect_long(size_t user, size_t token, int want)
{
    struct sasl_bearer b;
    AUTO_BUF said = {0};
    buf_str(&said, STR("user="));
    while (user--)
        buf_byte(&said, 'u');
    buf_str(&said, STR("\1auth=Bearer "));
    while (token--)
        buf_byte(&said, 't');
    buf_str(&said, STR("\1\1"));
    CU_ASSERT_EQUAL(sasl_bearer_parse(STR("XOAUTH2"), buf_view(&said), &b, NULL), want);
}

static void test_bearer_limits(void)
{
    expect_long(SASL_BEARER_USER_MAX, SASL_TOKEN_MAX, 0);
    expect_long(SASL_BEARER_USER_MAX + 1, SASL_TOKEN_MAX, -1);
    expect_long(SASL_BEARER_USER_MAX, SASL_TOKEN_MAX + 1, -1);
}

static void expect_refusal(const char *mechanism, enum sasl_bearer_fault fault, struct str scope,
                           const char *want)
{
    AUTO_BUF b = {0};
    sasl_bearer_refuse(&b, str_from(mechanism), fault, scope);
    UNIT_STR(buf_view(&b), want);
}

static void test_bearer_refusals(void)
{
    expect_refusal("OAUTHBEARER", SASL_BEARER_TOKEN, STR(""), "{\"status\":\"invalid_token\"}");
    expect_refusal("OAUTHBEARER", SASL_BEARER_REQUEST, STR(""), "{\"status\":\"invalid_request\"}");
    expect_refusal("OAUTHBEARER", SASL_BEARER_SCOPE, STR("mail x"),
                   "{\"status\":\"insufficient_scope\",\"scope\":\"mail x\"}");
    expect_refusal("XOAUTH2", SASL_BEARER_TOKEN, STR("a\"\\b"),
                   "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"ab\"}");
}

/* The client begins, and answers a refusal with something that means nothing. */
static void test_bearer_exchange(void)
{
    struct sasl s;
    CU_ASSERT_EQUAL(sasl_relay_start(&s, NULL, STR("OAUTHBEARER"), NULL), SASL_CONTINUE);
    UNIT_STR(str_from(s.challenge), "");
    CU_ASSERT_EQUAL(step(&s, STR(OAUTH_EXAMPLE)), SASL_RELAY);
    UNIT_STR(GOT(s.user), "user@example.com");
    UNIT_STR(GOT(s.message), OAUTH_EXAMPLE);
    CU_ASSERT_EQUAL(sasl_relay_challenge(&s, STR("{}"), SASL_EXPECTS_ANYTHING), SASL_CONTINUE);
    CU_ASSERT_EQUAL(step(&s, STR("\1")), SASL_RELAYED);
    CU_ASSERT_EQUAL(step(&s, STR("\1")), SASL_WRONG);
    sasl_free(&s);
    CU_ASSERT_EQUAL(sasl_relay_start(&s, NULL, STR("XOAUTH2"), NULL), SASL_CONTINUE);
    CU_ASSERT_EQUAL(step(&s, STR("x")), SASL_RELAY);
    sasl_relay_challenge(&s, STR("{}"), SASL_EXPECTS_ANYTHING);
    CU_ASSERT_EQUAL(sasl_step(&s, STR("")), SASL_RELAYED);
    sasl_free(&s);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"PLAIN gives user and password", test_plain},
        {"a pool's guarded memory", test_pool},
        {"PLAIN that must not pass", test_plain_sad},
        {"LOGIN gives user and password", test_login},
        {"a client may cancel; unknown mechanisms", test_cancel},
        {"base64 is canonical or wrong", test_base64},
        {"lengths are bounded", test_limits},
        {"who a client says it is", test_claim},
        {"a relayed exchange", test_relay},
        {"relayed exchanges that fail", test_relay_sad},
        {"a message with a token", test_bearer},
        {"messages with a token that are none", test_bearer_sad},
        {"names and tokens are bounded", test_bearer_limits},
        {"what a client with a wrong token is told", test_bearer_refusals},
        {"an exchange with a token", test_bearer_exchange},
        {NULL, NULL},
    };
    if (sodium_init() < 0)
        return 99;
    return unit_main("sasl", tests);
}
