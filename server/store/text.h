/*
 * The text index: trigrams of the messages' text, one SQLite database a user beside the other index.
 *
 * It narrows a search for a piece of text down to the messages that can have it; whoever asks looks
 * into those. The file is <maildir>/facteur.text.sqlite, 0600, a cache like the other: removing it
 * changes nothing but speed, a damaged one is removed and made anew, and -1 always means "not now" and
 * is no error for a session. Folders are known by their GUID and UIDVALIDITY, messages by UID and a
 * hash of their base name. Several sessions may use it at once. Runs as the owner.
 */
#ifndef FACTEUR_STORE_TEXT_H
#define FACTEUR_STORE_TEXT_H

#include "store/fs.h"

struct store_text;

enum { STORE_TEXT_HEAD = 1, STORE_TEXT_BODY = 2 };
/* Code points of the shortest piece of text that the index can look for. */
#define STORE_TEXT_NEEDLE_MIN 3

/* One for a session; the database is opened at its first use. root_fd must stay open. */
struct store_text *store_text_new(int root_fd);
void store_text_free(struct store_text *t); /* NULL is fine */
/* Closes the database and gives its memory back; the next use opens it again. */
void store_text_rest(struct store_text *t);
/* Is there a database? Costs one system call. */
bool store_text_exists(const struct store_text *t);
/* Changes whenever what was asked before may be out of date. */
uint64_t store_text_version(struct store_text *t);

/* The folder's id. make: gives it one, so that it will be filled. *upto: all messages up to this UID
 * have had their turn. 0; 1: it has none; -1. */
int store_text_folder(struct store_text *t, const unsigned char guid[16], uint32_t uidvalidity,
                      bool make, int64_t *folder, uint32_t *upto);

/* Calls fn for the messages that are in the index, ascending by UID. 0 or -1. */
int store_text_known(struct store_text *t, int64_t folder,
                     void (*fn)(void *ctx, uint32_t uid, uint64_t base), void *ctx);
/* Calls fn for the messages of the index that can have needle (casemapped UTF-8) in their headers or
 * bodies (where: STORE_TEXT_ bits), ascending for each of both. 0 or -1. */
int store_text_find(struct store_text *t, int64_t folder, unsigned where, struct str needle,
                    void (*fn)(void *ctx, uint32_t uid), void *ctx);

/* Changes stand between these; begin does not wait for others. A failure takes all back. */
int store_text_begin(struct store_text *t);
int store_text_commit(struct store_text *t);
/* Adds a message. Texts are casemapped UTF-8; NULL: it is not to be had from the index (too large, or
 * unreadable), and gets no second turn. Ascending UIDs cost least. */
int store_text_add(struct store_text *t, int64_t folder, uint32_t uid, uint64_t base,
                   const struct str *head, const struct str *body);
int store_text_set_upto(struct store_text *t, int64_t folder, uint32_t upto);
/* Forgets messages that are gone. When most of what is in it is gone, the index is made anew. */
int store_text_drop(struct store_text *t, int64_t folder, const uint32_t *uids, size_t n);

/* The hash by which a base name is known. */
uint64_t store_text_base(struct str base);

#endif
