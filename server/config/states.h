/* States of accounts, and what account_state_map makes of an entry's value. Pure. */
#ifndef FACTEUR_CONFIG_STATES_H
#define FACTEUR_CONFIG_STATES_H

#include "config/config.h"

enum account_state {
    ACCOUNT_ACTIVE,
    ACCOUNT_NOLOGIN,  /* receives, and may not log in */
    ACCOUNT_DISABLED, /* neither; see account_disabled_action */
    ACCOUNT_FORWARD,  /* keeps nothing: mail goes to the addresses it is forwarded to */
};

/* Checks account_state_map: 0, or -1 with a permanent error. */
int account_check_map(const struct config *cfg, struct err *e);
/* Case is ignored. 0, or -1 when account_state_map does not have the value. */
int account_state_of(const struct config *cfg, struct str value, enum account_state *out);

/* A size as entries write it: "51200000", "50m" (k, m, g; blanks around). 0, or -1: it is none. */
int account_size_of(struct str text, uint64_t *out);

#endif
