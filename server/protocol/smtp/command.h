/*
 * smtp/command: the grammar of SMTP commands (RFC 5321 section 4.1.1, and the extensions we offer:
 * RFC 1870 SIZE, RFC 6152 8BITMIME, RFC 6531 SMTPUTF8, RFC 3030 CHUNKING, RFC 4954 AUTH, RFC 3461
 * DSN).
 *
 * Each function takes a command's arguments, that is the line behind the verb without leading and
 * trailing blanks. On failure it returns -1 with a permanent error whose client text is the whole
 * reply ("501 5.5.4 …"). Results lie in the arena, or are views of the line.
 */
#ifndef FACTEUR_SMTP_COMMAND_H
#define FACTEUR_SMTP_COMMAND_H

#include "base/err.h"
#include "mail/address.h"
#include "protocol/smtp/dsn.h"

/* Which extensions EHLO offered: a parameter of any other is refused (555). */
enum {
    SMTP_EXT_SIZE = 1,
    SMTP_EXT_8BITMIME = 2,
    SMTP_EXT_SMTPUTF8 = 4,
    SMTP_EXT_AUTH = 8,
    SMTP_EXT_DSN = 16
};

enum smtp_body { SMTP_BODY_NONE, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };

/* Parameters of one command at most. */
#define SMTP_PARAMETERS_MAX 20

/* The first word (the verb) and the rest. */
void smtp_command_split(struct str line, struct str *verb, struct str *args);

struct smtp_mail {
    struct mail_address sender; /* the null path: local and domain empty */
    struct str path;            /* its normal form, "" for the null path */
    uint64_t size;              /* SIZE, 0 when not given */
    enum smtp_body body;
    bool smtputf8;
    enum smtp_ret ret;
    struct str envid; /* as it was said, in xtext; empty: none */
};

struct smtp_rcpt {
    struct mail_address address; /* without a domain only for postmaster (RFC 5321 4.1.1.3) */
    struct str path;             /* its normal form */
    unsigned notify;             /* SMTP_NOTIFY_*; 0: nothing was said */
    struct str orcpt;            /* as it was said, "rfc822;xtext"; empty: none */
};

/* MAIL: "FROM:<reverse-path> parameters". */
int smtp_parse_mail(struct arena *a, struct str args, unsigned offered, struct smtp_mail *out,
                    struct err *e);
/* RCPT: "TO:<forward-path> parameters". smtputf8: MAIL said so. */
int smtp_parse_rcpt(struct arena *a, struct str args, unsigned offered, bool smtputf8,
                    struct smtp_rcpt *out, struct err *e);
/* EHLO and HELO: one word fit for a Received header. */
int smtp_parse_hello(struct str args, struct str *name, struct err *e);
/* BDAT: "size [LAST]". */
int smtp_parse_bdat(struct str args, uint64_t *size, bool *last, struct err *e);

struct smtp_auth {
    struct str mechanism;
    struct str initial; /* p NULL: no initial response */
};
int smtp_parse_auth(struct str args, struct smtp_auth *out, struct err *e);

/* True when text begins with an enhanced status code of that class ("5.1.1 …", RFC 3463). */
bool smtp_has_status(struct str text, char class_digit);

#endif
