/* The words for refused recipients and logins. */
#include "ipc/replies.h"

#define REJECTED "Recipient address rejected: "

const struct reply_rcpt *reply_rcpt(enum verdict v)
{
    static const struct reply_rcpt no = {"550 5.1.1", REJECTED, "User unknown"},
                                   not_here = {"554 5.7.1", "", "Relay access denied"},
                                   refused = {"550 5.2.1", REJECTED, "Mailbox disabled"},
                                   full = {"452 4.2.2", REJECTED, "Mailbox full"},
                                   later = {"451 4.3.0", REJECTED, "Temporary lookup failure"};
    switch (v) {
    case VERDICT_NO:
        return &no;
    case VERDICT_NOT_HERE:
        return &not_here;
    case VERDICT_REFUSED:
        return &refused;
    case VERDICT_FULL:
        return &full;
    default:
        return &later;
    }
}

bool auth_was_right(enum verdict v, enum auth_state s)
{
    return v == VERDICT_YES || (v == VERDICT_NO && (s == AUTH_EXPIRED || s == AUTH_MUST_CHANGE));
}

/* RFC 5248 has 5.7.13 for accounts that an administrator must see to, with 525, so that a client
 * does not ask for the password again; RFC 5530 section 3 says of EXPIRED that another password is
 * wanted. RFC 3206 section 4: AUTH is for whatever is wrong with the credentials. */
const struct reply_login *reply_login(enum verdict v, enum auth_state s)
{
    static const struct reply_login
        no = {"535 5.7.8 Error: authentication failed",
              "NO [AUTHENTICATIONFAILED] Authentication failed.", "-ERR [AUTH] Authentication failed"},
        expired = {"535 5.7.8 Error: authentication failed: the password has expired",
                   "NO [EXPIRED] The password has expired.", "-ERR [AUTH] The password has expired"},
        must_change = {"535 5.7.8 Error: authentication failed: the password must be changed first",
                       "NO [EXPIRED] The password must be changed first.",
                       "-ERR [AUTH] The password must be changed first"},
        locked = {"535 5.7.8 Error: authentication failed: the account is locked",
                  "NO [CONTACTADMIN] The account is locked.", "-ERR [AUTH] The account is locked"},
        disabled = {"525 5.7.13 Error: the account is disabled",
                    "NO [CONTACTADMIN] The account is disabled.",
                    "-ERR [AUTH] The account is disabled"},
        refused = {"535 5.7.8 Error: authentication failed",
                   "NO [AUTHORIZATIONFAILED] This account may not log in here.",
                   "-ERR [AUTH] This account may not log in here"},
        many = {"454 4.7.0 Temporary authentication failure: too many failures, try again later",
                "NO [UNAVAILABLE] Too many failures, try again later.",
                "-ERR [SYS/TEMP] Too many failures, try again later"},
        later = {"454 4.7.0 Temporary authentication failure",
                 "NO [UNAVAILABLE] The directory cannot be asked now, try again later.",
                 "-ERR [SYS/TEMP] The directory cannot be asked now, try again later"};
    if (v == VERDICT_REFUSED)
        return &refused;
    if (v != VERDICT_NO)
        return s == AUTH_TOO_MANY ? &many : &later;
    return s == AUTH_EXPIRED       ? &expired
           : s == AUTH_MUST_CHANGE ? &must_change
           : s == AUTH_LOCKED      ? &locked
           : s == AUTH_DISABLED    ? &disabled
                                   : &no;
}
