/*
 * Logging a user in: from the name that was typed to one entry, and from the password to yes, no or
 * cannot say by binding as that entry. A name with "@" is looked for among the users' addresses
 * (smtpd_sender_login_maps) first. In every case user_filter must match exactly one entry.
 */
#ifndef FACTEUR_DIRECTORY_LOGIN_H
#define FACTEUR_DIRECTORY_LOGIN_H

#include "directory/box.h"

struct login_result {
    enum verdict verdict; /* YES, NO or CANNOT_SAY */
    enum auth_state state;
    const char *why;      /* for the log */
    struct box box;       /* with YES */
    struct str name;      /* what user_filter found the entry by */
};

/* Once, possibly from inside login_run. The result is valid until fn returns. */
typedef void (*login_fn)(void *arg, const struct login_result *r);

/* The password is copied into guarded memory, and wiped there. The set is held meanwhile. ip: of the
 * client (16 bytes), whose wrong passwords count (guard.h); NULL: they do not. */
void login_run(struct dirset *set, struct str user, struct str password, const unsigned char *ip,
               login_fn fn, void *arg);

/* The directory has said who somebody is (RFC 4513 section 5.2.1.8: "dn:…" or "u:…"): the same, without a
 * password. */
void login_found(struct dirset *set, struct str authzid, const unsigned char *ip, login_fn fn,
                 void *arg);

/* The same where another server says who somebody is: name is what he might have typed. */
void login_vouched(struct dirset *set, struct str name, const unsigned char *ip, login_fn fn,
                   void *arg);

/* Counts a try at that user's password, as login_run does: yes, and *try is the caller's, to be ended by
 * one of guard.h; else what the login's end is. A box without a DN: user_filter matches no entry. ip:
 * NULL where nothing is to be counted. */
void login_may_try(struct dirset *set, struct str user, const unsigned char *ip,
                   struct guard_try *try, login_fn fn, void *arg);

/* Whether that name (of a login_result) may still log in, asked as login_run asks but for the
 * password. */
void login_check(struct dirset *set, struct str name, login_fn fn, void *arg);

#endif
