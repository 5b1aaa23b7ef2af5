/*
 * Envelope addresses (RFC 5321 section 4.1.2, RFC 6531 section 3.3): parsing, normal form, folding.
 *
 * Two addresses are the same mailbox when domain is equal byte for byte and local is equal after
 * mail_fold_case (sites treat local parts without case). Results live in the caller's arena.
 */
#ifndef FACTEUR_MAIL_ADDRESS_H
#define FACTEUR_MAIL_ADDRESS_H

#include "base/err.h"
#include "base/mem.h"

/* Limits in octets (RFC 5321 section 4.5.3.1.1 to 4.5.3.1.3). A path counts its brackets. */
#define MAIL_LOCAL_MAX 64
#define MAIL_DOMAIN_MAX 255
#define MAIL_PATH_MAX 256

enum {
    MAIL_ADDRESS_UTF8 = 1,      /* SMTPUTF8 is in force: UTF-8 in the local part, U-labels */
    MAIL_ADDRESS_NULL = 2,      /* "<>" (or an empty view) is allowed */
    MAIL_ADDRESS_NO_DOMAIN = 4, /* a local part alone is allowed ("postmaster", RFC 5321 4.1.1.3) */
    MAIL_ADDRESS_LENIENT = 8    /* empty atoms in the local part, paths without brackets (Postfix's
                                 * strict_rfc821_envelopes = no) */
};

struct mail_address {
    struct str local;  /* without quoting; empty only for the null path */
    struct str domain; /* A-labels in lower case, or a literal with its brackets; empty: none */
    struct str utf8_domain; /* U-labels in lower case, NFC; equals domain when it is all ASCII */
    bool literal;      /* domain is an address literal */
    bool utf8;         /* the local part has bytes over 0x7f: relaying needs SMTPUTF8 */
};

/* Parses a whole view as a Mailbox, with or without angle brackets, a source route in front is
 * dropped (RFC 5321 appendix C). 0, or -1 with a permanent error that names what is wrong; the
 * client text begins with the enhanced status code (RFC 3463): "5.1.3 …", 5.1.7 is the caller's. */
int mail_address_parse(struct arena *a, struct str text, unsigned flags, struct mail_address *out,
                       struct err *e);

/* Takes a path "<…>" from the front of *rest (MAIL FROM:, RCPT TO:) and moves *rest past its ">".
 * With MAIL_ADDRESS_LENIENT a path without brackets, up to a blank, is taken too. */
int mail_path_take(struct arena *a, struct str *rest, unsigned flags, struct mail_address *out,
                   struct err *e);

/* The normal form: local part quoted only when it must be, "@", domain. Nothing for the null path.
 * The result is NUL-terminated one past the view. */
struct str mail_address_print(struct arena *a, const struct mail_address *m);
/* Appends the local part, quoted when it is not a dot-string. 0, or -1 past the buffer's bound. */
int mail_local_print(struct buf *out, struct str local);

/* Checks and normalises a domain name (no literal, no trailing dot): A-labels in lower case, and
 * the U-label form when utf8 is not NULL. 8-bit names are refused without MAIL_ADDRESS_UTF8. */
int mail_domain_parse(struct arena *a, struct str text, unsigned flags, struct str *ascii,
                      struct str *utf8, struct err *e);

/* Splits a local part at the first byte that is one of delimiters (recipient_delimiter). False, and
 * *user is the whole local part, when there is none, when nothing would be left in front, or when
 * the address is one that Postfix never splits: postmaster, mailer-daemon, double-bounce, and with
 * '-' as delimiter owner-… and …-request. */
bool mail_local_split(struct str local, struct str delimiters, struct str *user,
                      struct str *extension);

/* Folds case for look-ups: full Unicode case folding and NFC; bytes that are not UTF-8 fold as
 * ASCII alone. */
struct str mail_fold_case(struct arena *a, struct str s);

#endif
