/*
 * session/search_match: does a message fit a search (RFC 3501 6.4.4)?
 *
 * Cheap keys are asked first; the message is opened only when a key needs its bytes. Text is
 * compared as people read it: encoded words, transfer encodings and charsets decoded, case folded
 * with i;unicode-casemap (RFC 5051).
 */
#ifndef FACTEUR_SESSION_SEARCH_MATCH_H
#define FACTEUR_SESSION_SEARCH_MATCH_H

#include "mail/header.h"
#include "protocol/imap/search.h"
#include "session/imap.h"
#include "session/search_keys.h"
#include "session/message.h"

struct search_match {
    struct imap_session *s;
    int64_t now;           /* seconds since 1970, of the whole search */
    size_t index;          /* the message at hand */
    struct message m;
    bool opened, gone;
    struct arena *arena;   /* one message's */
    struct buf text, scratch;
    struct search_keys keys;
    bool failed;           /* e says why */
    struct err e;
};

/* Makes the tree ready: strings converted from the charset and folded, sets resolved, keys put in
 * the order of their cost. 0, or -1 when a string is not in the charset. */
int search_prepare(struct imap_session *s, struct imap_search *node, struct str charset);

/* Does it need more of a message than the picture of the mailbox tells? */
bool search_looks_inside(const struct imap_search *root);

/* "Name: value" decoded, as TEXT looks through it; out is overwritten. */
void search_field_text(struct mail_conv *c, const struct mail_field *f, struct buf *out);

void search_match_begin(struct search_match *x, struct imap_session *s);
/* False too when the message is gone or cannot be read (x->failed). */
bool search_match(struct search_match *x, const struct imap_search *root, size_t index);
void search_match_end(struct search_match *x);

#endif
