/*
 * The MIME tree of a message in memory (RFC 2045, 2046, 2183, 2231, 3282).
 *
 * Offsets and lengths are physical (into the message as it is stored); "wire" sizes count every
 * line end as CR LF, as IMAP does (RFC 3501 section 2.3.4). A bare CR ends no line. Everything
 * lives in the arena or points into the message. Never fails: past a limit, what is left is a leaf
 * of its type.
 */
#ifndef FACTEUR_MAIL_MIME_H
#define FACTEUR_MAIL_MIME_H

#include "base/mem.h"

struct mail_conv;

#define MAIL_MIME_DEPTH_MAX 100   /* parts inside parts */
#define MAIL_MIME_PARTS_MAX 10000 /* parts of a message in all */
#define MAIL_MIME_PARAMS_MAX 100  /* parameters of one field */
#define MAIL_MIME_BOUNDARY_MAX 80 /* RFC 2046 5.1.1 says 70; longer ones are compared so far */

enum mail_part_kind { MAIL_PART_LEAF, MAIL_PART_TEXT, MAIL_PART_MULTIPART, MAIL_PART_MESSAGE };
enum mail_cte { MAIL_CTE_PLAIN, MAIL_CTE_BASE64, MAIL_CTE_QP, MAIL_CTE_UNKNOWN };

struct mail_param {
    struct str name;  /* as written, without "*" and section numbers (RFC 2231) */
    struct str value; /* sections joined; if extended: with charset'language' and percent codes */
    bool extended;    /* the name ended in "*" */
};

struct mail_span {
    size_t at;     /* offset in the message */
    size_t n;      /* bytes there */
    uint64_t wire; /* bytes when every line ends in CR LF */
    uint32_t lines; /* line ends */
};

struct mail_part {
    struct mail_part *parent, *first, *next; /* first: first child */
    enum mail_part_kind kind;
    struct mail_span header; /* with the empty line */
    struct mail_span body;   /* without the line end that belongs to a boundary */
    struct str type, subtype; /* as written; p NULL: no Content-Type; empty: one without meaning */
    struct mail_param *params;
    size_t param_count;
    enum mail_cte cte;
    struct str encoding; /* the token as written; p NULL: none */
    /* Raw values; p NULL: not there. */
    struct str id, description, md5, location;
    struct str disposition;
    struct mail_param *disposition_params;
    size_t disposition_param_count;
    struct str *languages;
    size_t language_count;
    bool mime;   /* Content-Type or MIME-Version is there: other Content- fields mean something */
    bool digest; /* multipart/digest: children default to message/rfc822 (RFC 2046 section 5.1.5) */
};

/* The root part stands for the whole message: its header is the message's header. */
struct mail_part *mail_mime_parse(struct arena *a, struct str message);

/* A part by its IMAP number (RFC 3501 section 6.4.5): path {4,2} is "4.2"; n == 0 is the root. A
 * message/rfc822 part is looked through; the only part of a message that is no multipart is 1.
 * NULL: no such part. */
const struct mail_part *mail_part_find(const struct mail_part *root, const uint32_t *path,
                                       size_t n);

/* Next part in depth-first order below root, NULL at the end. */
const struct mail_part *mail_part_next(const struct mail_part *root, const struct mail_part *p);

struct str mail_part_header(struct str message, const struct mail_part *p);
struct str mail_part_body(struct str message, const struct mail_part *p);

/* A parameter by name, ASCII case ignored; NULL: not there. */
const struct mail_param *mail_param_find(const struct mail_param *v, size_t n, struct str name);

/* Appends the body decoded (transfer encoding) and, for text, converted to UTF-8. 0, or -1 past the
 * buffer's bound (what fits is there). */
int mail_part_text(struct mail_conv *c, struct str message, const struct mail_part *p,
                   struct buf *out);

/* One Content-Type-like value ("token *(; name=value)") alone: the token and the parameters. */
void mail_mime_value_parse(struct arena *a, struct str value, struct str *token,
                           struct mail_param **params, size_t *count);

#endif
