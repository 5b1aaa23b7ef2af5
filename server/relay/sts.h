/*
 * MTA-STS policies (RFC 8461): what the TXT record and the policy's text say, and which mail servers
 * it allows. Pure.
 */
#ifndef FACTEUR_RELAY_STS_H
#define FACTEUR_RELAY_STS_H

#include "base/err.h"
#include "base/mem.h"

#define STS_TEXT_MAX 65536 /* a policy's (RFC 8461 section 3.3 leaves the bound to us) */
#define STS_AGE_MAX_S 31557600 /* RFC 8461 section 3.2: about a year */
#define STS_MX_MAX 100

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
    enum sts_mode mode;
    int64_t max_age_s; /* at most a year */
    struct str mx[STS_MX_MAX];
    size_t mx_n;
};

/* One TXT record's data: character-strings in wire form. True, and *id set (a view into room), when it
 * is one of MTA-STS (RFC 8461 section 3.1). */
bool sts_record_read(struct str rdata, struct buf *room, struct str *id);

/* The policy's text (RFC 8461 section 3.2). Views into text. 0, or -1 with a permanent error. */
int sts_policy_parse(struct str text, struct sts_policy *out, struct err *e);

/* Is host one of the mail servers that the patterns name (RFC 8461 section 4.1)? */
bool sts_match(const struct str *mx, size_t n, struct str host);

#endif
