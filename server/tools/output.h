/* What commands print: JSON strings, and the trace lines of the directory program. */
#ifndef FACTEUR_TOOLS_OUTPUT_H
#define FACTEUR_TOOLS_OUTPUT_H

#include "base/mem.h"

/* A JSON string with its quotes (RFC 8259 section 7); bytes that are no UTF-8 become U+FFFD. */
void output_json(struct buf *out, struct str s);
/* ,"key":"value", without the comma after a "{"; nothing for a value that is not there. */
void output_json_pair(struct buf *out, const char *key, struct str value);

/* The kind at the start of a line of directory/trace.h, and then its pairs with their values
 * unescaped (in the arena). */
struct str output_kind(struct str *line);
bool output_pair(struct arena *a, struct str *line, struct str *key, struct str *value);

#endif
