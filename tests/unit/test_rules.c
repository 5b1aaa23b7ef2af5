/* The pure parts of the rules: addresses in headers, masquerading, restrictions. */
#include "config/rules.h"
#include "directory/masquerade.h"
#include "mail/spots.h"
#include "unit.h"

static void spots(const char *value, const char *want)
{
    char got[1000] = "";
    struct str rest = str_from(value), spot;
    while (mail_spot_next(&rest, &spot))
        snprintf(got + strlen(got), sizeof got - strlen(got), "[%.*s]", STR_FMT(spot));
    CU_ASSERT_STRING_EQUAL(got, want);
}

static void test_spots(void)
{
    spots("a@b.c", "[a@b.c]");
    spots(" a@b.c ,\n d@e.f ", "[a@b.c][d@e.f]");
    spots("\"x, y@z\" <a@b.c>, Someone Else <d@e.f>", "[a@b.c][d@e.f]");
    spots("<@route.example,@other:a@b.c>", "[a@b.c]");
    spots("a@b.c (of old, (deep) x@y)", "[a@b.c]");
    spots("(first) a@b.c", "[a@b.c]");
    spots("Group: a@b.c, <d@e.f>;, g@h.i", "[a@b.c][d@e.f][g@h.i]");
    spots("undisclosed-recipients:;", "");
    spots("\"quoted part\"@b.c", "[\"quoted part\"@b.c]");
    spots("a@[IPv6:::1]", "[a@[IPv6:::1]]");
    spots("user", "[user]");
    spots("two words", "");
    spots("", "");
    spots("<>", "");
    spots("<a@b.c", "");
    spots("\"never closed <a@b.c>", "");
    spots("(((", "");
}

static const char *masked(const char *domains, const char *user, const char *domain)
{
    static char text[100];
    struct str v[8], rest = str_from(domains), root = STR("root"), out = str_from(domain);
    struct config_list list = {v, 0}, exceptions = {&root, 1};
    while (str_token(&rest, " ", &v[list.n]))
        list.n++;
    if (!masquerade_domain(&list, &exceptions, str_from(user), str_from(domain), &out))
        out = str_from(domain);
    snprintf(text, sizeof text, "%.*s", STR_FMT(out));
    return text;
}

static void test_masquerade(void)
{
    CU_ASSERT_STRING_EQUAL(masked("example.com", "u", "a.b.example.com"), "example.com");
    CU_ASSERT_STRING_EQUAL(masked("example.com", "u", "example.com"), "example.com");
    CU_ASSERT_STRING_EQUAL(masked("example.com", "u", "notexample.com"), "notexample.com");
    CU_ASSERT_STRING_EQUAL(masked("example.com", "ROOT", "a.example.com"), "a.example.com");
    CU_ASSERT_STRING_EQUAL(masked("!b.example.com example.com", "u", "a.b.example.com"),
                           "a.b.example.com");
    CU_ASSERT_STRING_EQUAL(masked("!!b.example.com example.com", "u", "a.b.example.com"),
                           "b.example.com");
    CU_ASSERT_STRING_EQUAL(masked("example.com !b.example.com", "u", "a.b.example.com"),
                           "example.com");
    CU_ASSERT_STRING_EQUAL(masked("b.example.com example.com", "u", "b.example.com"),
                           "b.example.com");
}

static bool relays(const char *relay, const char *recipient)
{
    struct err e = {0};
    return rule_check_relaying(str_from(relay), str_from(recipient), &e) != 0;
}

static void refused(const char *value, const char *part)
{
    struct err e = {0};
    CU_ASSERT(rule_check(str_from(value), "some_restrictions", &e) == -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(e.log, part));
}

static void test_restrictions(void)
{
    CU_ASSERT(!relays("reject_unauth_destination", ""));
    CU_ASSERT(!relays("permit_mynetworks, permit_sasl_authenticated defer_unauth_destination", ""));
    CU_ASSERT(!relays("", "permit_mynetworks reject_unauth_destination permit"));
    CU_ASSERT(relays("", ""));
    CU_ASSERT(relays("permit_mynetworks", "reject_non_fqdn_sender"));
    CU_ASSERT(relays("permit reject_unauth_destination", ""));
    CU_ASSERT(relays("check_client_access static:OK reject", ""));
    CU_ASSERT(relays("warn_if_reject reject", ""));
    refused("permit_mynetwork", "did you mean \"permit_mynetworks\"?");
    refused("reject_rbl_client", "needs a zone");
    refused("check_sender_access", "needs a map");
    refused("check_sender_access foo", "none of ldap:FILE");
    CU_ASSERT(rule_permits_mynetworks(STR("permit_mynetworks reject"), STR("")));
    CU_ASSERT(rule_permits_mynetworks(STR(""), STR("permit_mynetworks reject")));
    CU_ASSERT(!rule_permits_mynetworks(STR("reject"), STR("permit_mynetworks")));
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"addresses in header fields", test_spots},
        {"masquerade_domains", test_masquerade},
        {"restrictions", test_restrictions},
        {NULL, NULL},
    };
    return unit_main("rules", tests);
}
