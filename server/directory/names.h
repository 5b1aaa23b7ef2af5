/*
 * Names as the directory is asked for them: addresses with their extension parted off, login names,
 * the templates user_filter and auth_bind_userdn, and DNs in a form that can be compared. Pure.
 */
#ifndef FACTEUR_DIRECTORY_NAMES_H
#define FACTEUR_DIRECTORY_NAMES_H

#include "base/err.h"
#include "base/mem.h"

/* How addresses are read here. */
struct name_rules {
    struct str myhostname, myorigin; /* lower case */
    struct str delimiters;           /* recipient_delimiter; may be empty */
    bool utf8;                       /* smtputf8_enable */
};

/* One address, as it is looked up. The keys are folded and quoted only where they must be. */
struct name_address {
    struct str printed;   /* normal form, case of the local part kept */
    struct str key;       /* user+extension@domain */
    struct str short_key; /* user@domain; empty without an extension */
    struct str at_domain; /* @domain */
    struct str user;      /* the local part without extension, unquoted, case kept */
    struct str extension; /* with its delimiter; may be empty */
    struct str domain;
    bool is_postmaster; /* RFC 5321 section 4.5.1: always accepted */
};

/* An address without domain gets myorigin, postmaster alone (RFC 5321 section 4.1.1.3) myhostname.
 * 0, or -1 with a permanent error. */
int name_address_read(struct arena *a, const struct name_rules *rules, struct str text,
                      struct name_address *out, struct err *e);

/* Takes the next address from a looked-up value, where commas may part several; quoted commas do
 * not. False at the end. */
bool name_list_next(struct str *rest, struct str *piece);

/* The text of what an alias value leads to: "@domain" keeps the local part of the address that was
 * looked up; extension (with its delimiter; empty unless it was left out of the key that matched)
 * goes before the "@" of any value (Postfix: propagate_unmatched_extensions). */
struct str name_alias_target(struct arena *a, const struct name_address *from, struct str value,
                             struct str extension);

/* A login name in its one form: folded, without blanks around. -1 for what no entry can be called:
 * empty, too long, control characters, not UTF-8. */
#define NAME_LOGIN_MAX 256
int name_login_read(struct arena *a, struct str text, struct str *out, struct err *e);

/* Checks user_filter or auth_bind_userdn: %u %n %d (an L before the letter is allowed, names being
 * lower case anyway) and %%. 0, or -1 with a permanent error naming the option. */
int name_template_check(struct str template, const char *option, struct err *e);
/* Expands it for a login name; every value goes through escape (ldapmap_escape_filter or _dn). */
void name_template_expand(struct buf *out, struct str template, struct str login,
                          int (*escape)(struct buf *, struct str));

/* A DN in a form in which equal DNs are equal bytes: attribute types in lower case, values folded
 * and with single blanks, parts of a multi-valued RDN sorted. Empty when it is no DN (RFC 4514). */
struct str name_dn(struct arena *a, struct str dn);

#endif
