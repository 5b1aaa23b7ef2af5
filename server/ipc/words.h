/*
 * Words in the lines of the control socket, with blanks between them: what would end a word or the
 * line stands in it as %XX, and "%" alone is the empty word.
 */
#ifndef FACTEUR_IPC_WORDS_H
#define FACTEUR_IPC_WORDS_H

#include "base/mem.h"

/* Appends a blank and the word for these bytes. */
void words_put(struct buf *out, struct str s);
/* Appends the bytes that the word stands for: 0, or -1 where it is none; out may have a part then. */
int words_get(struct str word, struct buf *out);

#endif
