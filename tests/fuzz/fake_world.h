/*
 * A world for one client of smtp or access, or for the relay and its servers, without sockets, clocks and other
 * programs: connections (io/conn.h), timers (libevent's), and those who answer (ipc/rpc.h) are played in memory.
 * What comes when, and what is answered, is a matter of dice that the input has loaded.
 */
#ifndef FACTEUR_TESTS_FUZZ_FAKE_WORLD_H
#define FACTEUR_TESTS_FUZZ_FAKE_WORLD_H

#include "io/conn.h"
#include "ipc/rpc.h"

#include <event2/event.h>

#define FAKE_GRANTS 4096
#define FAKE_LOGIN "user:secret-password" /* at other servers */

/* An assertion that may do something. */
#define REQUIRE(holds) ((holds) ? (void)0 : fake_broken(#holds, __FILE__, __LINE__))
_Noreturn void fake_broken(const char *what, const char *file, int line);

struct call;

/* What the code under test takes for libevent's base. */
struct event_base {
    struct str script;  /* all that the other side says: the client, or one server after the other */
    size_t said;        /* octets of that which it has said */
    size_t step;        /* so many at once; 0: line by line, each when the one before was read */
    uint32_t luck;      /* the dice's state; 0: everything goes well */
    bool leaves_early;  /* it does not wait for answers at its end */
    bool falls_silent;  /* it does not leave at its end, but waits until its time is over */
    bool servers;       /* the code under test makes connections, as many as it likes */
    struct conn *conn, *session; /* conn: the newest; session: what access passes the client on to */
    const struct conn *speaker;  /* who is heard just now */
    struct event *timers;
    struct call *calls;
    struct buf heard;   /* of the line that is being said to the client */
    struct buf passed;  /* all that the session was told */
    uint8_t grants[FAKE_GRANTS]; /* by number: enum fake_grant */
    unsigned grant_count;
    char message[64];   /* the one that was handed on last */
    unsigned messages;  /* handed on: to workers, or the queue */
    bool edited;        /* a filter has changed one, into whatever it liked */
};

enum fake_grant { GRANT_NEVER, GRANT_FOR_MAIL, GRANT_OF_LOGIN, GRANT_OVER };

/* The three octets choose how much is said at once, luck, and how it ends. */
struct event_base fake_begin(const uint8_t how[3], struct str script);
/* A number below n; the smaller, the better for the client. */
uint32_t fake_dice(struct event_base *w, uint32_t n);
/* A piece of what the client says, at most so long: what others say may look like anything. */
struct str fake_words(struct event_base *w, size_t max);

/* What became of a grant that was given out in this world. */
uint8_t *fake_grant_state(struct event_base *w, const struct grant *g);

/* One thing happens, if there is any left: true when one did. */
bool fake_conn_step(struct event_base *w);
bool fake_rpc_step(struct event_base *w);
bool fake_timer_step(struct event_base *w);

/* For whoever runs it: every octet that the other side hears. */
void fake_heard(struct event_base *w, struct str octets);

#endif
