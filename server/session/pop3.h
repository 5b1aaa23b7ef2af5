/*
 * session/pop3: what the parts of a POP3 session share (RFC 1939, transaction and update state).
 *
 * The maildrop is what INBOX held at login: message n stands at index n - 1 of the mailbox's view,
 * which is never synchronised with expunging, so that numbers stay and newcomers stay out. Messages
 * that vanish meanwhile are missing for themselves only. Nothing is removed or marked but by QUIT.
 */
#ifndef FACTEUR_SESSION_POP3_H
#define FACTEUR_SESSION_POP3_H

#include "base/err.h"
#include "protocol/pop3/command.h"
#include "protocol/pop3/reader.h"
#include "session/output.h"
#include "session/session.h"
#include "store/mailbox.h"

struct pop3_message {
    bool deleted; /* DELE */
    bool read;    /* RETR: gets \Seen at QUIT, as Dovecot has it */
    bool gone;    /* somebody else removed it */
};

struct pop3_session {
    const struct session_settings *settings;
    int in_fd;
    struct buf in;
    struct output out;
    struct pop3_reader reader;
    int lock_fd;                   /* -1: not held */
    struct store_mailbox *mailbox;
    struct store_index *index;
    struct pop3_message *message;
    uint32_t count;
    bool kept_known;
    struct store_uidlist kept;     /* unique-ids of another server; empty when there are none */
    unsigned wrong;                /* bad commands in a row */
    uint64_t commands, bytes_in, retrieved, deleted; /* for the log */
    bool done;
    int status;                    /* exit status */
};

/* --- pop3.c --- */
/* "-ERR [SYS/TEMP] ..." (RFC 3206 section 4), and a log line. */
void pop3_reply_error(struct pop3_session *s, const struct err *e);
/* The message of a command, or NULL with the reply sent. */
struct pop3_message *pop3_find(struct pop3_session *s, uint32_t number);
/* Its octets: 0; 1 when it is gone (and marked so); -1 and *e. */
int pop3_size(struct pop3_session *s, uint32_t number, uint64_t *octets, struct err *e);

/* --- pop3_lock.c --- */
/* One POP3 session a maildrop (RFC 1939 section 4). 0; 1 when another one holds it; -1 and *e. The
 * lock ends with the process. */
int pop3_lock(struct pop3_session *s, struct err *e);
void pop3_unlock(struct pop3_session *s);

/* --- pop3_commands.c --- */
void pop3_run(struct pop3_session *s, const struct pop3_command *c);

/* --- pop3_send.c: RETR and TOP --- */
void pop3_send(struct pop3_session *s, const struct pop3_command *c);

/* --- pop3_update.c --- */
/* The update state: removes what DELE marked, durably. 0, or -1 when something is still there. */
int pop3_update(struct pop3_session *s);
/* Marks what was read, as far as possible. */
void pop3_mark_read(struct pop3_session *s);

#endif
