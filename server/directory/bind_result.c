/* The table of bind results that mean yes or no. */
#include "directory/bind_result.h"

#include <ldap.h>

struct row {
    int code;
    const char *diagnostic; /* must stand in the server's text; NULL: whatever it says */
    enum verdict verdict;
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
    {LDAP_SUCCESS, NULL, VERDICT_YES, "success"},
    /* Appendix A.2: the credentials are not valid. Also a locked or expired password where the
     * server hides which (draft-behera-ldap-password-policy section 8.1.1: accountLocked). */
    {LDAP_INVALID_CREDENTIALS, NULL, VERDICT_NO, "wrong password"},
    /* The entry was there when we searched it, and is not any more. */
    {LDAP_NO_SUCH_OBJECT, NULL, VERDICT_NO, "no such entry"},
    /* Appendix A.2: the entry cannot be bound to this way; slapd: it has no password. */
    {LDAP_INAPPROPRIATE_AUTH, NULL, VERDICT_NO, "the entry has no password"},
    /* 389 Directory Server: "Exceed password retry limit. Please try later." A constraint that
     * speaks of anything else says nothing about the password. */
    {LDAP_CONSTRAINT_VIOLATION, "retry limit", VERDICT_NO, "too many tries"},
    /* 389 Directory Server and its kin: "Account inactivated. Contact system administrator." */
    {LDAP_UNWILLING_TO_PERFORM, "inactivated", VERDICT_NO, "the account is inactivated"},
};

enum verdict bind_result_verdict(int code, struct str diagnostic, const char **why)
{
    const char *ignored;
    if (!why)
        why = &ignored;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        if (r->code != code)
            continue;
        if (r->diagnostic && !str_casecontains(diagnostic, str_from(r->diagnostic)))
            continue;
        *why = r->why;
        return r->verdict;
    }
    *why = ldap_err2string(code);
    return VERDICT_CANNOT_SAY;
}
