/*
 * The access program: IMAP before login, and the relay between TLS and the session after it.
 *
 * It runs under its own uid in an empty root, knows no mailbox and no directory; what it may start
 * is bound to the grant that the directory gave for a good password. Passwords pass through its
 * memory and are wiped. RFC 3501 sections 6.1 and 6.2, RFC 4959, RFC 2971.
 */
#ifndef FACTEUR_ACCESS_ACCESS_H
#define FACTEUR_ACCESS_ACCESS_H

#include "base/map.h"
#include "io/conn.h"
#include "ipc/counters.h"
#include "ipc/program.h"
#include "ipc/rpc.h"
#include "protocol/imap/reader.h"
#include "protocol/sasl/sasl.h"

/* What a configuration means for new clients; clients keep the one they came under. */
struct access_settings {
    unsigned holders;
    struct config *cfg;
    struct tls_server *tls;
};

struct access {
    struct program *program;
    struct access_settings *settings;
    struct rpc *directory;
    struct counters *counters;
    unsigned row;
    struct map *listeners;  /* number → struct access_listener */
    struct map *waiting;    /* id of a session_ask → struct client */
    uint64_t last_ask;
    unsigned logging_in, relaying; /* clients */
    uint64_t logins, failures;
};

enum client_state {
    CLIENT_TALKS,    /* reads commands */
    CLIENT_SASL,     /* inside AUTHENTICATE */
    CLIENT_CHECKING, /* the directory is asked */
    CLIENT_WAITS,    /* a failed login is answered later */
    CLIENT_STARTING, /* the master makes the session */
    CLIENT_RELAYED,  /* the session speaks */
};

struct client {
    struct access *access;
    struct access_settings *settings;
    enum service service;
    enum client_state state;
    struct conn *conn;
    struct conn *session;      /* CLIENT_RELAYED */
    struct imap_reader reader;
    struct sasl sasl;          /* CLIENT_SASL */
    char tag[128];             /* of the login under way */
    char id[20];               /* for the log */
    struct grant grant;        /* CLIENT_STARTING */
    uint64_t ask;              /* rpc id (CHECKING) or session_ask id (STARTING) */
    struct event *delay;       /* CLIENT_WAITS */
    const char *late_reply;    /* what is said then, after the tag */
    unsigned errors;           /* bad commands and failed logins */
    bool counted;
};

/* --- main.c --- */
void access_settings_drop(struct access_settings *s);

/* --- client.c --- */
void client_accept(struct access *a, enum service service, int fd);
/* Ends the client: everything it holds is freed, its socket closed after the output has left. */
void client_end(struct client *c);
/* Says "* BYE text" and ends. */
void client_bye(struct client *c, const char *text);
/* Reads on after an answer. */
void client_continue(struct client *c);
/* Input has come, or may be waiting. */
void client_read(struct client *c);

/* --- imap.c: the dialogue before login --- */
void imap_greet(struct client *c);
/* One command; the reader is advanced by the caller. False when the client has ended. */
bool imap_command(struct client *c, struct imap_line *line);
/* One line inside AUTHENTICATE. */
bool imap_sasl_line(struct client *c, struct str line);

/* --- login.c --- */
/* Asks the directory; the client must not be read meanwhile. password is not kept. */
void login_start(struct client *c, struct str user, struct str password);
void login_session_reply(struct access *a, struct msg *m);
void login_cancel(struct client *c);

/* --- relay.c --- */
/* The session is there: hands it the tag and what the client has sent already. Takes fd. */
void relay_start(struct client *c, int fd);

#endif
