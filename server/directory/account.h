/*
 * What an entry says of its account: the state (account_state_attribute with account_state_map), an
 * administrator's lock, where mail is forwarded (account_forward_attribute), its room
 * (account_quota_attribute), and whether its owner is away (account_vacation_*_attribute).
 */
#ifndef FACTEUR_DIRECTORY_ACCOUNT_H
#define FACTEUR_DIRECTORY_ACCOUNT_H

#include "config/states.h"
#include "ipc/message.h"
#include "ldapmap/ldapmap.h"

#define ACCOUNT_VACATION_MAX 32768 /* octets of a text; messages.def */

/* draft-behera-ldap-password-policy section 5.3.3 */
#define ACCOUNT_LOCK_ATTRIBUTE "pwdAccountLockedTime"

/* account_disabled_action */
enum account_disabled { ACCOUNT_REJECT, ACCOUNT_DEFER, ACCOUNT_KEEP };

struct account {
    enum account_state state;
    bool locked; /* by an administrator, until he says otherwise; mail comes as before */
    const struct str *forward; /* addresses, the entry's */
    size_t forward_count;
    struct str quota; /* a size as it is written; empty: none */
    bool away;        /* senders may have to be told; account_vacation knows */
};

/* entry: NULL for none, which is active. 0, or -1 with a temporary error that names the entry: a
 * state that account_state_map does not have, or several states or quotas. */
int account_read(const struct config *cfg, const struct ldapmap_entry *entry, struct account *out,
                 struct err *e);

/* 1: its owner is away now, and *text is what senders are told; 0: not; -1 with a temporary error
 * that names the entry: a date that is none, a text too long. */
int account_vacation(const struct config *cfg, const struct ldapmap_entry *entry, struct str *text,
                     struct err *e);

/* May its owner log in, whatever his password? YES, NO or REFUSED. *state: what he is told; *why: for
 * the log. */
enum verdict account_login(const struct account *a, enum auth_state *state, const char **why);

#endif
