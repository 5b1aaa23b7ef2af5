/*
 * What an entry says of its account: the state (account_state_attribute with account_state_map), where
 * mail is forwarded (account_forward_attribute), and its room (account_quota_attribute). Pure.
 */
#ifndef FACTEUR_DIRECTORY_ACCOUNT_H
#define FACTEUR_DIRECTORY_ACCOUNT_H

#include "config/config.h"
#include "ldapmap/ldapmap.h"

enum account_state {
    ACCOUNT_ACTIVE,
    ACCOUNT_NOLOGIN,  /* receives, and may not log in */
    ACCOUNT_DISABLED, /* neither; see account_disabled_action */
    ACCOUNT_FORWARD,  /* keeps nothing: mail goes to the addresses it is forwarded to */
};

/* account_disabled_action */
enum account_disabled { ACCOUNT_REJECT, ACCOUNT_DEFER, ACCOUNT_KEEP };

struct account {
    enum account_state state;
    const struct str *forward; /* addresses, the entry's */
    size_t forward_count;
    struct str quota; /* a size as it is written; empty: none */
};

/* entry: NULL for none, which is active. 0, or -1 with a temporary error that names the entry: a
 * state that account_state_map does not have, or several states or quotas. */
int account_read(const struct config *cfg, const struct ldapmap_entry *entry, struct account *out,
                 struct err *e);
/* Checks account_state_map: 0, or -1 with a permanent error. */
int account_check_map(const struct config *cfg, struct err *e);

const char *account_state_name(enum account_state s);

#endif
