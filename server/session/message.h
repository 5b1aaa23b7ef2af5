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
    bool open;
    size_t size;            /* of the file */
    struct str raw;         /* what is read so far */
    bool whole;             /* that is all of it */
    bool mapped;
    struct buf memory;
    struct buf usual;       /* the usual fields, once asked for */
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

/* The fields that clients ask for again and again, and that SEARCH, SORT and THREAD need: as they stand
 * in the message, in their order, with the empty line if the header has one. Taken from the index where it has
 * them, and then the message is not opened. m is zeroed or at hand, *fields is good until it is closed.
 * 0; 1 when the message is gone; -1 and *e. */
int message_usual_fields(struct message *m, struct store_mailbox *mb, size_t index,
                         struct str *fields, struct err *e);
/* Is a field of this name among them? */
bool message_field_is_usual(struct str name);
/* The MIME tree; all must have been read. Lives in the arena. */
const struct mail_part *message_mime(struct message *m, struct arena *a);

#endif
