/* directory/names.h */
#include "directory/names.h"
#include "ldapmap/ldapmap.h"
#include "tests/unit/test_directory.h"

static const struct name_rules rules = {
    .myhostname = {"mail.example.org", 16},
    .myorigin = {"example.org", 11},
    .delimiters = {"+-", 2},
    .utf8 = true,
};

static struct name_address read_address(struct arena *a, const char *text)
{
    struct name_address out = {0};
    struct err e = {0};
    if (name_address_read(a, &rules, str_from(text), &out, &e) != 0)
        CU_FAIL(e.log);
    return out;
}

void test_address_keys(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct name_address x = read_address(a, "Amelie+News@Example.COM");
    UNIT_STR(x.key, "amelie+news@example.com");
    UNIT_STR(x.short_key, "amelie@example.com");
    UNIT_STR(x.at_domain, "@example.com");
    UNIT_STR(x.printed, "Amelie+News@example.com");
    UNIT_STR(x.extension, "+News");
    UNIT_STR(x.user, "Amelie");
    x = read_address(a, "plain@example.com");
    CU_ASSERT(x.short_key.n == 0 && x.extension.n == 0);
    x = read_address(a, "<\"odd one\"@example.com>");
    UNIT_STR(x.key, "\"odd one\"@example.com");
    x = read_address(a, "\"plain\"@example.com");
    UNIT_STR(x.key, "plain@example.com");
    x = read_address(a, "Post+x@example.com");
    CU_ASSERT(!x.is_postmaster);
}

void test_address_without_domain(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct name_address x = read_address(a, "PostMaster");
    UNIT_STR(x.key, "postmaster@mail.example.org");
    CU_ASSERT(x.is_postmaster);
    x = read_address(a, "amelie");
    UNIT_STR(x.key, "amelie@example.org");
    CU_ASSERT(!x.is_postmaster);
    CU_ASSERT(read_address(a, "postmaster@example.net").is_postmaster);
}

void test_address_bad(void)
{
    static const char *const bad[] = {"", "a@", "@b.example", "a@b@c d", "a b@c.example",
                                      "a@-b.example", "a\n@b.example", "a@b..example"};
    AUTO_ARENA a = arena_new(1024);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct name_address out;
        struct err e = {0};
        CU_ASSERT(name_address_read(a, &rules, str_from(bad[i]), &out, &e) == -1);
    }
}

void test_alias_lists(void)
{
    struct str rest = STR(" a@x.example, \"b,c\"@x.example,, \"d\\\",\"@x.example ,"), piece;
    CU_ASSERT(name_list_next(&rest, &piece));
    UNIT_STR(piece, "a@x.example");
    CU_ASSERT(name_list_next(&rest, &piece));
    UNIT_STR(piece, "\"b,c\"@x.example");
    CU_ASSERT(name_list_next(&rest, &piece));
    UNIT_STR(piece, "\"d\\\",\"@x.example");
    CU_ASSERT(!name_list_next(&rest, &piece));
}

static void target(const char *from, const char *value, const char *extension, const char *want)
{
    AUTO_ARENA a = arena_new(1024);
    struct name_address x = read_address(a, from);
    UNIT_STR(name_alias_target(a, &x, str_from(value), str_from(extension)), want);
}

void test_alias_targets(void)
{
    target("a+x@b.example", "c@d.example", "+x", "c+x@d.example");
    target("a+x@b.example", "c@d.example", "", "c@d.example");
    target("a+x@b.example", "c", "+x", "c+x");
    target("a+x@b.example", "\"c c\"@d.example", "+x", "\"c c+x\"@d.example");
    target("a+x@b.example", "@d.example", "+x", "a+x@d.example");
    target("a+x@b.example", "@d.example", "", "a+x@d.example");
    target("\"a a\"@b.example", "@d.example", "", "\"a a\"@d.example");
}

