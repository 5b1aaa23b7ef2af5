/* Logins with a token: answers of the introspection server, and what the options say of it. */
#include "config/introspection.h"
#include "filter/token_answer.h"
#include "tests/unit/unit.h"

#define NOW 1700000000

static struct str no_scopes[1], two_scopes[2];

/* As for a POST, with no scope asked for. */
static struct token_rules rules_of(const struct config_list *scope)
{
    return (struct token_rules){STR("active"), STR("true"), STR("username"), true, scope};
}

/* user: NULL when it makes no sense. */
static void expect(const char *json, const struct token_rules *r, enum token_state want,
                   const char *user)
{
    AUTO_BUF got = {0};
    struct err e = {0};
    enum token_state state = TOKEN_GOOD;
    int ended = token_answer_read(str_from(json), r, NOW, &state, &got, &e);
    CU_ASSERT_EQUAL(ended, user ? 0 : -1);
    if (!user) {
        CU_ASSERT_EQUAL(e.kind, ERR_TEMPORARY);
        CU_ASSERT(e.log[0] != '\0');
        return;
    }
    CU_ASSERT_EQUAL(state, want);
    UNIT_STR(buf_view(&got), user);
}

static void test_answers(void)
{
    struct config_list none = {no_scopes, 0};
    struct token_rules r = rules_of(&none);
    /* RFC 7662 section 2.2. */
    expect("{\"active\": true, \"client_id\": \"l238j323ds-23ij4\", \"username\": \"jdoe\","
           " \"scope\": \"read write dolphin\", \"sub\": \"Z5O3upPC88QrAjx00dis\","
           " \"aud\": \"https://protected.example.net/resource\","
           " \"iss\": \"https://server.example.com/\", \"exp\": 1719356238,"
           " \"iat\": 1419350238, \"extension_field\": \"twenty-seven\" }", &r, TOKEN_GOOD, "jdoe");
    expect("{\"active\": false}", &r, TOKEN_NOT_ACTIVE, "");
    expect("{\"active\":\"true\",\"username\":\"b\xc3\xb6rn\"}", &r, TOKEN_GOOD, "b\xc3\xb6rn");
    expect("{\"active\":\"yes\",\"username\":\"x\"}", &r, TOKEN_NOT_ACTIVE, "");
    expect("{\"active\":null,\"username\":\"x\"}", &r, TOKEN_NOT_ACTIVE, "");
    expect("{\"active\":[true],\"username\":\"x\"}", &r, TOKEN_NOT_ACTIVE, "");
    expect("{\"active\":true,\"username\":\"x\",\"exp\":1700000000}", &r, TOKEN_NOT_ACTIVE, "");
    expect("{\"active\":true,\"username\":\"x\",\"exp\":1700000000.5}", &r, TOKEN_GOOD, "x");
    expect("{\"active\":true,\"username\":\"x\",\"exp\":-1}", &r, TOKEN_NOT_ACTIVE, "");
    r.active_value = STR("1");
    expect("{\"active\":1,\"username\":\"x\"}", &r, TOKEN_GOOD, "x");
    expect("{\"active\":true,\"username\":\"x\"}", &r, TOKEN_NOT_ACTIVE, "");
    r.active_needed = false;
    expect("{\"username\":\"x\"}", &r, TOKEN_GOOD, "x");
    r.username_attribute = STR("email");
    expect("{\"username\":\"x\",\"email\":\"x@example.com\"}", &r, TOKEN_GOOD, "x@example.com");
}

static void test_scopes(void)
{
    struct config_list both = {two_scopes, 2};
    struct token_rules r = rules_of(&both);
    two_scopes[0] = STR("mail");
    two_scopes[1] = STR("imap");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":\"a imap mail\"}", &r, TOKEN_GOOD, "x");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":[\"imap\",3,\"mail\"]}", &r, TOKEN_GOOD, "x");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":\"mail\"}", &r, TOKEN_LACKS_SCOPE, "");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":\"mailbox imap\"}", &r, TOKEN_LACKS_SCOPE, "");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":\"MAIL imap\"}", &r, TOKEN_LACKS_SCOPE, "");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":[\"mail imap\"]}", &r, TOKEN_LACKS_SCOPE, "");
    expect("{\"active\":true,\"username\":\"x\",\"scope\":{}}", &r, TOKEN_LACKS_SCOPE, "");
    expect("{\"active\":true,\"username\":\"x\"}", &r, TOKEN_LACKS_SCOPE, "");
    expect("{\"active\":false,\"scope\":\"mail\"}", &r, TOKEN_NOT_ACTIVE, "");
}

