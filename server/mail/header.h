/*
 * Header fields of a message in memory (RFC 5322 section 2.2), lines ending in LF or CR LF.
 *
 * Tolerant: a line without a colon is a field with an empty value, a continuation line at the very
 * start is a field of its own, a missing empty line means that everything is header. All views
 * point into the message. Nothing here allocates except where an arena or a buffer is asked for.
 */
#ifndef FACTEUR_MAIL_HEADER_H
#define FACTEUR_MAIL_HEADER_H

#include "base/mem.h"

/* Walks are bounded: what lies behind these is not looked at. */
#define MAIL_FIELDS_MAX 100000
#define MAIL_FIELD_VALUE_MAX (1024 * 1024) /* bytes of one field that structured parsers look at */

struct mail_field {
    struct str name;  /* no blanks before the colon; the whole line when there is no colon */
    struct str value; /* raw: behind the colon and its blanks, folds inside, last line end off */
    struct str whole; /* the field as it stands, with its last line end */
    bool colon;       /* there is a colon */
};

struct mail_header_walk {
    struct str rest;
    size_t count;
};

/* Bytes of the header with the empty line that ends it: where the body begins. All of the message
 * when there is no empty line. One that starts with an empty line has a header of that line. */
size_t mail_header_size(struct str message);

/* True when a header (mail_header_size bytes) ends with its empty line. */
bool mail_header_ends(struct str header);

/* Takes a message or a header; false at the empty line, the end, or past MAIL_FIELDS_MAX. */
struct mail_header_walk mail_header_walk(struct str message);
bool mail_header_next(struct mail_header_walk *w, struct mail_field *f);

/* The nth (0: first) field of this name, ASCII case ignored. */
bool mail_header_find(struct str message, struct str name, size_t nth, struct mail_field *f);
size_t mail_header_count(struct str message, struct str name);
/* True when there are more than MAIL_FIELDS_MAX fields, so that a walk does not see them all. */
bool mail_header_is_cut(struct str message);

/* A value without its line ends (RFC 5322 section 2.2.3); nothing else changes. The view itself
 * when it holds none. */
struct str mail_value_unfold(struct arena *a, struct str value);

/* Appends, with CR LF line ends, the fields whose name is (not: is not) among names and an empty
 * line (RFC 3501 section 6.4.5, HEADER.FIELDS and HEADER.FIELDS.NOT). 0, or -1 past the bound. */
int mail_header_select(struct buf *out, struct str message, const struct str *names, size_t count,
                       bool not);

#endif
