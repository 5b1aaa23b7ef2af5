/* directory/: mailboxes, results of binds, remembered domains; and the list of all its unit tests. */
#include "directory/bind_result.h"
#include "directory/guard.h"
#include "directory/domains.h"
#include "directory/mailbox.h"
#include "tests/unit/test_directory.h"

#include <ldap.h>
#include <stdio.h>

static const struct mailbox_rules rules = {{"/var/vmail", 10}, 1000};

/* --- ids and paths --- */

static void bad_id(const char *value, const char *want)
{
    struct err e = {0};
    uint32_t id = 7;
    CU_ASSERT(mailbox_id_read(&rules, "uidNumber", str_from(value), &id, &e) == -1);
    CU_ASSERT(id == 7);
    UNIT_STR(str_from(e.log), want);
}

static void ids(void)
{
    struct err e = {0};
    uint32_t id = 0;
    CU_ASSERT(mailbox_id_read(&rules, "uidNumber", STR("20001"), &id, &e) == 0 && id == 20001);
    CU_ASSERT(mailbox_id_read(&rules, "uidNumber", STR("1000"), &id, &e) == 0 && id == 1000);
    bad_id("999", "uidNumber 999 is below virtual_minimum_uid (1000)");
    bad_id("0", "uidNumber 0 is below virtual_minimum_uid (1000)");
    bad_id("abc", "uidNumber \"abc\" is not a number from 0 to 4294967294");
    bad_id("", "uidNumber \"\" is not a number from 0 to 4294967294");
    bad_id("-1", "uidNumber \"-1\" is not a number from 0 to 4294967294");
    bad_id(" 20001", "uidNumber \" 20001\" is not a number from 0 to 4294967294");
    bad_id("4294967295", "uidNumber \"4294967295\" is not a number from 0 to 4294967294");
    bad_id("4294987297", "uidNumber \"4294987297\" is not a number from 0 to 4294967294");
}

static void bad_path(const char *value, bool is_maildir, const char *want)
{
    struct err e = {0};
    struct str out;
    CU_ASSERT(mailbox_path_read(&rules, "home", str_from(value), is_maildir, &out, &e) == -1);
    CU_ASSERT(strstr(e.log, want) != NULL);
}

static void paths(void)
{
    struct err e = {0};
    struct str out = {0};
    CU_ASSERT(mailbox_path_read(&rules, "x", STR("/var/vmail/a/mailbox/"), true, &out, &e) == 0);
    UNIT_STR(out, "/var/vmail/a/mailbox/");
    CU_ASSERT(mailbox_path_read(&rules, "x", STR("/var/vmail/a/"), false, &out, &e) == 0);
    UNIT_STR(out, "/var/vmail/a");
    CU_ASSERT(mailbox_path_read(&rules, "x", STR("/var/vmail/..a/.b"), false, &out, &e) == 0);
    bad_path("/var/vmail/a/mailbox", true, "does not end with a slash");
    bad_path("/var/vmail", false, "does not lie below");
    bad_path("/var/vmail/", true, "does not lie below");
    bad_path("/var/vmailer/a/", true, "does not lie below");
    bad_path("/etc/", true, "does not lie below");
    bad_path("/var/vmail/a/../../../etc/", true, "\"..\"");
    bad_path("/var/vmail/./a/", true, "\".\"");
    bad_path("/var/vmail//a/", true, "empty part");
    bad_path("/var/vmail/a//", true, "empty part");
    bad_path("var/vmail/a/", true, "not absolute");
    bad_path("", true, "not absolute");
    bad_path("/", true, "not absolute");
    bad_path("/var/vmail/a\nb/", true, "control characters");
    bad_path("/var/vmail/\xff/", true, "control characters");
}

static void homes(void)
{
    const struct str some[] = {STR("/etc"), STR("/var/vmail/a")};
    UNIT_STR(mailbox_home(&rules, STR("/var/vmail/a/mailbox/"), some, 2), "/var/vmail/a");
    UNIT_STR(mailbox_home(&rules, STR("/var/vmail/b/mailbox/"), some, 2), "/var/vmail/b");
    UNIT_STR(mailbox_home(&rules, STR("/var/vmail/ab/mailbox/"), some, 2), "/var/vmail/ab");
    UNIT_STR(mailbox_home(&rules, STR("/var/vmail/mailbox/"), NULL, 0), "/var/vmail/mailbox");
}

