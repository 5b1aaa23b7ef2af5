/*
 * May a login use an address as sender? Yes when the address belongs to the login's own entry, or
 * smtpd_sender_login_maps names the login.
 */
#ifndef FACTEUR_DIRECTORY_SENDER_H
#define FACTEUR_DIRECTORY_SENDER_H

#include "directory/lookup.h"
#include "ipc/message.h"

/* Once, possibly from inside sender_run; why: for the log. */
typedef void (*sender_fn)(void *arg, enum verdict verdict, const char *why);

/* login and dn: of the login's grant; copied. The set is held meanwhile. */
void sender_run(struct dirset *set, struct str address, struct str login, struct str dn,
                sender_fn fn, void *arg);

#endif
