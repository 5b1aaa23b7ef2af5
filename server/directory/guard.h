/*
 * Wrong passwords, counted before the directory is asked, so that nobody makes the directory lock
 * another one's account: in one stretch of time it is asked about a bounded number of them for each
 * account, whatever networks they come from and however the name is written. One half is for networks
 * where somebody has logged in to that account, the other for strangers; so those leave the half of
 * the people at home alone. A right password ends the count, as it does in directories. Tries under
 * way may turn out wrong, so those beyond the number wait for them.
 *
 * In this process's memory and nowhere else: after a restart everybody is a stranger once.
 */
#ifndef FACTEUR_DIRECTORY_GUARD_H
#define FACTEUR_DIRECTORY_GUARD_H

#include "config/config.h"

#define GUARD_LIMIT_MAX 20
#define GUARD_NETWORKS_MAX 8 /* of one account that are remembered, for 30 days */
#define GUARD_ACCOUNTS_MAX 200000

struct guard;

struct guard_rules {
    unsigned limit; /* of one account; 0: nothing is counted */
    int64_t ms;
    const struct config_list *exceptions; /* networks that do not count */
};

#define GUARD_WAITING_MAX 100 /* tries of one account that wait for others */

enum guard_answer { GUARD_GO, GUARD_WAIT, GUARD_TOO_MANY };

/* A try, whose owner keeps it where it is until it has ended; all zero: none. */
struct guard_try {
    bool counted, own;
    uint64_t account, network;
    struct guard_try *next;
    void (*again)(void *arg);
    void *arg;
};

struct guard *guard_new(void);
void guard_free(struct guard *g);

/* Counts one. account: a DN or, of nobody, the name. After GUARD_WAIT t->again(t->arg) is called once,
 * from inside the end of another try of the account: it begins anew. */
enum guard_answer guard_begin(struct guard *g, const struct guard_rules *rules, struct str account,
                              const unsigned char ip[16], struct guard_try *t);
/* Somebody was let in to that account from there. */
void guard_seen(struct guard *g, struct str account, const unsigned char ip[16]);
/* The end of a try, once; the others do nothing then. */
void guard_right(struct guard *g, struct guard_try *t);
void guard_wrong(struct guard *g, struct guard_try *t);
void guard_forgive(struct guard *g, struct guard_try *t); /* nobody knows */

#endif
