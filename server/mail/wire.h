/*
 * A stored message as IMAP and POP3 send it: every line end as CR LF (RFC 3501 section 2.3.4).
 *
 * LF becomes CR LF, CR LF stays, a bare CR stays a bare CR. The reader goes forward only and can
 * stop at any wire byte, also between CR and LF.
 */
#ifndef FACTEUR_MAIL_WIRE_H
#define FACTEUR_MAIL_WIRE_H

#include "base/mem.h"

struct mail_wire {
    struct str raw;
    size_t at;   /* next physical byte */
    bool lf_due; /* the CR of a bare LF was given, the LF comes next */
};

struct mail_wire mail_wire_open(struct str raw);
/* Skips n wire bytes; returns how many there were (fewer at the end). */
uint64_t mail_wire_skip(struct mail_wire *w, uint64_t n);
/* Fills p with up to n wire bytes; 0 at the end. */
size_t mail_wire_read(struct mail_wire *w, char *p, size_t n);
/* Wire bytes and line ends of a view. */
uint64_t mail_wire_size(struct str raw, uint32_t *lines);
/* Appends the whole view; 0, or -1 past the bound. */
int mail_wire_add(struct buf *out, struct str raw);

#endif
