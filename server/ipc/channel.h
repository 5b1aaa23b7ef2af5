/*
 * A channel: one SOCK_SEQPACKET socket to one other program, whose kind was fixed when the master
 * made it. Two ways of use: event-driven (struct channel) and blocking (channel_send_now,
 * channel_recv_now).
 *
 * Descriptors: sending never takes ownership of msg.fd; a received one belongs to the handler
 * (take it by setting msg->fd to -1), else it is closed after the handler returns. Where none was left for
 * one that came with a reply, the handler is given MSG_unread with its id instead; who asked with one hears
 * MSG_unread. Received bytes are wiped after the handler, for some of them are passwords.
 */
#ifndef FACTEUR_IPC_CHANNEL_H
#define FACTEUR_IPC_CHANNEL_H

#include "ipc/message.h"

#include <event2/event.h>

struct channel;

struct channel_ops {
    void (*on_message)(struct channel *ch, void *arg, struct msg *m);
    /* The peer is gone or spoke nonsense (then it was logged). Free the channel in here or later. */
    void (*on_close)(struct channel *ch, void *arg);
};

/* Takes ownership of fd (made non-blocking). self and peer are programs: SMTP, DIRECTORY, … */
struct channel *channel_new(struct event_base *base, int fd, unsigned self, unsigned peer,
                            const struct channel_ops *ops, void *arg);
void channel_free(struct channel *ch); /* safe inside its own callbacks; NULL is fine */

/* Sends or queues. A message that cannot be encoded is our own mistake: logged and -1. Without
 * descriptors to keep its own in until the peer has room: -1. A dead channel returns -1 too;
 * on_close follows from the event loop. */
int channel_send(struct channel *ch, const struct msg *m);

/* The peer spoke nonsense, as its reader found: no more is read or sent, and on_close is called. */
void channel_fail(struct channel *ch);

unsigned channel_peer(const struct channel *ch);
const char *program_name(unsigned program); /* "smtp", "directory", … */

/* --- blocking --- */
int channel_send_now(int fd, const struct msg *m, struct err *e);
/* Waits at most timeout_ms (-1: for ever). Views in *m point into buf, lists into arena; m->fd is
 * the caller's. 1: a message; 0: the peer closed; -1: error or time is up. */
int channel_recv_now(int fd, unsigned from, unsigned self, int timeout_ms, struct buf *buf,
                     struct arena *arena, struct msg *m, struct err *e);

/* A connected pair, both close-on-exec: 0, else -1 and errno. */
int channel_pair(int fds[2]);

#endif
