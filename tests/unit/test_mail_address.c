/* mail/address.h: envelope addresses. */
#include "mail/address.h"
#include "tests/unit/mail_prefix.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define L60 A60
#define L63 A60 "aaa"

struct row {
    const char *text;
    unsigned flags;
    const char *want; /* normal form; NULL: refused */
    const char *why;  /* part of the client's text then */
};

static const struct row rows[] = {
    {"user@Example.ORG", 0, "user@example.org", NULL},
    {"<user@example.org>", 0, "user@example.org", NULL},
    {"User.Name+ext@example.org", 0, "User.Name+ext@example.org", NULL},
    {"\"user\"@example.org", 0, "user@example.org", NULL},
    {"\"us er\"@example.org", 0, "\"us er\"@example.org", NULL},
    {"\"a\\\"b\\\\c\"@example.org", 0, "\"a\\\"b\\\\c\"@example.org", NULL},
    {"\"\\a\"@example.org", 0, "a@example.org", NULL},
    {"\"a@b\"@example.org", 0, "\"a@b\"@example.org", NULL},
    {"\"a..b\"@example.org", 0, "\"a..b\"@example.org", NULL},
    {"!#$%&'*+-/=?^_`{|}~@example.org", 0, "!#$%&'*+-/=?^_`{|}~@example.org", NULL},
    {"user@[192.0.2.1]", 0, "user@[192.0.2.1]", NULL},
    {"user@[IPv6:2001:DB8:0:0::1]", 0, "user@[IPv6:2001:db8::1]", NULL},
    {"user@[ipv6:::1]", 0, "user@[IPv6:::1]", NULL},
    {"@a.example,@b.example:user@example.org", 0, "user@example.org", NULL},
    {"<@a.example:user@example.org>", 0, "user@example.org", NULL},
    {"<@[192.0.2.1]:user@example.org>", 0, "user@example.org", NULL},
    {"user@host_name.example.org", 0, "user@host_name.example.org", NULL},
    {"user@localhost", 0, "user@localhost", NULL},
    {"user@xn--bcher-kva.example", 0, "user@xn--bcher-kva.example", NULL},
    {"user@XN--Bcher-KVA.example", 0, "user@xn--bcher-kva.example", NULL},
    {"user@b\xc3\xbc" "cher.example", MAIL_ADDRESS_UTF8, "user@xn--bcher-kva.example", NULL},
    {"user@B\xc3\x9c" "CHER.Example", MAIL_ADDRESS_UTF8, "user@xn--bcher-kva.example", NULL},
    {"user@bu\xcc\x88" "cher.example", MAIL_ADDRESS_UTF8, "user@xn--bcher-kva.example", NULL},
    {"\xce\xb4\xce\xbf\xce\xba@example.org", MAIL_ADDRESS_UTF8, "\xce\xb4\xce\xbf\xce\xba@example.org",
     NULL},
    {"<>", MAIL_ADDRESS_NULL, "", NULL},
    {"postmaster", MAIL_ADDRESS_NO_DOMAIN, "postmaster", NULL},
    {"<Postmaster>", MAIL_ADDRESS_NO_DOMAIN, "Postmaster", NULL},
    {"a..b@example.org", MAIL_ADDRESS_LENIENT, "\"a..b\"@example.org", NULL},
    {"a.@example.org", MAIL_ADDRESS_LENIENT, "\"a.\"@example.org", NULL},
    {A60 "aaaa@example.org", 0, A60 "aaaa@example.org", NULL},

    {"<>", 0, NULL, "empty address"},
    {"", 0, NULL, "empty address"},
    {"postmaster", 0, NULL, "missing domain"},
    {"user@", 0, NULL, "missing"},
    {"@example.org", 0, NULL, "source route"},
    {"\"\"@example.org", 0, NULL, "empty local part"},
    {".a@example.org", 0, NULL, "leading dot"},
    {"a.@example.org", 0, NULL, "ends in a dot"},
    {"a..b@example.org", 0, NULL, "two dots"},
    {"a b@example.org", 0, NULL, "must be quoted"},
    {"a,b@example.org", 0, NULL, "must be quoted"},
    {"a(c)@example.org", 0, NULL, "must be quoted"},
    {"a@b@example.org", 0, NULL, "no domain name has"},
    {"\"a\"b@example.org", 0, NULL, "must be quoted"},
    {"\"a@example.org", 0, NULL, "does not end"},
    {"\"a\\", 0, NULL, "does not end"},
    {"\"a\tb\"@example.org", 0, NULL, "control character"},
    {"\"a\r\nb\"@example.org", 0, NULL, "control character"},
    {"a\x01@example.org", 0, NULL, "must be quoted"},
    {"user@example.org.", 0, NULL, "trailing dot"},
    {"user@.example.org", 0, NULL, "empty label"},
    {"user@example..org", 0, NULL, "empty label"},
    {"user@-example.org", 0, NULL, "hyphen"},
    {"user@example-.org", 0, NULL, "hyphen"},
    {"user@exa mple.org", 0, NULL, "no domain name has"},
    {"user@exam\x01ple.org", 0, NULL, "no domain name has"},
    {"user@192.0.2.1", 0, NULL, "number without brackets"},
    {"user@[192.0.2.256]", 0, NULL, "unknown address literal"},
    {"user@[192.0.2]", 0, NULL, "unknown address literal"},
    {"user@[IPv6:2001:db8::1::2]", 0, NULL, "unknown address literal"},
    {"user@[2001:db8::1]", 0, NULL, "unknown address literal"},
    {"user@[x-tag:abc]", 0, NULL, "unknown address literal"},
    {"user@[192.0.2.1", 0, NULL, "does not end"},
    {"user@[192.0.2.1]x", 0, NULL, "behind the domain"},
    {"<user@example.org", 0, NULL, "unbalanced"},
    {"user@example.org>", 0, NULL, "no domain name has"},
    {"<<user@example.org>>", 0, NULL, "empty local part"},
    {"@a.example user@example.org", 0, NULL, "no domain name has"},
    {"@a.example,:user@example.org", 0, NULL, "source route"},
    {"@a..b:user@example.org", 0, NULL, "empty label"},
    {"user@b\xc3\xbc" "cher.example", 0, NULL, "5.6.7"},
    {"\xc3\xbc@example.org", 0, NULL, "5.6.7"},
    {"\xc3@example.org", MAIL_ADDRESS_UTF8, NULL, "not UTF-8"},
    {"user@\xc3.example", MAIL_ADDRESS_UTF8, NULL, "not UTF-8"},
    {"a\xc2\x9b" "b@example.org", MAIL_ADDRESS_UTF8, NULL, "control character"},
    {"\"a\xc2\x85" "b\"@example.org", MAIL_ADDRESS_UTF8, NULL, "control character"},
    {A60 "aaaaa@example.org", 0, NULL, "longer than 64"},
    {"\"" A60 " aaaa\"@example.org", 0, NULL, "longer than 64"},
    {"user@" L63 "a.example", 0, NULL, "longer than 63"},
    {"user@" L63 "." L63 "." L63 "." L63, 0, NULL, "path longer than 256"},
    {"@" L63 "." L63 "." L63 ".example:u@b.example", 0, "u@b.example", NULL},
    {"@" L63 "." L63 "." L63 "." L60 ":u@b.example", 0, NULL, "path longer than 256"},
    {"user@" L63 "." L63 "." L63 "." L63 ".aa", 0, NULL, "longer than 255"},
};

