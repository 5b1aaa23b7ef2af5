/*
 * A stored message (lines ended by LF) on its way to the wire: CR LF line ends, dots doubled
 * (RFC 5321 section 4.5.2), and what must be known before MAIL: its size there, and 8-bit bytes.
 */
#ifndef FACTEUR_RELAY_SOURCE_H
#define FACTEUR_RELAY_SOURCE_H

#include "base/err.h"
#include "base/mem.h"

struct source {
    int fd; /* the caller's */
    uint64_t size;
    uint64_t wire_size;   /* with CR LF, without doubled dots (RFC 1870 section 5) */
    bool eight_bit;       /* bytes over 0x7f anywhere */
    bool eight_bit_head;  /* in the header */
    uint64_t at;          /* the next byte to send */
    char last;            /* the last byte sent, '\n' at the start */
    bool bare;            /* for BDAT: no doubled dots, no dot at the end */
};

/* Looks through the whole file: 0, or -1 with a temporary error. */
int source_open(struct source *s, int fd, uint64_t size, struct err *e);
void source_rewind(struct source *s);

/* Appends the next piece in wire form. 1: there is more; 0: that was all, with ".\r\n" behind it
 * unless it is bare; -1: a temporary error. */
int source_read(struct source *s, struct buf *out, struct err *e);

#endif
