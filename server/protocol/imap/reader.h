/*
 * imap/reader: cuts the bytes of an IMAP client into commands (RFC 3501 2.2, RFC 7888).
 *
 * Feed it what has arrived; it says whether it needs more, wants a continuation sent, or holds one
 * whole command with its literals. It may be stopped and resumed at any byte, and it never holds
 * more than its limits allow: what is too long is skipped, not kept. The message literal of APPEND
 * is not kept either but handed to the caller piece by piece.
 *
 * The reader owns the command's bytes; everything parsed from them is a view that lives until
 * imap_reader_next(). They are wiped there, since LOGIN carries a password, and the buffer never
 * moves while a command grows when limits.fixed is set.
 */
#ifndef FACTEUR_IMAP_READER_H
#define FACTEUR_IMAP_READER_H

#include "base/mem.h"
#include "protocol/imap/cursor.h"

enum imap_event {
    IMAP_MORE,    /* everything was eaten and more is needed */
    IMAP_LITERAL, /* a synchronising literal is announced: send "+ ..." and go on feeding */
    IMAP_MESSAGE, /* the message of APPEND or REPLACE, r->literal bytes, begins: see below */
    IMAP_COMMAND, /* *line is one command; call imap_reader_next() when done with it */
    IMAP_WRONG,   /* no command: r->wrong says why, line->tag may be empty; then imap_reader_next() */
};

/* One command line: name is the first word ("UID" for UID FETCH), args stands right behind it (on
 * a space or at the end). */
struct imap_line {
    struct str tag;
    struct str name;
    struct imap_cursor args;
};

struct imap_reader {
    const struct imap_limits *limits; /* the caller's, stays valid */
    struct buf cmd;
    size_t segment;       /* where the text after the last literal begins in cmd */
    size_t text;          /* bytes of cmd that are not literals */
    uint64_t literal;     /* size of the literal at hand */
    uint64_t left;        /* bytes of it still to come */
    bool sync;            /* the client waits for a continuation before it sends it */
    bool binary;          /* literal8 (RFC 3516): NUL is allowed in it */
    bool plain;           /* the line at hand is not a command */
    bool more;            /* a message of this APPEND was taken */
    bool lost;            /* a literal of absurd size comes unasked: where the next command begins cannot
                             be known. Answer, and close; all that follows is thrown away */
    size_t head;          /* where the arguments of this APPEND begin in cmd */
    int state;
    const char *wrong;    /* text for BAD */
    char tail[32];        /* last bytes of a line that is skipped */
    size_t tail_n;
};

void imap_reader_init(struct imap_reader *r, const struct imap_limits *limits);
void imap_reader_free(struct imap_reader *r);

/* Eats from the front of *in until something is to be said. */
enum imap_event imap_reader_feed(struct imap_reader *r, struct str *in, struct imap_line *line);

/* Forgets (and wipes) the command; the reader awaits the next one. */
void imap_reader_next(struct imap_reader *r);

/* Call before the first byte of a line that is not a command: IDLE's DONE, a response to an
 * AUTHENTICATE challenge. It arrives as IMAP_COMMAND with empty tag and name, args the whole line
 * without its line end. Literals are not known in it. imap_reader_next() ends this. */
void imap_reader_plain(struct imap_reader *r);

/* After IMAP_MESSAGE: the next piece of the message from *in (a view into it, eaten). True while
 * the message is not complete; then go on with imap_reader_feed(), which gives IMAP_COMMAND whose
 * args are what follows the message, or another IMAP_MESSAGE (RFC 3502). Views parsed from the
 * arguments before the message (tag and name too) are gone by then. */
bool imap_reader_message(struct imap_reader *r, struct str *in, struct str *piece);

/* After IMAP_LITERAL or IMAP_MESSAGE, instead of taking it: the command was answered. A client that
 * waits sends nothing more of it; otherwise its rest is skipped silently. Views into the command
 * are gone. */
void imap_reader_refuse(struct imap_reader *r);

/* True between IMAP_MESSAGE and the end of that message. */
bool imap_reader_at_message(const struct imap_reader *r);

/* True when no byte of a command has arrived yet. */
bool imap_reader_idle(const struct imap_reader *r);

#endif