static void table(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_ARENA a = arena_new(1024);
        struct mail_address m;
        struct err e = {0};
        int r = mail_address_parse(a, str_from(rows[i].text), rows[i].flags, &m, &e);
        CU_ASSERT(r == (rows[i].want ? 0 : -1));
        if ((r == 0) != (rows[i].want != NULL))
            printf("# row %zu: %s: %s\n", i, rows[i].text, r ? e.client : "accepted");
        if (r == 0 && rows[i].want)
            UNIT_STR(mail_address_print(a, &m), rows[i].want);
        if (r != 0 && rows[i].why) {
            CU_ASSERT(e.kind == ERR_PERMANENT);
            CU_ASSERT(strncmp(e.client, "5.", 2) == 0);
            CU_ASSERT(strstr(e.client, rows[i].why) != NULL);
            if (!strstr(e.client, rows[i].why))
                printf("# row %zu: %s: %s\n", i, rows[i].text, e.client);
        }
    }
}

/* What is printed means the same address when it is read again. */
static void round_trip(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_ARENA a = arena_new(1024);
        struct mail_address m, again;
        if (mail_address_parse(a, str_from(rows[i].text), rows[i].flags, &m, NULL) != 0)
            continue;
        struct str text = mail_address_print(a, &m);
        unsigned flags = rows[i].flags & ~(unsigned)MAIL_ADDRESS_LENIENT;
        CU_ASSERT_FATAL(mail_address_parse(a, text, flags, &again, NULL) == 0);
        CU_ASSERT(str_eq(m.local, again.local) && str_eq(m.domain, again.domain));
    }
}

static void nul_bytes(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct mail_address m;
    CU_ASSERT(mail_address_parse(a, STR("a\0b@example.org"), 0, &m, NULL) != 0);
    CU_ASSERT(mail_address_parse(a, STR("\"a\0b\"@example.org"), 0, &m, NULL) != 0);
    CU_ASSERT(mail_address_parse(a, STR("a@exam\0ple.org"), 0, &m, NULL) != 0);
    CU_ASSERT(mail_address_parse(a, STR("a@[192.0.2.1\0]"), 0, &m, NULL) != 0);
    CU_ASSERT(mail_address_parse(a, STR("a@b\xc3\xbc\0x.org"), MAIL_ADDRESS_UTF8, &m, NULL) != 0);
}