void test_login_names(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct err e = {0};
    struct str out;
    char text[NAME_LOGIN_MAX + 1];
    memset(text, 'a', sizeof text);
    CU_ASSERT(name_login_read(a, STR(" Am\xc3\x89lie "), &out, &e) == 0);
    UNIT_STR(out, "am\xc3\xa9lie");
    CU_ASSERT(name_login_read(a, STR(""), &out, &e) == -1);
    CU_ASSERT(name_login_read(a, STR("   "), &out, &e) == -1);
    CU_ASSERT(name_login_read(a, STR("a\0b"), &out, &e) == -1);
    CU_ASSERT(name_login_read(a, STR("a\nb"), &out, &e) == -1);
    CU_ASSERT(name_login_read(a, STR("a\xff"), &out, &e) == -1);
    CU_ASSERT(name_login_read(a, (struct str){text, sizeof text}, &out, &e) == -1);
    CU_ASSERT(name_login_read(a, (struct str){text, sizeof text - 1}, &out, &e) == 0);
}

static void expands(const char *template, const char *login, const char *want, bool dn)
{
    AUTO_BUF out = {0};
    name_template_expand(&out, str_from(template), str_from(login),
                         dn ? ldapmap_escape_dn : ldapmap_escape_filter);
    UNIT_STR(buf_view(&out), want);
}

void test_templates(void)
{
    struct err e = {0};
    expands("(uid=%u)", "amelie", "(uid=amelie)", false);
    expands("(|(uid=%n)(mail=%Lu)(d=%d))%%", "a@b.example", "(|(uid=a)(mail=a@b.example)(d=b.example))%",
            false);
    expands("(d=%d)", "a", "(d=)", false);
    expands("(uid=%u)", "*)(uid=*", "(uid=\\2A\\29\\28uid=\\2A)", false);
    expands("uid=%u,ou=x", "a,b+c=d", "uid=a\\2Cb\\2Bc=d,ou=x", true);
    expands("uid=%u,ou=x", " #a\\", "uid=\\20\\23a\\5C,ou=x", true);
    CU_ASSERT(name_template_check(STR("(uid=%u)%%"), "user_filter", &e) == 0);
    CU_ASSERT(name_template_check(STR("(uid=%s)"), "user_filter", &e) == -1);
    UNIT_STR(str_from(e.log), "user_filter: \"%s\" is none of %u, %n, %d");
    CU_ASSERT(name_template_check(STR("(uid=%"), "user_filter", &e) == -1);
    CU_ASSERT(name_template_check(STR("(uid=%L%)"), "user_filter", &e) == -1);
    CU_ASSERT(name_template_check(STR("(uid=joe)"), "user_filter", &e) == -1);
    CU_ASSERT(name_template_check(STR("(uid=%d)"), "user_filter", &e) == -1);
}

static bool same_dn(struct arena *a, const char *x, const char *y)
{
    struct str nx = name_dn(a, str_from(x)), ny = name_dn(a, str_from(y));
    CU_ASSERT(nx.n > 0 && ny.n > 0);
    return str_eq(nx, ny);
}

void test_dns(void)
{
    AUTO_ARENA a = arena_new(1024);
    CU_ASSERT(same_dn(a, "uid=a,ou=mail,dc=x", "UID=A, OU=Mail,DC=x"));
    CU_ASSERT(same_dn(a, "cn=a  b,dc=x", "cn=A b,dc=x"));
    CU_ASSERT(same_dn(a, "cn=a+sn=b,dc=x", "sn=b+cn=a,dc=x"));
    CU_ASSERT(same_dn(a, "cn=a\\2cb,dc=x", "cn=a\\,b,dc=x"));
    CU_ASSERT(!same_dn(a, "cn=a\\,dc=y,dc=x", "cn=a,dc=y,dc=x"));
    CU_ASSERT(!same_dn(a, "cn=a+cn=b,dc=x", "cn=a,cn=b,dc=x"));
    CU_ASSERT(!same_dn(a, "uid=a,dc=x", "uid=b,dc=x"));
    CU_ASSERT(name_dn(a, STR("amelie@example.com")).n == 0);
    CU_ASSERT(name_dn(a, STR("")).n == 0);
    CU_ASSERT(name_dn(a, STR("uid=a\0,dc=x")).n == 0);
}
