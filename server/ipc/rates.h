/*
 * How often somebody did something of late, counted in one shared table for all smtp and access
 * programs: by client address (IPv6: its /64), by network (/24, /64), by login. Whoever serves the
 * network may write in it; nobody else is misled by what it says.
 *
 * Time is cut into windows, as Postfix's anvil does; a count ends with its window. The table is
 * bounded: when it is full of what is still counted, newcomers are not counted.
 */
#ifndef FACTEUR_IPC_RATES_H
#define FACTEUR_IPC_RATES_H

#include "config/config.h"

enum rate {
    RATE_CONNECTIONS, RATE_MESSAGES, RATE_RECIPIENTS, RATE_AUTHS, /* of a client */
    RATE_LOGIN_MESSAGES, RATE_LOGIN_RECIPIENTS,                   /* of a login, an hour */
    RATE_NETWORK_FAILURES, RATE_USER_FAILURES, /* wrong passwords: from a network; for a user there */
    RATES
};

struct rates; /* one a process; NULL counts nothing */

int rates_create(void); /* a memfd, or -1 and errno */
struct rates *rates_open(int fd);
void rates_close(struct rates *r); /* NULL is fine */
/* How long the windows are, in seconds; from every configuration anew. */
void rates_configure(struct rates *r, const struct config *cfg);

/* Counts one more; the count with it. */
uint32_t rates_add(struct rates *r, enum rate what, struct str name);
void rates_take_back(struct rates *r, enum rate what, struct str name);

/* The bytes that stand for a client, or its network, in the table; views into out. */
struct str rates_client(const unsigned char ip[16], char out[17]);
struct str rates_network(const unsigned char ip[16], char out[17]);

/* A guess at a password, counted before anybody checks it, so that many at once are no way round the
 * limits; counted no more when it was right, or nobody could say. A user is counted by network: a
 * stranger elsewhere cannot lock anybody out. */
struct rates_guess {
    bool counted;
    char network[17], user[320];
    size_t network_n, user_n;
    uint32_t tries; /* of this user from this network, with this one; 0: nobody counts */
};
/* False: there were too many. user: empty when it is not known. */
bool rates_guess_begin(struct rates *r, const struct config *cfg, const unsigned char ip[16],
                       struct str user, struct rates_guess *g);
void rates_guess_forgive(struct rates *r, struct rates_guess *g);
/* How long the answer to a wrong one waits, in seconds: auth_failure_delay, twice that after the
 * second, and so on up to auth_failure_delay_limit. */
int64_t rates_guess_delay(const struct config *cfg, const struct rates_guess *g);

#endif
