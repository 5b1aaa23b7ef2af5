/*
 * The words of smtpd_*_restrictions, as Postfix spells them. The same table for the master, which
 * refuses what it does not know, and the smtp program, which acts on them.
 */
#ifndef FACTEUR_CONFIG_RULES_H
#define FACTEUR_CONFIG_RULES_H

#include "config/config.h"

enum rule {
    RULE_NONE, /* unknown */
    RULE_PERMIT, RULE_REJECT, RULE_DEFER,
    RULE_PERMIT_MYNETWORKS, RULE_PERMIT_LOGIN, RULE_PERMIT_OURS,
    RULE_REJECT_ELSEWHERE, RULE_DEFER_ELSEWHERE,
    RULE_CHECK_CLIENT, RULE_CHECK_REVERSE, RULE_CHECK_HELO, RULE_CHECK_SENDER, RULE_CHECK_RECIPIENT,
    RULE_CLIENT_UNKNOWN, RULE_REVERSE_UNKNOWN,
    RULE_HELO_INVALID, RULE_HELO_NOT_FQDN, RULE_HELO_UNKNOWN,
    RULE_SENDER_NOT_FQDN, RULE_SENDER_UNKNOWN, RULE_RECIPIENT_NOT_FQDN, RULE_RECIPIENT_UNKNOWN,
    RULE_CHECK_POLICY,
    RULE_AHEAD, /* commands sent ahead by a client that said HELO */
    RULE_RBL_CLIENT, RULE_RHSBL_CLIENT, RULE_RHSBL_REVERSE, RULE_RHSBL_HELO, RULE_RHSBL_SENDER,
    RULE_ALWAYS_SO, /* what holds here anyway */
    RULE_WARN,      /* the next one only warns */
};

enum rule_argument { RULE_ALONE, RULE_TAKES_MAP, RULE_TAKES_ZONE, RULE_TAKES_PLACE };

struct rule_step {
    enum rule rule;
    struct str name, argument; /* argument: a map, a zone, or a place */
};

/* Takes the next rule with its argument from a value of type RULES; false at the end. One that is
 * not known, or lacks its argument, has RULE_NONE. */
bool rule_next(struct str *rest, struct rule_step *out);

/* 0, or -1 with a permanent error that names what is wrong in this value, the nearest known name
 * included. */
int rule_check(struct str value, const char *option, struct err *e);

/* Does a check_policy_service in one of smtpd_*_restrictions name this place? */
bool rule_names_policy(const struct config *c, struct str place);

/* Is that what a table or a policy server may answer (access(5))? */
bool rule_is_action(struct str action);

/* Would these two, asked in turn, let a stranger send to any server? 0, or -1 with a permanent error:
 * none of them ends with a refusal, or a permit stands before it. */
int rule_check_relaying(struct str relay, struct str recipient, struct err *e);

/* Do they let clients of mynetworks send to other servers? */
bool rule_permits_mynetworks(struct str relay, struct str recipient);

/* A list of networks so wide that everybody is in it: the element, or the empty view. */
struct str rule_network_of_all(const struct config_list *networks);

#endif
