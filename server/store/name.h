/*
 * Maildir file names: "<seconds>.<unique>.<host>,S=<size>,W=<size>:2,<flags>". Pure functions.
 *
 * The part before the colon is the base name, which stays the same while flags change; the info after
 * ":2," holds D F R S T P, keyword letters a-z, and what others put there, which is kept.
 */
#ifndef FACTEUR_STORE_NAME_H
#define FACTEUR_STORE_NAME_H

#include "base/mem.h"
#include "base/str.h"

enum store_flag {
    STORE_ANSWERED = 1,  /* R */
    STORE_DELETED = 2,   /* T */
    STORE_DRAFT = 4,     /* D */
    STORE_FLAGGED = 8,   /* F */
    STORE_SEEN = 16,     /* S */
    STORE_PASSED = 32,   /* P: forwarded; shown to nobody by IMAP's system flags */
};

#define STORE_SIZE_UNKNOWN UINT64_MAX
#define STORE_KEYWORDS_MAX 26

struct store_name {
    struct str base;   /* a view into the parsed name */
    uint64_t size;     /* ,S= bytes on disk, or STORE_SIZE_UNKNOWN */
    uint64_t vsize;    /* ,W= bytes with CR LF line ends, or STORE_SIZE_UNKNOWN */
    uint32_t keywords; /* bit n: letter 'a' + n */
    uint8_t flags;     /* STORE_ bits */
};

/* False when it cannot be a message: a leading dot, CR or LF, '/', an empty base, too long. */
bool store_name_parse(struct str file, struct store_name *out);

/* Appends base + ":2," + flags in ASCII order; letters of old (a full file name, may be empty) that
 * this room does not know, and whatever follows a second comma, are kept. */
void store_name_format(struct buf *out, struct str base, struct str old, uint8_t flags,
                       uint32_t keywords);

/* The order in which new files get UIDs, Dovecot's: seconds, then microseconds ("M123"), then bytes. Read
 * once, so that a sort need not read each name again and again. base is a view. */
struct store_name_order {
    struct str base;
    uint64_t seconds, micros;
    bool has_micros;
};
struct store_name_order store_name_order(struct str base);
int store_name_cmp(const struct store_name_order *a, const struct store_name_order *b);

/* The host as it stands in names: '/' as \057, ':' as \072, ',' as \054, bounded. */
void store_name_host(char out[128]);

#endif
