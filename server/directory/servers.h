/*
 * How the directory servers fare, for all connections of the program together. A server that does
 * not answer is sick: it is asked last of all, so that nobody waits for it, until one connection,
 * tried after a pause that grows from 1 to 30 seconds, finds that it answers again. Settings that
 * name one server only take no part: there is nobody to go to instead.
 */
#ifndef FACTEUR_DIRECTORY_SERVERS_H
#define FACTEUR_DIRECTORY_SERVERS_H

#include "ldapmap/ldapmap.h"

#include <event2/event.h>

struct servers;
struct server; /* one URL; lives as long as the table */

/* Who has connections to servers, and wants to know how these fare. */
struct servers_user {
    struct servers_user *next, **at;
    const struct ldapmap_conn_settings *settings; /* must stay until servers_leave */
    /* One of its servers has become sick or well. */
    void (*changed)(struct servers_user *u);
    /* Find out whether the server of that place answers, and let servers_answered or servers_failed
     * know. */
    void (*probe)(struct servers_user *u, size_t place);
};

struct servers *servers_new(struct event_base *base);
void servers_free(struct servers *s);

/* Which of several sound servers a connection goes to: the first that is listed, or any. */
void servers_set_random(struct servers *s, bool random);

void servers_join(struct servers *s, struct servers_user *u);
void servers_leave(struct servers_user *u);

/* The places of the settings' servers in the order in which connection number should try them: sick
 * ones last. Fills order[0..server_count). With servers at random, the same number has the same order
 * as long as the same servers are well, so that a server that comes back has its own again. */
void servers_order(struct servers *s, const struct ldapmap_conn_settings *settings,
                   uint64_t number, size_t order[LDAPMAP_SERVERS_MAX]);

struct server *servers_find(struct servers *s, struct str url);
bool server_is_sick(const struct server *v);

/* A connection could not be opened, or said nothing for as long as one waits. */
void servers_failed(struct servers *s, struct str url, const char *why);
/* A connection was opened. */
void servers_answered(struct servers *s, struct str url);

/* For those who look after them: it was asked something; a question or the making of a connection came
 * to nothing. That makes no server sick. */
void server_asked(struct server *v);
void server_failed(struct server *v);
/* A line for each server that some settings name, each with a newline before it, as far as out stays
 * within limit octets: url; state: well, failing (it did not answer last), resting (sick, and left
 * alone until the next probe in rests_s seconds) or new (never asked); asked; failed. */
void servers_print(const struct servers *s, struct buf *out, size_t limit);

/* When it last said anything on whatever connection, as clock_mono_ms. */
void server_heard(struct server *v, int64_t now);
int64_t server_last_heard(const struct server *v);

#endif
