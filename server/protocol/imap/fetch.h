/*
 * imap/fetch: what FETCH asks for (RFC 3501 6.4.5), and the names of body sections in answers.
 */
#ifndef FACTEUR_IMAP_FETCH_H
#define FACTEUR_IMAP_FETCH_H

#include "base/mem.h"
#include "protocol/imap/search.h"

enum imap_fetch_kind {
    IMAP_FETCH_UID,
    IMAP_FETCH_FLAGS,
    IMAP_FETCH_INTERNALDATE,
    IMAP_FETCH_RFC822_SIZE,
    IMAP_FETCH_ENVELOPE,
    IMAP_FETCH_BODY,
    IMAP_FETCH_BODYSTRUCTURE,
    IMAP_FETCH_SECTION, /* BODY[...] and the RFC822 forms, which are sections by another name */
    IMAP_FETCH_BINARY,  /* BINARY[...]: decoded (RFC 3516) */
    IMAP_FETCH_BINARY_SIZE,
    IMAP_FETCH_EMAILID, /* RFC 8474 */
    IMAP_FETCH_THREADID,
    IMAP_FETCH_SAVEDATE, /* RFC 8514 */
    IMAP_FETCH_PREVIEW,  /* RFC 8970 */
    IMAP_FETCH_MODSEQ,   /* RFC 7162 3.1.5 */
};

enum imap_section_text {
    IMAP_SECTION_ALL, /* the whole message, or the whole part */
    IMAP_SECTION_HEADER,
    IMAP_SECTION_FIELDS,
    IMAP_SECTION_FIELDS_NOT,
    IMAP_SECTION_TEXT,
    IMAP_SECTION_MIME,
};

struct imap_section {
    uint32_t *part; /* 1.2.3 */
    size_t depth;
    enum imap_section_text text;
    struct str *fields;
    size_t field_n;
    bool partial;
    uint64_t offset, length; /* bytes, valid when partial */
    const char *label;       /* "RFC822.HEADER" when asked for by that name, else NULL */
};

struct imap_fetch_item {
    enum imap_fetch_kind kind;
    bool peek; /* does not set \Seen */
    bool lazy; /* PREVIEW (LAZY) */
    struct imap_section section;
};

struct imap_fetch {
    struct imap_fetch_item *items;
    size_t n;
    bool changed;          /* CHANGEDSINCE (RFC 7162 3.1.4.1) */
    uint64_t since;
    bool vanished;         /* with VANISHED (RFC 7162 3.2.6) */
    bool partial;          /* PARTIAL (RFC 9394 3.3) */
    struct imap_partial range;
};

/* fetch-att, "(" fetch-att ... ")", ALL, FAST or FULL; then [SP "(" fetch-modifier ... ")"]. */
int imap_get_fetch(struct imap_cursor *c, struct arena *a, struct imap_fetch *fetch);

/* The item's name in an answer: "BODY[1.HEADER.FIELDS (TO)]<0>"; -1 when b is full. */
int imap_section_write(struct buf *b, const struct imap_section *s);
/* The same with "BINARY" or "BINARY.SIZE" for "BODY". */
int imap_section_write_as(struct buf *b, const char *name, const struct imap_section *s);

#endif
