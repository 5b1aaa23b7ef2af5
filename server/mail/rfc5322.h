/*
 * Structured header fields (RFC 5322 sections 3.3, 3.4, 3.6 and 4): address lists, dates, message
 * identifiers.
 *
 * Tolerant of the obsolete syntax and of damage. Encoded words stay as they are. Everything is
 * bounded: addresses a list, depth of comments, bytes of a field.
 */
#ifndef FACTEUR_MAIL_RFC5322_H
#define FACTEUR_MAIL_RFC5322_H

#include "base/mem.h"

#define MAIL_ADDRS_MAX 10000
#define MAIL_COMMENT_DEPTH_MAX 50

enum mail_addr_kind { MAIL_ADDR_MAILBOX, MAIL_ADDR_GROUP_START, MAIL_ADDR_GROUP_END };

struct mail_addr {
    enum mail_addr_kind kind;
    struct str name;   /* display name or the comment that stands for one, unquoted; p NULL: none */
    struct str route;  /* "@a,@b" (RFC 5322 section 4.4); p NULL: none */
    struct str local;  /* unquoted; the group's name for MAIL_ADDR_GROUP_START; p NULL: missing */
    struct str domain; /* without comments and folding; p NULL: missing */
    bool broken;       /* local part or domain is missing, or something is damaged */
    bool bad_angle;    /* "<" without a clean end: what follows was given up */
    bool bad_route;    /* a route that does not end in ":" */
};

struct mail_addr_list {
    struct mail_addr *v; /* in the arena */
    size_t n, cap;
    bool broken;    /* not all was understood: never trust v to be all that a reader sees */
    bool truncated; /* more than MAIL_ADDRS_MAX */
};

/* Parses a raw field value (folds inside). Appends to *list, so that several fields of one name can
 * be joined; zero it first. */
void mail_addrs_parse(struct arena *a, struct str value, struct mail_addr_list *list);

/* Takes the next "<…>" from a References, In-Reply-To or Message-ID value: id is without brackets,
 * blanks, comments and quoting, so that it can be compared. False at the end. */
bool mail_msgid_next(struct arena *a, struct str *rest, struct str *id);

/* --- dates --- */

#define MAIL_DATE_SIZE 40 /* room for either form with its NUL */

/* A Date field (RFC 5322 sections 3.3 and 4.3): seconds since 1970 and minutes east of UTC ("-0000"
 * and unknown zones: 0). 0, or -1 when it is no date. Comments, two-digit years, missing seconds
 * and missing day names are fine. */
int mail_date_parse(struct str value, int64_t *unix_time, int *zone);
/* "Thu, 21 Nov 2024 08:04:00 +0100"; out has MAIL_DATE_SIZE bytes; returns the view. zone is
 * bounded to +-23:59, years to 1 … 9999. */
struct str mail_date_print(char *out, int64_t unix_time, int zone);
/* " 1-Nov-2024 08:04:00 +0100" without quotes (RFC 3501 section 9, date-time), both ways. */
struct str mail_date_print_imap(char *out, int64_t unix_time, int zone);
int mail_date_parse_imap(struct str text, int64_t *unix_time, int *zone);
/* 1 to 12 by its first three letters, or -1. */
int mail_date_month(struct str name);
/* A day of the Gregorian calendar, month and day from 1: does it exist in the years 1 to 9999, and which
 * is it, counted from 1970-01-01? */
bool mail_date_exists(int64_t year, int month, int day);
int64_t mail_date_days(int64_t year, int month, int day);
/* Days since 1970 of the date as it is written, zone ignored (SEARCH SENTON, RFC 3501 6.4.4). */
int64_t mail_date_day(int64_t unix_time, int zone);

#endif
