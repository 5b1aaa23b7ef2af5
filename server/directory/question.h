/*
 * A question of another program under way: who asked, by which number, about what. Each is ended by one
 * reply. answers.c says who answers which.
 */
#ifndef FACTEUR_DIRECTORY_QUESTION_H
#define FACTEUR_DIRECTORY_QUESTION_H

#include "directory/directory.h"

struct question {
    struct peer *peer;
    uint64_t id;
    enum service service;
    int64_t started;
    char address[256]; /* or login name: for the log */
    char client[64];
};

/* Holds the peer until question_end. */
struct question *question_new(struct peer *p, uint64_t id, struct str about);
void question_end(struct question *q);

/* A question with a set of its own, and memory, until its answer. */
struct aside {
    struct question *q;
    struct dirset *set; /* NULL: there is none yet */
    struct arena *arena;
};

struct aside *aside_new(struct peer *p, uint64_t id, struct str about);
void aside_end(struct aside *w);
void aside_leave(struct aside *w); /* the question goes on by itself */

/* True when the peer may not ask more now, or we were not configured yet. */
bool question_is_too_much(const struct peer *p);
/* For the status. */
void question_count(struct directory *d, enum verdict v);
const char *question_verdict_name(enum verdict v); /* for the log */

/* answers_recipient.c */
void answer_resolve(struct peer *p, const struct msg_resolve_ask *m);

/* answers_login.c */
void answer_auth(struct peer *p, const struct msg_auth_ask *m);
void answer_auth_step(struct peer *p, const struct msg_auth_step_ask *m);

/* answers_address.c */
void answer_rewrite(struct peer *p, const struct msg_rewrite_ask *m);
void answer_access(struct peer *p, const struct msg_access_ask *m);
void answer_vacation(struct peer *p, const struct msg_vacation_ask *m);
void answer_sender(struct peer *p, const struct msg_sender_ask *m);
void answer_map(struct peer *p, const struct msg_map_ask *m);

#endif
