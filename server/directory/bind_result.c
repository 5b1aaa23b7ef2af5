/* The table of bind results that mean yes or no. */
#include "directory/bind_result.h"

#include <stdlib.h>

struct row {
    int code;
    const char *diagnostic; /* must stand in the server's text; NULL: whatever it says */
    enum verdict verdict;
    enum auth_state state;
    const char *why;
};

/*
 * Whatever is not here is "cannot say": busy (51), unavailable (52), other (80), a referral (10), a
 * server that wants TLS or SASL first (8, 13: our settings are wrong, not the password), access
 * rules that keep everybody from proving a password (50), a DN it cannot read (34), and all that
 * libldap says by itself (negative). A disabled password check must not turn into "wrong password"
 * for thousands of clients that then forget theirs.
 */
static const struct row rows[] = {
    {LDAP_SUCCESS, NULL, VERDICT_YES, AUTH_PLAIN, "success"},
    /* Active Directory tells by a number in the text of a 49; of a locked account whatever the
     * password, of the others only to who knows it. */
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 530,", VERDICT_NO, AUTH_DISABLED,
     "no login at this time"},
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 531,", VERDICT_NO, AUTH_DISABLED,
     "no login from this machine"},
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 532,", VERDICT_NO, AUTH_EXPIRED,
     "the password has expired"},
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 533,", VERDICT_NO, AUTH_DISABLED,
     "the account is disabled"},
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 701,", VERDICT_NO, AUTH_DISABLED,
     "the account has expired"},
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 773,", VERDICT_NO,
     AUTH_MUST_CHANGE, "the password must be changed"},
    {LDAP_INVALID_CREDENTIALS, "AcceptSecurityContext error, data 775,", VERDICT_NO, AUTH_LOCKED,
     "the account is locked"},
    /* Appendix A.2: the credentials are not valid. Also a locked or expired password where the
     * server hides which (draft-behera-ldap-password-policy section 8.1.1: accountLocked). */
    {LDAP_INVALID_CREDENTIALS, NULL, VERDICT_NO, AUTH_PLAIN, "wrong password"},
    /* The entry was there when we searched it, and is not any more. */
    {LDAP_NO_SUCH_OBJECT, NULL, VERDICT_NO, AUTH_PLAIN, "no such entry"},
    /* Appendix A.2: the entry cannot be bound to this way; slapd: it has no password. */
    {LDAP_INAPPROPRIATE_AUTH, NULL, VERDICT_NO, AUTH_PLAIN, "the entry has no password"},
    /* 389 Directory Server: "Exceed password retry limit. Please try later." A constraint that
     * speaks of anything else says nothing about the password. */
    {LDAP_CONSTRAINT_VIOLATION, "retry limit", VERDICT_NO, AUTH_LOCKED, "too many tries"},
    /* 389 Directory Server and its kin: "Account inactivated. Contact system administrator." */
    {LDAP_UNWILLING_TO_PERFORM, "inactivated", VERDICT_NO, AUTH_DISABLED,
     "the account is inactivated"},
};

struct bind_result bind_result_verdict(int code, struct str diagnostic)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        if (r->code != code)
            continue;
        if (r->diagnostic && !str_casecontains(diagnostic, str_from(r->diagnostic)))
            continue;
        return (struct bind_result){r->verdict, r->state, r->why, -1, -1};
    }
    return (struct bind_result){VERDICT_CANNOT_SAY, AUTH_PLAIN, ldap_err2string(code), -1, -1};
}

static void set_state(struct bind_result *r, enum auth_state state, const char *why)
{
    r->state = state;
    r->why = why;
}

/* Section 8.1.2 of draft-behera: changeAfterReset comes with a success, the other two with 49. */
void bind_result_policy(struct bind_result *r, int error, int grace, int expires)
{
    if (r->verdict == VERDICT_NO && error == PP_passwordExpired)
        set_state(r, AUTH_EXPIRED, "the password has expired");
    else if (r->verdict == VERDICT_NO && error == PP_accountLocked)
        set_state(r, AUTH_LOCKED, "the account is locked");
    else if (r->verdict != VERDICT_CANNOT_SAY && error == PP_changeAfterReset)
        set_state(r, AUTH_MUST_CHANGE, "the password must be changed");
    if (r->verdict == VERDICT_YES) {
        r->grace = grace < 0 ? -1 : grace; /* they are the server's numbers */
        r->expires = expires < 0 ? -1 : expires;
    }
}

/* draft-vchu-ldap-pwd-policy, as Netscape's descendants (389 Directory Server) still send it: with a
 * success the expired password may only be changed; of one that will, its seconds are told. */
static void read_netscape(struct bind_result *r, LDAPControl **controls)
{
    const LDAPControl *expiring = ldap_control_find(LDAP_CONTROL_X_PASSWORD_EXPIRING, controls, NULL);
    uint32_t seconds;
    if (ldap_control_find(LDAP_CONTROL_X_PASSWORD_EXPIRED, controls, NULL)) {
        if (r->verdict == VERDICT_NO && r->state == AUTH_PLAIN)
            set_state(r, AUTH_EXPIRED, "the password has expired");
        else if (r->verdict == VERDICT_YES && r->grace < 0)
            set_state(r, AUTH_MUST_CHANGE, "the password must be changed");
    }
    if (r->verdict == VERDICT_YES && expiring && r->expires < 0 &&
        str_u32((struct str){expiring->ldctl_value.bv_val, expiring->ldctl_value.bv_len}, &seconds) ==
            0)
        r->expires = seconds;
}

struct bind_result bind_result_read(LDAP *ld, LDAPMessage *m)
{
    int code = LDAP_OTHER, expires = -1, grace = -1;
    LDAPPasswordPolicyError error = PP_noError;
    char *text = NULL;
    LDAPControl **controls = NULL;
    int got = ldap_parse_result(ld, m, &code, NULL, &text, NULL, &controls, 0);
    struct bind_result r = bind_result_verdict(got == LDAP_SUCCESS ? code : got, str_from(text));
    LDAPControl *policy = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, NULL);
    if (policy && policy->ldctl_value.bv_val &&
        ldap_parse_passwordpolicy_control(ld, policy, &expires, &grace, &error) == LDAP_SUCCESS)
        bind_result_policy(&r, (int)error, grace, expires);
    read_netscape(&r, controls);
    ldap_controls_free(controls);
    ldap_memfree(text);
    return r;
}

const LDAPControl bind_result_control = {.ldctl_oid = (char *)LDAP_CONTROL_PASSWORDPOLICYREQUEST};