static void feed(struct arena *a, struct str s)
{
    const unsigned all = MAIL_ADDRESS_UTF8 | MAIL_ADDRESS_NULL | MAIL_ADDRESS_NO_DOMAIN |
                         MAIL_ADDRESS_LENIENT;
    for (unsigned flags = 0; flags <= all; flags++) {
        struct mail_address m;
        struct str rest = s;
        (void)mail_address_parse(a, s, flags, &m, NULL);
        (void)mail_path_take(a, &rest, flags, &m, NULL);
    }
}

static void prefixes(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        each_prefix(str_from(rows[i].text), feed);
}

static void paths(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct mail_address m;
    struct str rest = STR("<\"a> b\"@example.org> SIZE=5");
    CU_ASSERT_FATAL(mail_path_take(a, &rest, 0, &m, NULL) == 0);
    UNIT_STR(m.local, "a> b");
    UNIT_STR(rest, " SIZE=5");
    rest = STR("<> BODY=8BITMIME");
    CU_ASSERT_FATAL(mail_path_take(a, &rest, MAIL_ADDRESS_NULL, &m, NULL) == 0);
    CU_ASSERT(m.local.n == 0 && m.domain.n == 0);
    UNIT_STR(rest, " BODY=8BITMIME");
    rest = STR("user@example.org SIZE=1");
    CU_ASSERT(mail_path_take(a, &rest, 0, &m, NULL) == -1);
    CU_ASSERT_FATAL(mail_path_take(a, &rest, MAIL_ADDRESS_LENIENT, &m, NULL) == 0);
    UNIT_STR(rest, " SIZE=1");
    rest = STR("<user@example.org");
    CU_ASSERT(mail_path_take(a, &rest, 0, &m, NULL) == -1);
    rest = STR("<\"a>@example.org>");
    CU_ASSERT(mail_path_take(a, &rest, 0, &m, NULL) == -1);
}

static void unicode_domain(void)
{
    AUTO_ARENA a = arena_new(1024);
    struct mail_address m;
    CU_ASSERT_FATAL(mail_address_parse(a, STR("u@xn--bcher-kva.example"), 0, &m, NULL) == 0);
    UNIT_STR(m.utf8_domain, "b\xc3\xbc" "cher.example");
    CU_ASSERT(!m.utf8);
    CU_ASSERT_FATAL(mail_address_parse(a, STR("\xc3\xbc@x.example"), MAIL_ADDRESS_UTF8, &m, NULL) == 0);
    CU_ASSERT(m.utf8);
}

static void delimiters(void)
{
    static const struct {
        const char *local, *set, *user, *ext; /* ext NULL: not split */
    } t[] = {
        {"user+ext", "+", "user", "ext"},     {"user+a+b", "+", "user", "a+b"},
        {"user-ext", "+-", "user", "ext"},    {"user+", "+", "user", ""},
        {"+user", "+", "+user", NULL},        {"+a+b", "+", "+a+b", NULL},
        {"user", "+", "user", NULL},          {"user+ext", "", "user+ext", NULL},
        {"owner-list", "-", "owner-list", NULL}, {"list-request", "-", "list-request", NULL},
        {"owner-list", "+", "owner-list", NULL}, {"-request", "-", "-request", NULL},
        {"Owner-a+b", "+-", "Owner-a+b", NULL},  {"owner-a+b", "+", "owner-a", "b"},
        {"mailer-daemon", "-", "mailer-daemon", NULL},
        {"MAILER-Daemon", "-", "MAILER-Daemon", NULL},
        {"double-bounce", "-", "double-bounce", NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct str user, ext;
        bool split = mail_local_split(str_from(t[i].local), str_from(t[i].set), &user, &ext);
        CU_ASSERT(split == (t[i].ext != NULL));
        UNIT_STR(user, t[i].user);
        if (split && t[i].ext)
            UNIT_STR(ext, t[i].ext);
    }
}

static void folding(void)
{
    AUTO_ARENA a = arena_new(1024);
    UNIT_STR(mail_fold_case(a, STR("MiXed.Case")), "mixed.case");
    UNIT_STR(mail_fold_case(a, STR("\xc3\x89T\xc3\x89")), "\xc3\xa9t\xc3\xa9");
    UNIT_STR(mail_fold_case(a, STR("E\xcc\x81")), "\xc3\xa9");   /* decomposed: composed */
    UNIT_STR(mail_fold_case(a, STR("Stra\xc3\x9f" "e")), "strasse");
    UNIT_STR(mail_fold_case(a, STR("\xce\xa3\xcf\x82")), "\xcf\x83\xcf\x83"); /* final sigma */
    UNIT_STR(mail_fold_case(a, STR("A\xff" "B")), "a\xff" "b");  /* not UTF-8 */
    UNIT_STR(mail_fold_case(a, STR("")), "");
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"good and bad addresses", table},
        {"normal form reads back", round_trip},
        {"NUL bytes are refused", nul_bytes},
        {"every prefix", prefixes},
        {"paths are taken from a command", paths},
        {"domains in both forms", unicode_domain},
        {"recipient delimiter", delimiters},
        {"folding for look-ups", folding},
        {NULL, NULL},
    };
    return unit_main("mail-address", tests);
}
