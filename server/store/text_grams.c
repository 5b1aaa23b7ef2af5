/*
 * Trigrams for FTS5, as its own tokenizer makes them of text that is casemapped already (three code points
 * each, every place of the text one), but each only once a message: the tables keep no positions, and
 * what FTS5 does with a token costs ten times what it takes to see that it was there before.
 */
#include "store/text_grams.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS = 13, SLOTS = 1 << SLOT_BITS, GRAM_BITS = 48, MESSAGES = 1 << (64 - GRAM_BITS) };

/* What the message at hand has. A trigram that another one drove out is told twice, which does no harm. */
struct grams {
    uint64_t *seen;   /* SLOTS of message << GRAM_BITS | trigram; NULL before the first message */
    uint64_t message; /* 1 to MESSAGES - 1 */
};

typedef int token_fn(void *ctx, int flags, const char *token, int n, int start, int end);

static int grams_create(void *ctx, const char **args, int count, Fts5Tokenizer **out)
{
    (void)ctx;
    (void)args;
    (void)count;
    *out = (Fts5Tokenizer *)MEM_NEW(struct grams);
    return SQLITE_OK;
}

static void grams_delete(Fts5Tokenizer *t)
{
    struct grams *g = (struct grams *)t;
    free(g->seen);
    free(g);
}

static void next_message(struct grams *g)
{
    if (!g->seen)
        g->seen = mem_array(SLOTS, sizeof *g->seen);
    if (++g->message == MESSAGES) {
        memset(g->seen, 0, SLOTS * sizeof *g->seen);
        g->message = 1;
    }
}

/* Those of more bytes are taken for new. No text has a NUL, so that the length is in the number. */
static bool is_new(struct grams *g, const char *p, size_t n)
{
    uint64_t gram = 0;
    if (n > GRAM_BITS / 8)
        return true;
    for (size_t i = 0; i < n; i++)
        gram = gram << 8 | (unsigned char)p[i];
    size_t slot = (size_t)(gram * 0x9e3779b97f4a7c15u >> (64 - SLOT_BITS));
    gram |= g->message << GRAM_BITS;
    if (g->seen[slot] == gram)
        return false;
    g->seen[slot] = gram;
    return true;
}

static int char_end(const char *text, int n, int at)
{
    for (at++; at < n && ((unsigned char)text[at] & 0xc0) == 0x80;)
        at++;
    return at;
}

static int grams_tokenize(Fts5Tokenizer *t, void *ctx, int flags, const char *text, int n, token_fn *tell)
{
    struct grams *g = (struct grams *)t;
    bool once = flags & FTS5_TOKENIZE_DOCUMENT;
    int start = 0, second, third;
    if (n <= 0)
        return SQLITE_OK;
    if (once)
        next_message(g);
    second = char_end(text, n, start);
    third = char_end(text, n, second);
    while (third < n) {
        int end = char_end(text, n, third);
        if (!once || is_new(g, text + start, (size_t)(end - start))) {
            int r = tell(ctx, 0, text + start, end - start, start, end);
            if (r != SQLITE_OK)
                return r;
        }
        start = second;
        second = third;
        third = end;
    }
    return SQLITE_OK;
}

int text_grams_register(sqlite3 *db)
{
    fts5_tokenizer grams = {grams_create, grams_delete, grams_tokenize};
    fts5_api *api = NULL;
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &st, NULL) == SQLITE_OK) {
        sqlite3_bind_pointer(st, 1, &api, "fts5_api_ptr", NULL);
        sqlite3_step(st);
    }
    sqlite3_finalize(st);
    if (!api || api->xCreateTokenizer(api, TEXT_GRAMS, NULL, &grams, NULL) != SQLITE_OK)
        return -1;
    return 0;
}
