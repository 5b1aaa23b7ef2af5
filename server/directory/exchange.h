/*
 * SASL exchanges between a client and the directory server, relayed step by step (RFC 4422, RFC 4511
 * section 4.2): what the client says goes into a bind as it is, so any mechanism will do, and no
 * password comes here. One connection is held for each exchange. At its end the server is asked who
 * it was (RFC 4532), and the user's entry is found as for any login.
 *
 * Where the mechanism shows who the client says it is, wrong passwords are counted for the account as
 * those of other logins are (guard.h). Bounded: steps, sizes, the time of each answer and of the whole. Where all connections are held, the
 * client that has been silent for longest, and a second at least, loses its own.
 */
#ifndef FACTEUR_DIRECTORY_EXCHANGE_H
#define FACTEUR_DIRECTORY_EXCHANGE_H

#include "directory/login.h"

struct exchanges;

struct exchange_reply {
    bool go_on;                       /* data is for the client, who is to answer */
    struct str data;                  /* may be empty; valid until fn returns */
    struct str user;                  /* who the client says it is; empty: not known */
    const struct login_result *login; /* at the end */
};
/* Once for each step, possibly from inside exchange_step. */
typedef void (*exchange_fn)(void *arg, const struct exchange_reply *r);

/* What one program says in one step. number: its own for the exchange; mechanism: for the first. */
struct exchange_step {
    uint64_t holder, number;
    struct str mechanism;
    const struct str *data;  /* NULL: the client has said nothing */
    const unsigned char *ip; /* of the client; NULL: not known */
};

struct exchanges *exchanges_new(struct event_base *base);
void exchanges_free(struct exchanges *x); /* without callbacks; before the sets */

/* The connections of a set: NULL when no mechanisms are relayed. */
struct conns *exchange_conns(struct exchanges *x, struct dirset *set);
/* A permanent error for mechanisms that cannot be relayed. */
int exchange_check(const struct config_list *mechanisms, struct err *e);

void exchange_step(struct exchanges *x, struct dirset *set, const struct exchange_step *step,
                   exchange_fn fn, void *arg);
/* The client is gone, or wants no more. */
void exchange_stop(struct exchanges *x, uint64_t holder, uint64_t number);
void exchange_drop_holder(struct exchanges *x, uint64_t holder);

#endif
