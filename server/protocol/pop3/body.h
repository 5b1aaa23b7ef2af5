/*
 * pop3/body: a message as RETR and TOP send it (RFC 1939 sections 3, 5 and 7).
 *
 * Pure, in pieces of any size: lines end with CR LF whatever they ended with on disk, a dot at the
 * start of a line is doubled, and a line of one dot ends it all. The octets counted for LIST are
 * those of the lines, without the doubled dots.
 */
#ifndef FACTEUR_POP3_BODY_H
#define FACTEUR_POP3_BODY_H

#include "base/mem.h"

#define POP3_LINES_ALL UINT64_MAX

struct pop3_body {
    uint64_t lines_left; /* of the body */
    bool in_header;
    bool in_line;        /* an octet of the line was sent */
    bool cr;             /* the last octet was CR */
    bool only_cr;        /* the line so far is one CR: it may be the header's end */
};

/* lines: of the body behind the header (TOP), or POP3_LINES_ALL. */
void pop3_body_init(struct pop3_body *w, uint64_t lines);
/* Appends a piece of the message, as it is on disk, to out. False when all that is wanted is there. */
bool pop3_body_write(struct pop3_body *w, struct str piece, struct buf *out);
/* Ends the last line where it was cut, and the answer. */
void pop3_body_end(struct pop3_body *w, struct buf *out);

#endif