/* --- binds --- */

static enum verdict verdict_of(int code, const char *diagnostic)
{
    return bind_result_verdict(code, str_from(diagnostic)).verdict;
}

static void bind_results(void)
{
    CU_ASSERT(verdict_of(LDAP_SUCCESS, "") == VERDICT_YES);
    CU_ASSERT(verdict_of(LDAP_INVALID_CREDENTIALS, "") == VERDICT_NO);
    CU_ASSERT(verdict_of(LDAP_NO_SUCH_OBJECT, "") == VERDICT_NO);
    CU_ASSERT(verdict_of(LDAP_INAPPROPRIATE_AUTH, "") == VERDICT_NO);
    CU_ASSERT(verdict_of(LDAP_CONSTRAINT_VIOLATION, "Exceed password retry limit. Please try later.") ==
              VERDICT_NO);
    CU_ASSERT(verdict_of(LDAP_UNWILLING_TO_PERFORM, "Account inactivated. Contact system admin") ==
              VERDICT_NO);
}

static enum auth_state state_of(int code, const char *diagnostic, int error)
{
    struct bind_result r = bind_result_verdict(code, str_from(diagnostic));
    bind_result_policy(&r, error, -1, -1);
    return r.state;
}

#define AD(data) "80090308: LdapErr: DSID-0C09042A, comment: AcceptSecurityContext error, data " data \
                 ", v3839"

static void bind_states(void)
{
    const int no = LDAP_INVALID_CREDENTIALS, none = PP_noError;
    CU_ASSERT(state_of(no, AD("52e"), none) == AUTH_PLAIN);
    CU_ASSERT(state_of(no, AD("525"), none) == AUTH_PLAIN);
    CU_ASSERT(state_of(no, AD("530"), none) == AUTH_DISABLED);
    CU_ASSERT(state_of(no, AD("531"), none) == AUTH_DISABLED);
    CU_ASSERT(state_of(no, AD("532"), none) == AUTH_EXPIRED);
    CU_ASSERT(state_of(no, AD("533"), none) == AUTH_DISABLED);
    CU_ASSERT(state_of(no, AD("701"), none) == AUTH_DISABLED);
    CU_ASSERT(state_of(no, AD("773"), none) == AUTH_MUST_CHANGE);
    CU_ASSERT(state_of(no, AD("775"), none) == AUTH_LOCKED);
    CU_ASSERT(state_of(no, AD("7750"), none) == AUTH_PLAIN);
    CU_ASSERT(state_of(LDAP_CONSTRAINT_VIOLATION, "Exceed password retry limit.", none) == AUTH_LOCKED);
    CU_ASSERT(state_of(LDAP_UNWILLING_TO_PERFORM, "Account inactivated.", none) == AUTH_DISABLED);
    CU_ASSERT(state_of(no, "", PP_passwordExpired) == AUTH_EXPIRED);
    CU_ASSERT(state_of(no, "", PP_accountLocked) == AUTH_LOCKED);
    CU_ASSERT(state_of(LDAP_SUCCESS, "", PP_changeAfterReset) == AUTH_MUST_CHANGE);
    CU_ASSERT(state_of(LDAP_SUCCESS, "", PP_accountLocked) == AUTH_PLAIN);
    CU_ASSERT(state_of(LDAP_BUSY, "", PP_passwordExpired) == AUTH_PLAIN);
    for (int v = VERDICT_CANNOT_SAY; v <= VERDICT_REFUSED; v++)
        for (int s = AUTH_PLAIN; s <= AUTH_TOO_MANY; s++)
            if (auth_was_right((enum verdict)v, (enum auth_state)s))
                CU_ASSERT(v == VERDICT_YES || s == AUTH_EXPIRED || s == AUTH_MUST_CHANGE);
}

/* --- wrong passwords --- */

static const unsigned char home[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1},
                           away[16] = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 1};

static bool wrong_from(struct guard *g, unsigned limit, const char *account, const unsigned char ip[16])
{
    static const struct config_list none;
    const struct guard_rules r = {limit, 600000, &none};
    struct guard_try t = {0};
    bool may = guard_begin(g, &r, str_from(account), ip, &t) == GUARD_GO;
    if (may)
        guard_wrong(g, &t);
    return may;
}

