/*
 * Logins with an OAuth 2.0 token (OAUTHBEARER, RFC 7628, and XOAUTH2): the filter program asks the
 * introspection server whose the token is, and that user's entry is found as for any login. Whom the
 * client says it is must be the same entry. A token that is not good counts as a wrong password of that
 * account (guard.h), and past the limit nobody is asked. Nothing is kept of an answer.
 */
#ifndef FACTEUR_DIRECTORY_BEARER_H
#define FACTEUR_DIRECTORY_BEARER_H

#include "directory/exchange.h"

struct bearers;

struct bearers *bearers_new(struct event_base *base);
void bearers_free(struct bearers *b);          /* without callbacks; NULL is fine */
void bearers_link(struct bearers *b, int fd); /* the channel to the filter program */

bool bearer_is_offered(const struct dirset *set, struct str mechanism);

/* The client's one message. The end comes once, possibly from inside; with a "no" data is what the
 * client is told before it. */
void bearer_run(struct bearers *b, struct dirset *set, const struct exchange_step *step,
                exchange_fn fn, void *arg);

#endif
