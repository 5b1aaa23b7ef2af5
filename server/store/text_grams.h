/* The tokenizer of the text index: the trigrams of a text, each once. */
#ifndef FACTEUR_STORE_TEXT_GRAMS_H
#define FACTEUR_STORE_TEXT_GRAMS_H

#include <sqlite3.h>

/* The name by which a table's tokenize option knows it. */
#define TEXT_GRAMS "facteur_grams"

/* Makes it known to FTS5 in this connection. 0; -1: this SQLite has no FTS5, or no memory. */
int text_grams_register(sqlite3 *db);

#endif
