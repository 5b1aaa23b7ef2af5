/*
 * session: IMAP or POP3 after login, one process a session, plain blocking code.
 *
 * Runs as the owner of the mailbox (the caller has dropped all rights before) and touches nothing
 * but the maildir and its two descriptors. Alone on standard input and output (main.c), or in a
 * child of the warmed parent.
 */
#ifndef FACTEUR_SESSION_SESSION_H
#define FACTEUR_SESSION_SESSION_H

#include "base/mem.h"

struct session_settings {
    struct str user;            /* login name, for the log */
    struct str id, client;      /* the connection and who is at its other end, for the log; may be empty */
    int maildir_fd;             /* the maildir's root, borrowed */
    bool preauth;               /* greet with PREAUTH, do not expect the preamble */
    uint64_t message_size_limit; /* bytes of one APPEND; 0: no bound */
    uint64_t quota_bytes;       /* bytes of mail on disk; 0: no bound */
    size_t keyword_length_max;  /* bytes of a keyword (mail_max_keyword_length) */
    int64_t idle_notify_ms;     /* a sign of life in IDLE (imap_idle_notify_interval) */
    int64_t inactivity_ms;      /* silence that ends the session, at least 30 min (RFC 3501 5.4) */
    int64_t write_ms;           /* a client that takes nothing for so long is gone */
    int64_t rest_ms;            /* silence after which memory is given back */
    int state_fd;               /* a file for the session's state, from which another process could go on; -1 */
    bool resume;                /* go on from what lies in state_fd */
    bool fts;                   /* keep a text index for SEARCH BODY and TEXT */
    int64_t poll_ms;            /* how often IDLE looks where inotify cannot be had */
};

/* The defaults; user, client and maildir_fd are the caller's to fill in. */
void session_settings_default(struct session_settings *s);

/*
 * Holds one IMAP session on in_fd and out_fd (they may be the same) and returns the exit status: 0
 * after LOGOUT or the client's end, 1 when it had to give up.
 *
 * Unless preauth is set, the first line read is "TAG" CR LF, the tag of the command that logged in;
 * it is answered with "TAG OK [CAPABILITY ...] Logged in". What follows are the client's commands.
 */
int session_main_imap(int in_fd, int out_fd, const struct session_settings *settings);

/*
 * The same for one POP3 session on INBOX. The preamble is an empty line, or "UTF8" when the client said
 * so before login; the answer is "+OK Logged in.", or -ERR and the end. inactivity_ms: at least 10 min
 * (RFC 1939 section 3). 1 is returned also when a message could not be read to its end.
 */
int session_main_pop3(int in_fd, int out_fd, const struct session_settings *settings);

#endif
