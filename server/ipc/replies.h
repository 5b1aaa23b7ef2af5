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
#define REPLY_AUTH_NO "535 5.7.8 Error: authentication failed"
#define REPLY_AUTH_LATER "454 4.7.0 Temporary authentication failure"
#define REPLY_IMAP_NO "NO [AUTHENTICATIONFAILED] Authentication failed."
#define REPLY_IMAP_REFUSED "NO [AUTHORIZATIONFAILED] This account may not log in here."
#define REPLY_IMAP_LATER "NO [UNAVAILABLE] The directory cannot be asked now, try again later."

#endif
