/*
 * The filter program: shows mail to the configured milters before it is accepted (Sendmail milter
 * protocol 6), on behalf of smtp, which hands it each message as a descriptor and gets edits back;
 * asks policy servers about recipients, and the introspection server about tokens of logins.
 *
 * Own uid, empty root, event-driven; it can make no socket and open no file. A connection comes from
 * the master, which connects to places that the configuration names and no others.
 *
 * A visit is an SMTP session; it has a link to each milter, made at its first MAIL and kept to its
 * end. One ask is under way in a visit at a time; it goes through the links one after the other, and
 * each sees what those before it changed.
 */
#ifndef FACTEUR_FILTER_FILTER_H
#define FACTEUR_FILTER_FILTER_H

#include "base/log.h"
#include "base/map.h"
#include "config/introspection.h"
#include "io/conn.h"
#include "io/web.h"
#include "ipc/program.h"
#include "protocol/milter/edits.h"
#include "protocol/milter/fields.h"
#include "protocol/milter/packet.h"
#include "protocol/milter/reply.h"

enum default_action { DEFAULT_ACCEPT, DEFAULT_REJECT, DEFAULT_TEMPFAIL, DEFAULT_QUARANTINE };

struct settings {
    unsigned holders;
    struct config *cfg;
    struct arena *arena;
    struct config_introspection server; /* without places: no tokens are asked about */
    struct secret client_secret;        /* when cfg has none */
    struct buf authorities;
};

struct filter {
    struct program *program;
    struct settings *settings;
    struct peer *peers;
    struct map *connecting; /* number of the ask → struct link */
    struct map *calling;    /* the same → struct policy_line */
    uint64_t last_connect;
    struct map *introspecting; /* the same → struct token_ask */
    struct policy_line *lines;
    size_t line_count;
    struct token_ask *token_asks;
    size_t token_count;
    uint64_t tokens; /* answers about them */
    struct web *web;
    uint64_t policies; /* answers of policy servers */
    size_t visit_count;
    uint64_t messages, refusals, failures;
    int null_fd;
};

/* A program that asks: smtp, or directory. */
struct peer {
    struct filter *filter;
    struct peer *next, **link;
    struct channel *ch;
    struct map *visits; /* its number for a session → struct visit */
};

enum stage { STAGE_NONE, STAGE_MAIL, STAGE_RCPT, STAGE_MESSAGE };

enum link_event {
    EVENT_NEGOTIATE, EVENT_CONNECT, EVENT_HELO, EVENT_MAIL, EVENT_RCPT, EVENT_DATA, EVENT_HEADER,
    EVENT_HEADER_END, EVENT_BODY, EVENT_BODY_END, EVENT_NONE
};

/* A message as the filters so far have left it. */
struct message {
    struct arena *arena;
    int fd; /* -1: no message yet */
    uint64_t size, body_at;
    struct buf header; /* as it came */
    struct milter_fields fields;
    struct buf body; /* instead of the one in fd */
    bool body_changed;
    struct buf edits; /* of the envelope */
};

struct link {
    struct visit *visit;
    struct str place;
    struct conn *conn;
    uint64_t connect_id; /* the master is asked; 0: it is not */
    struct milter_terms terms;
    enum link_event event;    /* the one under way */
    bool waiting;        /* for its answer */
    bool in_message;     /* MAIL was said and its transaction has not ended */
    bool skip;           /* it wants no more of this message, or is broken */
    bool skip_session;
    enum filter_action refused; /* the whole session, for CONNECT or HELO */
    char refusal[500];
    struct str helo;     /* what it was told */
    size_t header_at;
    uint64_t body_read;
    bool body_replaced;  /* it has begun to */
    char body_last;      /* last octet of its new body */
};

struct visit {
    struct peer *peer;
    struct settings *settings;
    uint64_t session;
    struct arena *arena;
    struct str client, name, reverse, helo, tls_protocol, tls_cipher, login;
    uint16_t port;
    unsigned tls_bits;
    struct arena *mail_arena;
    struct str id, sender, rcpt;
    char quarantine[400]; /* empty: none */
    struct message message;
    enum stage stage;
    uint64_t ask_id;
    size_t at, links;
    struct link *link;
};

/* --- main.c --- */
void settings_drop(struct settings *s);

/* --- visit.c --- */
void visit_take(struct peer *p, struct msg *m);
void visit_free(void *visit);
/* A link is through with the ask. text: for FILTER_REPLY. */
void visit_link_done(struct visit *v, enum filter_action action, struct str text);
void visit_quarantine(struct visit *v, struct str reason);

/* --- message.c --- */
int message_open(struct message *m, int fd, uint64_t size, uint64_t skip, struct err *e);
void message_close(struct message *m);
/* Up to MILTER_CHUNK_MAX octets of the body as filters see it (CR LF), from *at on, which moves: 1;
 * 0 at the end; -1 with a temporary error. */
int message_body(const struct message *m, uint64_t *at, struct buf *out, struct err *e);
/* A sealed memfd with all that changed, -1 for nothing, -2 with a temporary error. */
int message_edits(const struct message *m, const char *quarantine, struct err *e);

/* --- link.c --- */
void link_run(struct link *l, enum stage stage);
void link_abort(struct link *l); /* its transaction ends here */
void link_free(struct link *l);
void link_connected(struct filter *f, struct msg *reply);
/* It cannot be used (any more): milter_default_action. */
void link_broken(struct link *l, const char *why);
void link_deadline(struct link *l);

/* --- events.c --- */
/* Says the event at hand, and those that follow while none is answered. */
void events_go(struct link *l);
void events_next(struct link *l);

/* --- policy.c --- */
void policy_take(struct peer *p, const struct msg_policy_ask *ask);
/* True: the connection was asked for here. */
bool policy_connected(struct filter *f, struct msg *m);
/* The peer is gone; NULL: all are. */
void policy_forget(struct filter *f, const struct peer *p);

/* --- token.c --- */
void token_take(struct peer *p, const struct msg_introspect_ask *ask);
/* True: the connection was asked for here. */
bool token_connected(struct filter *f, struct msg *m);
/* The peer is gone; NULL: all are. */
void token_forget(struct filter *f, const struct peer *p);

/* --- answers.c --- */
void answers_take(struct link *l, const struct milter_packet *p);

#endif
