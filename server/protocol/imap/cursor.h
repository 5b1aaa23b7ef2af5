/*
 * imap/cursor: the tokens of the IMAP grammar (RFC 3501 9, RFC 9051 9), read from one command whose
 * literals stand inline behind their "{n}" line.
 *
 * Every function returns 0 and moves on, or -1 and sets c->wrong to a text for BAD. Strings are
 * views into the command's bytes; quoted ones are unescaped in place, so a place is read only once.
 */
#ifndef FACTEUR_IMAP_CURSOR_H
#define FACTEUR_IMAP_CURSOR_H

#include "base/str.h"

struct imap_limits {
    size_t line;     /* bytes of a command without its literals */
    size_t literal;  /* bytes of one literal, other than APPEND's message */
    size_t literals; /* bytes of all of them in one command */
    unsigned nesting;/* depth of parentheses in SEARCH, of section parts in FETCH */
    size_t items;    /* ranges of a set, flags, header names, search keys, fetch items */
    bool fixed;      /* allocate all of it at once, so that a password is copied nowhere */
};

#define IMAP_LIMITS_SESSION                                                                        \
    {.line = 65536, .literal = 65536, .literals = 131072, .nesting = 32, .items = 10000}
#define IMAP_LIMITS_LOGIN                                                                          \
    {.line = 16384, .literal = 4096, .literals = 8192, .nesting = 4, .items = 64, .fixed = true}

struct imap_cursor {
    char *p, *end;
    const struct imap_limits *limits;
    const char *wrong;
};

int imap_wrong(struct imap_cursor *c, const char *why); /* returns -1; the first reason is kept */

bool imap_at_end(const struct imap_cursor *c);
bool imap_peek(const struct imap_cursor *c, char ch);
/* Takes ch when it is next. */
bool imap_try(struct imap_cursor *c, char ch);
/* Takes word (case ignored) when it is next and no ATOM-CHAR follows. */
bool imap_try_word(struct imap_cursor *c, struct str word);
int imap_get_char(struct imap_cursor *c, char ch);
int imap_get_space(struct imap_cursor *c);
int imap_get_end(struct imap_cursor *c);

int imap_get_atom(struct imap_cursor *c, struct str *s);
int imap_get_tag(struct imap_cursor *c, struct str *s);
int imap_get_string(struct imap_cursor *c, struct str *s);
int imap_get_nstring(struct imap_cursor *c, struct str *s, bool *nil);
int imap_get_astring(struct imap_cursor *c, struct str *s);
int imap_get_list_mailbox(struct imap_cursor *c, struct str *s);
int imap_get_number64(struct imap_cursor *c, uint64_t *n); /* up to 2^63-1 (RFC 9051) */
int imap_get_nz_number(struct imap_cursor *c, uint32_t *n);

/* Character classes of the grammar. */
bool imap_is_atom_char(char ch);
bool imap_is_astring_char(char ch);

/* "{n}", "{n+}", "~{n}" at the end of a line (without its line end): its size; false when there is
 * none. start: position of the brace or tilde. */
struct imap_literal {
    uint64_t size;
    size_t start;
    bool sync, binary;
    bool absurd; /* a number that no number holds; size means nothing */
};
bool imap_literal_at_end(struct str line, struct imap_literal *lit);

#endif
