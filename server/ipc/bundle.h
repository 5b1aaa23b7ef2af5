/*
 * A bundle: named pieces of bytes in one sealed memfd. The master reads files and hands a program
 * in an empty root what it needs this way: its options ("facteur.conf"), certificates and keys
 * ("tls:NAME", NAME a domain pattern or empty; the same name may occur several times), LDAP table
 * files ("map:PATH"), the directory password inside the options.
 */
#ifndef FACTEUR_IPC_BUNDLE_H
#define FACTEUR_IPC_BUNDLE_H

#include "base/err.h"
#include "base/mem.h"

struct bundle {
    const char *p; /* the mapping */
    size_t n;
};

/* Appends one piece to a bundle being made. */
void bundle_add(struct buf *b, struct str name, struct str bytes);
/* A sealed memfd with the pieces, or -1 and errno. */
int bundle_memfd(const struct buf *b);

/* Maps the bundle in fd (which may be closed then): 0, or -1 and a permanent error. */
int bundle_open(int fd, struct bundle *b, struct err *e);
void bundle_close(struct bundle *b);

/* Walks the pieces: start with *at = 0; false at the end. Views into the mapping. */
bool bundle_next(const struct bundle *b, size_t *at, struct str *name, struct str *bytes);
/* The first piece with that name. */
bool bundle_get(const struct bundle *b, struct str name, struct str *bytes);

#endif
