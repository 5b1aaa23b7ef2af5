/*
 * Questions to the directory servers, of whatever kind: each waits for a connection that has room, is
 * sent, is made anew on another one when that is lost, and ends in time in any case. Where there are
 * several servers, one that says nothing for half of the time loses the question to another.
 *
 * Its user has struct errand as the first member of what it asks.
 */
#ifndef FACTEUR_DIRECTORY_ERRANDS_H
#define FACTEUR_DIRECTORY_ERRANDS_H

#include "directory/conns.h"

struct errands;

enum errand_state { ERRAND_WAITS, ERRAND_SENT, ERRAND_OVER };

struct errand {
    struct errand *next, *prev;
    struct errands *all;
    enum errand_state state;
    struct dirconn *conn; /* that it was sent by */
    struct errand *same;  /* more of that connection, by msgid */
    int msgid;
    unsigned losses;
    int64_t sent, look, deadline; /* clock_mono_ms; look: when to see how it goes */
};

struct errand_ops {
    const char *what;      /* for the log */
    size_t per_connection; /* so many may be under way there */
    size_t waiting_max;    /* beyond that, failed at once: no storm of old questions */
    bool abandons;         /* the server can be told that no answer is wanted any more */
    /* An LDAP result code, and the message id. */
    int (*send)(struct errand *e, LDAP *ld, int *msgid);
    /* A part of the answer, freed afterwards; the last one makes the user call errands_end. */
    void (*message)(struct errand *e, LDAPMessage *m);
    /* It is made anew: what came is to be forgotten. */
    void (*again)(struct errand *e);
    /* There will be no answer; code is LDAP's, or libldap's own. deliver follows. */
    void (*failed)(struct errand *e, int code, const char *why);
    /* From the event loop: it is over, and the user's to free. */
    void (*deliver)(struct errand *e);
    void (*discard)(struct errand *e); /* frees it, nobody is told any more */
};

struct errands *errands_new(struct event_base *base, struct opener *opener,
                            const struct ldapmap_conn_settings *settings, size_t connections,
                            const struct errand_ops *ops);
/* Discards all; never from inside a callback. NULL is fine. */
void errands_free(struct errands *all);
const struct ldapmap_conn_settings *errands_settings(const struct errands *all);

/* Calls nothing but send and failed. */
void errands_start(struct errands *all, struct errand *e);
/* There is nothing to ask: deliver comes all the same. */
void errands_skip(struct errands *all, struct errand *e);
/* Its answer is whole, or no more of it is wanted. */
void errands_end(struct errand *e);

struct errands_counts {
    size_t connections, up, waiting, under_way;
    uint64_t sent;
};
void errands_counts(const struct errands *all, struct errands_counts *out);

#endif
