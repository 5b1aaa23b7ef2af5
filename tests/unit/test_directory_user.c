/* directory/user.h and directory/account.h: what a user's entry says of logging in. */
#include "directory/account.h"
#include "directory/user.h"
#include "tests/unit/test_directory.h"

#define ENTRY(...)                                                                                  \
    (struct ldapmap_entry)                                                                          \
    {                                                                                               \
        .dn = STR("uid=a,dc=x"), .attrs = (struct ldapmap_attr[]){__VA_ARGS__},                     \
        .count = sizeof((struct ldapmap_attr[]){__VA_ARGS__}) / sizeof(struct ldapmap_attr)         \
    }
#define ATTR(name, value) {STR(name), (struct str[]){STR(value)}, 1}

static int read_user(int code, size_t count, const struct ldapmap_entry **out, struct err *e)
{
    static struct ldapmap_entry entries[2] = {{.dn = STR("uid=a,dc=x")}, {.dn = STR("uid=b,dc=x")}};
    struct search_result r = {
        .code = code, .diagnostic = STR("told"), .entries = entries, .count = count};
    *e = (struct err){0};
    return user_read(&r, out, e);
}

void test_user_only_entry(void)
{
    const struct ldapmap_entry *entry;
    struct err e;
    CU_ASSERT(read_user(LDAP_SUCCESS, 1, &entry, &e) == 0 && entry);
    CU_ASSERT(read_user(LDAP_SUCCESS, 0, &entry, &e) == 0 && !entry);
}

/* Never "no": what was not found may be there. */
void test_user_cannot_say(void)
{
    static const int codes[] = {LDAP_SIZELIMIT_EXCEEDED, LDAP_TIMELIMIT_EXCEEDED, LDAP_BUSY,
                                LDAP_NO_SUCH_OBJECT, LDAP_REFERRAL, LDAP_SERVER_DOWN, LDAP_TIMEOUT};
    const struct ldapmap_entry *entry;
    struct err e;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        for (size_t n = 0; n < 3; n++)
            CU_ASSERT(read_user(codes[i], n, &entry, &e) == -1 && e.kind == ERR_TEMPORARY);
    read_user(LDAP_SIZELIMIT_EXCEEDED, 2, &entry, &e);
    UNIT_STR(str_from(e.log), "user_filter matches several entries: uid=a,dc=x and uid=b,dc=x");
    CU_ASSERT(read_user(LDAP_SUCCESS, 2, &entry, &e) == -1);
    UNIT_STR(str_from(e.log), "user_filter matches several entries: uid=a,dc=x and uid=b,dc=x");
    read_user(LDAP_TIMELIMIT_EXCEEDED, 2, &entry, &e);
    UNIT_STR(str_from(e.log), "user_filter: Time limit exceeded: told");
    read_user(LDAP_SIZELIMIT_EXCEEDED, 1, &entry, &e);
    UNIT_STR(str_from(e.log), "user_filter: Size limit exceeded: told");
}

static struct str map_rows[] = {STR("on=active"), STR("mail=nologin"), STR("off=disabled"),
                                STR("away=forward")};

static enum verdict login(struct ldapmap_entry entry, enum auth_state *state)
{
    struct config cfg = {.account_state_attribute = STR("state"),
                         .account_state_map = {map_rows, sizeof map_rows / sizeof map_rows[0]},
                         .account_forward_attribute = STR("forward")};
    struct account account;
    struct err e = {0};
    const char *why;
    CU_ASSERT(account_read(&cfg, &entry, &account, &e) == 0);
    return account_login(&account, state, &why);
}

void test_account_login(void)
{
    enum auth_state state;
    CU_ASSERT(login(ENTRY(ATTR("state", "on")), &state) == VERDICT_YES && state == AUTH_PLAIN);
    CU_ASSERT(login(ENTRY(ATTR("uid", "a")), &state) == VERDICT_YES && state == AUTH_PLAIN);
    CU_ASSERT(login(ENTRY(ATTR("state", "mail")), &state) == VERDICT_REFUSED &&
              state == AUTH_PLAIN);
    CU_ASSERT(login(ENTRY(ATTR("state", "off")), &state) == VERDICT_NO && state == AUTH_DISABLED);
    CU_ASSERT(login(ENTRY(ATTR("state", "away"), ATTR("forward", "b@x.example")), &state) ==
                  VERDICT_REFUSED &&
              state == AUTH_PLAIN);
}

/* Only the time that stands for "until somebody unlocks it". */
void test_account_locked(void)
{
    enum auth_state state;
    CU_ASSERT(login(ENTRY(ATTR("pwdAccountLockedTime", "000001010000Z")), &state) == VERDICT_NO &&
              state == AUTH_LOCKED);
    CU_ASSERT(login(ENTRY(ATTR("pwdaccountlockedtime", "00000101000000Z")), &state) == VERDICT_NO &&
              state == AUTH_LOCKED);
    CU_ASSERT(login(ENTRY(ATTR("pwdAccountLockedTime", "20260101000000Z")), &state) == VERDICT_YES);
    CU_ASSERT(login(ENTRY(ATTR("state", "off"), ATTR("pwdAccountLockedTime", "000001010000Z")),
                    &state) == VERDICT_NO &&
              state == AUTH_LOCKED);
}