static void right_from(struct guard *g, const char *account, const unsigned char ip[16])
{
    static const struct config_list none;
    const struct guard_rules r = {20, 600000, &none};
    struct guard_try t = {0};
    CU_ASSERT(guard_begin(g, &r, str_from(account), ip, &t) == GUARD_GO);
    guard_right(g, &t);
}

static void guard_strangers(void)
{
    struct guard *g = guard_new();
    right_from(g, "amelie", home);
    for (unsigned char i = 0; i < 20; i++) { /* networks, of which one is hers */
        unsigned char ip[16];
        memcpy(ip, away, sizeof ip);
        ip[14] = i;
        CU_ASSERT(wrong_from(g, 8, "amelie", ip) == (i < 4));
    }
    for (int i = 0; i < 6; i++)
        CU_ASSERT(wrong_from(g, 8, "amelie", home) == (i < 4));
    CU_ASSERT(wrong_from(g, 8, "bruno", away));
    right_from(g, "amelie", home);
    CU_ASSERT(wrong_from(g, 8, "amelie", away));
    for (int i = 0; i < 30; i++)
        CU_ASSERT(wrong_from(g, 0, "chloe", away));
    guard_free(g);
}

static void guard_ends(void)
{
    static const struct config_list none;
    const struct guard_rules r = {2, 600000, &none}, short_time = {2, 0, &none};
    struct guard_try t = {0}, second = {0};
    struct guard *g = guard_new();
    for (int i = 0; i < 5; i++) {
        CU_ASSERT(guard_begin(g, &r, STR("x"), away, &t) == GUARD_GO);
        CU_ASSERT(guard_begin(g, &r, STR("x"), away, &second) == GUARD_TOO_MANY);
        guard_wrong(g, &second); /* was not counted */
        guard_forgive(g, &t);
        guard_forgive(g, &t);
    }
    CU_ASSERT(wrong_from(g, 2, "x", away));
    CU_ASSERT(!wrong_from(g, 2, "x", away));
    CU_ASSERT(guard_begin(g, &short_time, STR("x"), away, &t) == GUARD_GO); /* time is over */
    guard_free(g);
}

/* One of many tries for an account at the same time; each may wait for others. */
struct visitor {
    struct guard *g;
    struct guard_try try;
    enum guard_answer answer;
};

static void visitor_begin(void *arg)
{
    static const struct config_list none;
    const struct guard_rules r = {8, 600000, &none};
    struct visitor *v = arg;
    v->try.again = visitor_begin;
    v->try.arg = v;
    v->answer = guard_begin(v->g, &r, STR("x"), away, &v->try);
}

static size_t count_answers(const struct visitor *v, size_t n, enum guard_answer answer)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += v[i].answer == answer;
    return found;
}

/* A mail program opens ten connections at once: with the right password all of them get in, with a
 * wrong one no more than the limit's half reach the directory. */
static void guard_waits(void)
{
    struct guard *g = guard_new();
    struct visitor all[GUARD_WAITING_MAX + 10] = {0};
    size_t n = sizeof all / sizeof all[0], going = 0;
    for (size_t i = 0; i < n; i++) {
        all[i].g = g;
        visitor_begin(&all[i]);
    }
    CU_ASSERT(count_answers(all, n, GUARD_GO) == 4);
    CU_ASSERT(count_answers(all, n, GUARD_WAIT) == GUARD_WAITING_MAX);
    CU_ASSERT(count_answers(all, n, GUARD_TOO_MANY) == 6);
    guard_forgive(g, &all[0].try);
    CU_ASSERT(all[4].answer == GUARD_GO && all[5].answer == GUARD_WAIT);
    for (size_t i = 1; i < n - 6; i++) {
        CU_ASSERT(all[i].answer == GUARD_GO);
        guard_right(g, &all[i].try);
        going++;
    }
    CU_ASSERT(going == n - 7);
    guard_free(g);

    g = guard_new();
    for (size_t i = 0; i < 20; i++) {
        all[i] = (struct visitor){.g = g};
        visitor_begin(&all[i]);
    }
    for (size_t i = 0; i < 4; i++)
        guard_wrong(g, &all[i].try);
    CU_ASSERT(count_answers(all + 4, 16, GUARD_TOO_MANY) == 16);
    guard_free(g);
}

