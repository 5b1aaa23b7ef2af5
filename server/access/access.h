/*
 * The access program: IMAP and POP3 before login, the relay between TLS and the session after it.
 *
 * It runs under its own uid in an empty root, knows no mailbox and no directory; what it may start
 * is bound to the grant that the directory gave for a good password. Passwords pass through its
 * memory and are wiped. client.c is what both protocols share, struct access_protocol the rest.
 */
#ifndef FACTEUR_ACCESS_ACCESS_H
#define FACTEUR_ACCESS_ACCESS_H

#include "base/map.h"
#include "io/conn.h"
#include "ipc/front.h"
#include "ipc/program.h"
#include "ipc/relayed.h"
#include "ipc/rpc.h"
#include "protocol/imap/reader.h"
#include "protocol/pop3/reader.h"
#include "protocol/sasl/sasl.h"

struct access {
    struct program *program;
    struct front front;
    struct rpc *directory;
    struct map *waiting;    /* id of a session_ask → struct client */
    uint64_t last_ask, last_exchange;
    struct client *clients; /* all of them, a list */
    char *room;             /* what passes from sessions to clients, one piece at a time */
    bool stopping;
    unsigned logging_in, relaying; /* clients */
    uint64_t logins, failures;
};

enum client_state {
    CLIENT_TALKS,    /* reads commands */
    CLIENT_SASL,     /* inside AUTHENTICATE or AUTH */
    CLIENT_CHECKING, /* the directory is asked */
    CLIENT_WAITS,    /* a failed login is answered later */
    CLIENT_STARTING, /* the master makes the session */
    CLIENT_RELAYED,  /* the session speaks */
};

/* How a login ends without a session. */
enum login_end {
    LOGIN_WRONG,      /* no such user, or not this password */
    LOGIN_FORBIDDEN,
    LOGIN_CANNOT_SAY, /* the directory does not answer */
    LOGIN_NO_SESSION, /* the mailbox cannot be opened now */
    LOGIN_TOO_MANY,   /* sessions of this user */
};

struct client;

/* What IMAP and POP3 do differently before login. */
struct access_protocol {
    const char *bye;   /* stands before the text that ends a connection */
    const char *limit; /* and before one that turns a client away because there are too many */
    void (*start)(struct client *c);
    void (*greet)(struct client *c);
    /* Eats from the front of *in. True: something is there to handle; else all was eaten. */
    bool (*feed)(struct client *c, struct str *in);
    /* What feed has found. False when the client has ended. */
    bool (*handle)(struct client *c);
    void (*refuse)(struct client *c, enum login_end why);
    /* Says that AUTHENTICATE or AUTH ends without a login: cancelled, or what c->sasl.wrong says. */
    void (*sasl_failed)(struct client *c, enum sasl_event event);
    /* The first line for the session, without its end. */
    const char *(*preamble)(const struct client *c);
    void (*free)(struct client *c); /* the reader and what was read; safe to call again */
};

struct imap_client {
    struct imap_reader reader;
    enum imap_event event;
    struct imap_line line;
    char tag[128]; /* of the login under way */
};

struct pop3_client {
    struct pop3_reader reader;
    enum pop3_event event;
    struct str line;
    char user[POP3_LINE_MAX]; /* what USER said; empty: nothing */
    bool utf8;                /* the client said UTF8 (RFC 6856) */
};

struct client {
    struct access *access;
    struct client *prev, *next;
    struct front_settings *settings;
    const struct access_protocol *protocol;
    enum service service;
    enum client_state state;
    struct conn *conn;
    struct conn *session;      /* CLIENT_RELAYED */
    union {
        struct imap_client imap;
        struct pop3_client pop3;
    };
    struct sasl sasl;          /* CLIENT_SASL */
    char id[20];               /* for the log */
    struct relayed relayed;    /* the exchange that it stands for, if any */
    struct grant grant;        /* CLIENT_STARTING */
    uint64_t ask;              /* rpc id (CHECKING) or session_ask id (STARTING) */
    struct event *delay;       /* CLIENT_WAITS */
    enum login_end late;       /* what is said then */
    enum auth_state why;       /* what the directory knows besides */
    struct rates_guess guess;  /* at a password, being checked */
    unsigned errors;           /* bad commands and failed logins */
    bool counted;              /* among those of its address that have not logged in */
    bool backlog;              /* too much output waits */
};

/* --- main.c --- */
/* A client has ended. */
void access_client_ended(struct access *a);

/* --- client.c --- */
/* from: who it is, where the socket's peer is a load balancer; else NULL. */
void client_accept(struct access *a, enum service service, int fd, const struct addr *from);
/* Ends the client: everything it holds is freed, its socket closed after the output has left. */
void client_end(struct client *c);
/* It has logged in: its address has one less that has not. */
void client_uncount(struct client *c);
/* Says the text and ends. */
void client_bye(struct client *c, const char *text);
/* The program is asked to end: so do those who are not logged in. The others wait for their sessions, which
 * were asked too, to say goodbye. */
void client_stop_all(struct access *a);
/* Reads on after an answer. */
void client_continue(struct client *c);
/* TLS can be started now. */
bool client_can_start_tls(const struct client *c);
/* Says go, in the protocol's words, and starts TLS. A client that has sent more already has ended
 * (RFC 9051 section 6.2.1, RFC 2595 section 4): false. */
bool client_start_tls(struct client *c, const char *go);

/* --- imap.c, pop3.c: the dialogues before login --- */
extern const struct access_protocol imap_protocol, pop3_protocol;

/* --- login.c --- */
/* Asks the directory; the client must not be read meanwhile. password is not kept. */
void login_start(struct client *c, struct str user, struct str password);
/* On with what SASL said: the next challenge, the login, or the end of it. */
void login_sasl(struct client *c, enum sasl_event event);
/* Begins AUTHENTICATE or AUTH. */
enum sasl_event login_begin(struct client *c, struct str mechanism, const struct str *initial);
/* A relayed exchange is given up, if there is one. */
void login_relay_end(struct client *c);
void login_session_reply(struct access *a, struct msg *m);
void login_cancel(struct client *c);

/* --- relay.c --- */
/* The session is there: hands it the preamble and what the client has sent already. Takes fd. */
void relay_start(struct client *c, int fd);

#endif
