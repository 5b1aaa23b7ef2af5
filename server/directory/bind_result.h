/*
 * What the result of a user's bind means (RFC 4511 section 4.2.2 and appendix A): the one table
 * that tells "the password is not right, or may not be used" from "the directory cannot say".
 */
#ifndef FACTEUR_DIRECTORY_BIND_RESULT_H
#define FACTEUR_DIRECTORY_BIND_RESULT_H

#include "ipc/message.h"

/* code: LDAP's result code, or libldap's own negative ones; diagnostic: the server's text, may be
 * empty. Yes, no or cannot say; *why (may be NULL) becomes a few words for the log. */
enum verdict bind_result_verdict(int code, struct str diagnostic, const char **why);

#endif