/* Whatever else there is, up to the largest code, and libldap's own. */
static void bind_results_that_say_nothing(void)
{
    static const int say_something[] = {LDAP_SUCCESS, LDAP_INVALID_CREDENTIALS, LDAP_NO_SUCH_OBJECT,
                                        LDAP_INAPPROPRIATE_AUTH};
    for (int code = -20; code < 200; code++) {
        bool known = false;
        for (size_t i = 0; i < sizeof say_something / sizeof say_something[0]; i++)
            known = known || say_something[i] == code;
        if (!known)
            CU_ASSERT(verdict_of(code, "whatever") == VERDICT_CANNOT_SAY);
    }
}

/* --- domains --- */

static void domains_are_forgotten(void)
{
    struct domains *d = domains_new();
    struct str name = STR("example.com");
    CU_ASSERT(domains_class(d, name, 0) == DOMAIN_UNKNOWN);
    domains_keep_class(d, name, DOMAIN_NONE, 1000);
    CU_ASSERT(domains_class(d, name, 1000) == DOMAIN_UNKNOWN);
    domains_keep_class(d, name, DOMAIN_ALIAS, 1000);
    CU_ASSERT(domains_class(d, name, 1000 + DOMAINS_KEPT_MS - 1) == DOMAIN_ALIAS);
    CU_ASSERT(domains_class(d, name, 1000 + DOMAINS_KEPT_MS) == DOMAIN_UNKNOWN);
    CU_ASSERT(!domains_has_no_catch_all(d, name, 1000));
    domains_keep_no_catch_all(d, name, 1000);
    CU_ASSERT(domains_has_no_catch_all(d, name, 1001));
    CU_ASSERT(!domains_has_no_catch_all(d, name, 1000 + DOMAINS_KEPT_MS));
    for (unsigned i = 0; i < 30000; i++) {
        char text[32];
        snprintf(text, sizeof text, "d%u.example", i);
        domains_keep_class(d, str_from(text), DOMAIN_MAILBOX, 2000);
    }
    CU_ASSERT(domains_class(d, STR("d29999.example"), 2001) == DOMAIN_MAILBOX);
    domains_free(d);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"uid and gid are checked", ids},
        {"paths are checked", paths},
        {"a maildir's home is found", homes},
        {"a bind says yes or no", bind_results},
        {"what policies say beside a result", bind_states},
        {"strangers have their own half of the tries", guard_strangers},
        {"tries end, are forgiven, and get old", guard_ends},
        {"tries at once wait for each other", guard_waits},
        {"all other results of binds say nothing", bind_results_that_say_nothing},
        {"domains are remembered for a moment, and not when they are unknown", domains_are_forgotten},
        {"an address has its keys", test_address_keys},
        {"an address without domain gets one", test_address_without_domain},
        {"what is no address is refused", test_address_bad},
        {"alias values are lists", test_alias_lists},
        {"alias targets keep user and extension", test_alias_targets},
        {"login names are folded and bounded", test_login_names},
        {"templates escape what they insert", test_templates},
        {"DNs are compared in a normal form", test_dns},
        {"grants live as long as they should", test_grant_lives},
        {"grants are redeemed by the right programs", test_grant_redeemers},
        {"an unknown grant is nothing", test_grant_unknown},
        {"grants are bounded", test_grant_bounds},
        {"submission logins end with their channel", test_grant_holder_gone},
        {"an address stands in the graph once", test_graph_duplicates},
        {"an address that leads to itself ends there", test_graph_keeps},
        {"alias loops are found", test_graph_loops},
        {"two may forward to each other", test_graph_mutual},
        {"aliases of aliases are bounded", test_graph_depth},
        {"expansions are bounded", test_graph_size},
        {"a user's entry is one or none", test_user_only_entry},
        {"anything else about it is no answer", test_user_cannot_say},
        {"states of accounts, at a login", test_account_login},
        {"an administrator's lock, at a login", test_account_locked},
        {"servers in order, sick ones last", test_servers_in_order},
        {"servers, what is told of them", test_servers_told},
        {"a sick server is tried by one", test_servers_probed},
        {"a single server is never sick", test_servers_single},
        {"servers at random", test_servers_at_random},
        {NULL, NULL},
    };
    return unit_main("directory", tests);
}
