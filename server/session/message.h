/*
 * session/message: the bytes of one message, read no further than needed.
 *
 * Small files are read into memory; large ones are mapped, so that they cost no copy. A mapped file
 * that is cut short by somebody else reads as zeros there instead of ending the session.
 */
#ifndef FACTEUR_SESSION_MESSAGE_H
#define FACTEUR_SESSION_MESSAGE_H

#include "mail/mime.h"
#include "store/mailbox.h"

struct message {
    int fd;
    size_t size;            /* of the file */
    struct str raw;         /* what is read so far */
    bool whole;             /* that is all of it */
    bool mapped;
    struct buf memory;
    struct mail_part *mime; /* when asked for */
};

/* Opens message index of the mailbox. 0; 1 when it is gone; -1 and *e. One at a time in a process.
 * The caller closes it, also after a failure; zero it before. */
int message_open(struct message *m, struct store_mailbox *mb, size_t index, struct err *e);
void message_close(struct message *m);

/* Makes at least the header known, or all of it. 0, or -1 and *e. */
int message_read_header(struct message *m, struct err *e);
int message_read_all(struct message *m, struct err *e);

struct str message_header(const struct message *m);
/* The MIME tree; all must have been read. Lives in the arena. */
const struct mail_part *message_mime(struct message *m, struct arena *a);

#endif
