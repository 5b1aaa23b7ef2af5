/*
 * The header of a message as a list that filters change, field by field. Lines end with LF. What is
 * put in is made fit first: a value cannot end the header or begin another field.
 */
#ifndef FACTEUR_PROTOCOL_MILTER_FIELDS_H
#define FACTEUR_PROTOCOL_MILTER_FIELDS_H

#include "base/err.h"
#include "base/mem.h"

#define MILTER_FIELDS_SIZE_MAX (2 * 1024 * 1024) /* octets of a header that filters made */

struct milter_field {
    struct str name;  /* empty: a line that is no field; filters are not shown it */
    struct str value; /* behind the colon, with its blanks; folds inside; no last line end */
};

struct milter_fields {
    struct arena *arena; /* what is added lies there; the rest are views of the message */
    struct milter_field *v;
    size_t n, cap;
    size_t size;
    bool changed;
};

/* Views of the header stay in use until the list is freed. */
void milter_fields_read(struct milter_fields *f, struct arena *a, struct str header);
void milter_fields_free(struct milter_fields *f);

/* spaced: the value brings the blank behind the colon along. All: 0, or -1 with a permanent error
 * for a name that is none, or past MILTER_FIELDS_SIZE_MAX. */
int milter_fields_add(struct milter_fields *f, struct str name, struct str value, bool spaced,
                      struct err *e);
/* Before the field that now is number index (0: the first). */
int milter_fields_insert(struct milter_fields *f, uint32_t index, struct str name,
                         struct str value, bool spaced, struct err *e);
/* The index-th (1: the first) of that name; an empty value deletes it; one that is not there is
 * added. */
int milter_fields_change(struct milter_fields *f, uint32_t index, struct str name,
                         struct str value, bool spaced, struct err *e);

/* Appends the header without the empty line that ends it. */
void milter_fields_print(const struct milter_fields *f, struct buf *out);

#endif
