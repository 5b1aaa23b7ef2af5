/*
 * A set of LDAP connections to the same servers with the same rights, kept open: opened by helper
 * threads, read when the event loop says so, opened again after a pause that grows from 0.1 to 5
 * seconds while the servers fail. While they fail, one connection of the set tries for all. Where
 * several servers are named, a connection with nothing under way moves, one at a time, to the server
 * that it would rather have when that is well again, and all leave one that has become sick.
 */
#ifndef FACTEUR_DIRECTORY_CONNS_H
#define FACTEUR_DIRECTORY_CONNS_H

#include "directory/gather.h"
#include "directory/opener.h"

struct conns;

struct dirconn {
    struct conns *set;
    LDAP *ld; /* NULL: not open */
    char *server; /* the URL it was opened with, while it is open */
    size_t place; /* of that server in the settings */
    struct server *at; /* how it fares */
    bool leaving; /* wants to move: takes nothing new while others can, or its server is sick */
    struct gather *gather; /* ends with ld */
    struct event *readable;
    int64_t opened;     /* clock_mono_ms */
    int64_t last_heard; /* clock_mono_ms of the last message */
    bool opening;
    unsigned changes; /* the set's, when opening began */
    void *under_way; /* the user's */
    size_t load; /* how much is under way: the user's to count up, and down with conns_release */
};

struct conns_ops {
    void (*up)(struct dirconn *c, void *arg);
    void (*message)(struct dirconn *c, void *arg, LDAPMessage *m); /* m is freed afterwards */
    void (*down)(struct dirconn *c, void *arg); /* c->ld is NULL already: all under way is lost */
    bool gathers; /* requests of one turn of the event loop go out together (gather.h) */
};

/* settings are copied. what: "search" or "bind", for the log. */
struct conns *conns_new(struct event_base *base, struct opener *opener,
                        const struct ldapmap_conn_settings *settings, size_t count,
                        const char *what, const struct conns_ops *ops, void *arg);
/* Closes all without callbacks; never from inside a callback of the set. NULL is fine. */
void conns_free(struct conns *s);
const struct ldapmap_conn_settings *conns_settings(const struct conns *s);

size_t conns_count(const struct conns *s);
struct dirconn *conns_at(struct conns *s, size_t i); /* NULL past the last */
size_t conns_up(const struct conns *s);
/* The open connection with the least load below that bound, or NULL. */
struct dirconn *conns_least(struct conns *s, size_t below);
/* So much less is under way on it. */
void conns_release(struct dirconn *c, size_t n);
/* It failed: closes it, calls down, and opens it anew. */
void conns_lost(struct dirconn *c, const char *why);
/* The same because its server says nothing: another one, if there is any, is asked from now on. */
void conns_silent(struct dirconn *c, const char *why);
/* Has that server said nothing at all, on whatever connection, since then (clock_mono_ms)? */
bool conns_is_silent(const struct dirconn *c, int64_t since);

#endif