static void test_nonsense(void)
{
    struct config_list none = {no_scopes, 0};
    struct token_rules r = rules_of(&none);
    static const char *const wrong[] = {
        "", "{", "null", "[]", "\"active\"", "true", "{\"username\":\"x\"}",
        "{\"active\":true}", "{\"active\":true,\"username\":\"\"}",
        "{\"active\":true,\"username\":7}", "{\"active\":true,\"username\":[\"x\"]}",
        "{\"active\":true,\"username\":\"x\",\"exp\":\"never\"}",
        "{\"active\":true,\"username\":\"x\"} more",
        "{\"active\":true,\"active\":false,\"username\":\"x\"}",
        "{\"active\":true,\"username\":\"a\\u0000b\"}",
        "{\"active\":true,\"username\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect(wrong[i], &r, TOKEN_GOOD, NULL);
}

static void test_bounds(void)
{
    struct config_list none = {no_scopes, 0};
    struct token_rules r = rules_of(&none);
    AUTO_BUF deep = {0}, name = {0}, large = {0};
    for (int i = 0; i < 60000; i++)
        buf_byte(&deep, '[');
    expect(buf_z(&deep), &r, TOKEN_GOOD, NULL);
    buf_str(&name, STR("{\"active\":true,\"username\":\""));
    for (int i = 0; i <= TOKEN_USER_MAX; i++)
        buf_byte(&name, 'x');
    buf_str(&name, STR("\"}"));
    expect(buf_z(&name), &r, TOKEN_GOOD, NULL);
    buf_str(&large, STR("{\"active\":true,\"username\":\"x\"}"));
    expect(buf_z(&large), &r, TOKEN_GOOD, "x");
    while (large.n <= TOKEN_ANSWER_MAX)
        buf_byte(&large, ' ');
    expect(buf_z(&large), &r, TOKEN_GOOD, NULL);
}

/* places: joined by blanks; NULL: part is in the error. */
static void expect_server(const char *url, const char *servers, const char *host, unsigned port,
                          const char *places, const char *part)
{
    AUTO_ARENA a = arena_new(512);
    AUTO_BUF text = {0}, got = {0};
    struct config *cfg = NULL;
    struct config_introspection s;
    struct err e = {0};
    buf_printf(&text, "oauth2_introspection_url = %s\noauth2_introspection_server = %s\n", url,
               servers);
    CU_ASSERT_EQUAL_FATAL(config_parse(buf_view(&text), "t", "/", &cfg, &e), 0);
    CU_ASSERT_EQUAL(config_introspection_read(cfg, a, &s, &e), places ? 0 : -1);
    if (places) {
        for (size_t i = 0; i < s.places; i++)
            buf_printf(&got, "%s%.*s", i ? " " : "", STR_FMT(s.place[i]));
        UNIT_STR(buf_view(&got), places);
        UNIT_STR(s.host, host);
        CU_ASSERT_EQUAL(s.port, port);
        CU_ASSERT_EQUAL(s.by_name, servers[0] == '\0' && str_starts(s.host, STR("id.")));
        CU_ASSERT_EQUAL(s.tls, str_casestarts(str_from(url), STR("https")));
    } else {
        CU_ASSERT(str_casecontains(str_from(e.log), str_from(part)));
    }
    config_free(cfg);
}

static void test_server(void)
{
    expect_server("https://localhost/x?y=z", "", "localhost", 443, "inet:localhost:443", NULL);
    expect_server("https://192.0.2.7:8443", "", "192.0.2.7", 8443, "inet:192.0.2.7:8443", NULL);
    expect_server("https://[2001:db8::1]/x", "", "2001:db8::1", 443, "inet:[2001:db8::1]:443", NULL);
    expect_server("https://[2001:db8::1]:9/x", "", "2001:db8::1", 9, "inet:[2001:db8::1]:9", NULL);
    expect_server("HTTPS://id.example.org/x", "inet:192.0.2.7:443 inet:[2001:db8::1]:443",
                  "id.example.org", 443, "inet:192.0.2.7:443 inet:[2001:db8::1]:443", NULL);
    expect_server("https://id.example.org:8443/x", "", "id.example.org", 8443,
                  "inet:id.example.org:8443", NULL);
    expect_server("http://127.0.0.2:81/x", "", "127.0.0.2", 81, "inet:127.0.0.2:81", NULL);
    expect_server("http://[::1]/x", "", "::1", 80, "inet:[::1]:80", NULL);
    expect_server("http://id/x", "unix:/run/id.sock", "id", 80, "unix:/run/id.sock", NULL);
}

static void test_server_sad(void)
{
    static const char url[] = "oauth2_introspection_url", server[] = "oauth2_introspection_server";
    static const char *const wrong[] = {"ftp://x/", "https://", "https://:443/x", "https://a:b:c/x",
                                        "https://localhost:0/x", "https://localhost:65536/x",
                                        "https://[::1/x", "https://::1/x", "https://u:p@localhost/x",
                                        "https://localhost/#x", "https://localhost/\xc3\xa4",
                                        "http://192.0.2.7/x", "localhost", "https://192.0.2.300/x",
                                        "https://a_b/x", "http://id.example.org/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_server(wrong[i], "", NULL, 0, NULL, url);
    expect_server("https://id.example.org/x", "id.example.org", NULL, 0, NULL, server);
    expect_server("http://localhost/x", "inet:192.0.2.7:80", NULL, 0, NULL, url);
    expect_server("https://x/", "unix:/1 unix:/2 unix:/3 unix:/4 unix:/5 unix:/6 unix:/7 unix:/8 "
                                "unix:/9", NULL, 0, NULL, server);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"whose a token is, and whether it is good", test_answers},
        {"what a token must be for", test_scopes},
        {"answers that make no sense", test_nonsense},
        {"answers are bounded", test_bounds},
        {"where the server is", test_server},
        {"servers that cannot be", test_server_sad},
        {NULL, NULL},
    };
    return unit_main("token", tests);
}
