/*
 * What clients are told for each answer of the directory: used by the programs that say it, and by
 * the command that explains what they would say.
 */
#ifndef FACTEUR_IPC_REPLIES_H
#define FACTEUR_IPC_REPLIES_H

#include "ipc/message.h"

/* RCPT refused: status code and enhanced status, what goes before the text, and the text where the
 * directory has none. */
struct reply_rcpt {
    const char *status, *what, *why;
};
const struct reply_rcpt *reply_rcpt(enum verdict v);

#define REPLY_RCPT_YES "250 2.1.5 Ok"
#define REPLY_MAIL_YES "250 2.1.0 Ok"
/* With the path, and with path and login. */
#define REPLY_MAIL_LATER "451 4.3.0 <%.*s>: Temporary lookup failure"
#define REPLY_MAIL_NO "553 5.7.1 <%.*s>: Sender address rejected: not owned by user %s"

#define REPLY_AUTH_YES "235 2.7.0 Authentication successful"
/* A login that was not let in, in each protocol's words (RFC 4954 section 6, RFC 5530, RFC 3206). */
struct reply_login {
    const char *smtp, *imap, *pop3;
};
const struct reply_login *reply_login(enum verdict v, enum auth_state s);

#endif
