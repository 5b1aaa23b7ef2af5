/*
 * sendmail, mailq, newaliases: what cron, PHP, mail(1) and scripts call to send. A plain SMTP client
 * without any right of its own: it takes the message from standard input and gives it to the SMTP
 * port of this machine, with the rules of any client of 127.0.0.1. Nothing is setuid, no file of the
 * queue is open to anybody, and a message is either taken by the server or the caller hears why not.
 */
#ifndef FACTEUR_SENDMAIL_SENDMAIL_H
#define FACTEUR_SENDMAIL_SENDMAIL_H

#include "base/err.h"
#include "base/mem.h"
#include "protocol/smtp/dsn.h"
#include "protocol/smtp/reply.h"

#define MESSAGE_MAX ((size_t)1 << 30)

struct envelope {
    struct arena *arena;
    struct str sender;      /* may lack its domain */
    bool null_sender;       /* -f <> */
    struct str name;        /* for From */
    struct str *to;
    size_t n;
    unsigned notify;
    struct str ret, envid;
};

/* --- message.c --- */
void envelope_add(struct envelope *v, struct str address);
/* Takes -t's recipients out of the header (and Bcc away), or gives -1. */
int message_recipients(struct str message, struct envelope *v, struct err *e);
/* The message as it is sent: what the header lacks is added, Bcc is left out, and lines end in CR
 * LF with dots doubled. host: the server's name. */
void message_print(struct str message, const struct envelope *v, struct str host, struct buf *out);

/* --- talk.c: exit statuses are those of sysexits.h --- */
int talk_connect(struct err *e); /* the descriptor, or -1 */
int talk_send(int fd, struct envelope *v, struct str message);
int talk_through(int fd); /* -bs: standard input and output are the session */

#endif
