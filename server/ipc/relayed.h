/*
 * The client-facing side of a SASL exchange that the directory program sees to (auth_step_ask): which
 * mechanisms, what is asked, what is kept of the end until the client has heard the last word.
 */
#ifndef FACTEUR_IPC_RELAYED_H
#define FACTEUR_IPC_RELAYED_H

#include "config/config.h"
#include "ipc/message.h"

struct relayed {
    uint64_t number; /* of the exchange; 0: none is under way */
    bool started;    /* the mechanism has been named */
    bool let_in;     /* the end was good: grant and login are there */
    enum auth_state state; /* else, at the end */
    struct grant grant;
    char *login;
};

bool relayed_is(const struct config *cfg, struct str name);
/* Appends each mechanism's name with before in front. */
void relayed_list(struct buf *out, const struct config *cfg, const char *before);

/* The question for the next step; a view of all of it. said: NULL when the client has said nothing. */
struct msg relayed_ask(struct relayed *r, struct str mechanism, const struct str *said,
                       enum service service, const char *client);

enum relayed_next {
    RELAYED_CHALLENGE, /* data of the answer is for the client, who is to answer */
    RELAYED_LAST,      /* the same, and nothing but an empty answer is to come */
    RELAYED_REFUSED,   /* data says why not; whatever the client answers, it is a "no" with state */
    RELAYED_OVER,      /* let_in, or what the answer says */
};
/* m: the answer; NULL: none came. */
enum relayed_next relayed_answer(struct relayed *r, const struct msg *m);

/* Forgets it, with what the directory must be told: MSG_NONE for nothing, auth_stop, or grant_drop. */
struct msg relayed_end(struct relayed *r);

#endif
