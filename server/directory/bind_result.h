/*
 * What the result of a user's bind means (RFC 4511 section 4.2.2 and appendix A): the one table
 * that tells "the password is not right, or may not be used" from "the directory cannot say"; and
 * what password policies say beside it, by control (draft-behera-ldap-password-policy-11 section 6,
 * draft-vchu-ldap-pwd-policy) or in Active Directory's texts.
 */
#ifndef FACTEUR_DIRECTORY_BIND_RESULT_H
#define FACTEUR_DIRECTORY_BIND_RESULT_H

#include "ipc/message.h"

#include <ldap.h>

struct bind_result {
    enum verdict verdict;  /* YES, NO or CANNOT_SAY */
    enum auth_state state; /* YES with AUTH_MUST_CHANGE: good for nothing but changing it */
    const char *why;       /* a few words for the log, literal */
    int grace;             /* YES: so many logins are left with this password; -1: nothing was said */
    long expires;          /* YES: seconds until it expires; -1: nothing was said */
};

/* code: LDAP's result code, or libldap's own negative ones; diagnostic: the server's text, may be
 * empty. */
struct bind_result bind_result_verdict(int code, struct str diagnostic);
/* What a password policy says beside that. error: as LDAPPasswordPolicyError, PP_noError for none;
 * grace and expires: -1 for none. */
void bind_result_policy(struct bind_result *r, int error, int grace, int expires);
/* The whole answer to a bind. */
struct bind_result bind_result_read(LDAP *ld, LDAPMessage *m);

/* What asks the server to say more: for the request. */
extern const LDAPControl bind_result_control;

#endif
