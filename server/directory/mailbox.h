/*
 * A mailbox as the directory describes it: uid, gid, home and maildir, checked before anybody may
 * act on them. Pure.
 */
#ifndef FACTEUR_DIRECTORY_MAILBOX_H
#define FACTEUR_DIRECTORY_MAILBOX_H

#include "base/err.h"
#include "base/mem.h"

#define MAILBOX_PATH_MAX 900

struct mailbox_rules {
    struct str base;  /* virtual_mailbox_base, without a slash at its end */
    uint32_t minimum; /* virtual_minimum_uid */
};

struct mailbox {
    uint32_t uid, gid;
    struct str home;    /* absolute, no slash at its end */
    struct str maildir; /* absolute, a slash at its end */
};

/* what: the thing's name for the error, such as "uidNumber". Each 0, or -1 with a permanent error
 * that says what is wrong with which value. */
int mailbox_id_read(const struct mailbox_rules *rules, const char *what, struct str value,
                    uint32_t *out, struct err *e);
/* Absolute, normal (no empty, "." or ".." part, no control characters), strictly below the base;
 * is_maildir: must end with a slash, else a slash at its end is dropped from *out. */
int mailbox_path_read(const struct mailbox_rules *rules, const char *what, struct str value,
                      bool is_maildir, struct str *out, struct err *e);

/* The home that belongs to a maildir: the first of the candidates (values of the entry's home
 * attribute) that it lies in, else its parent when that is strictly below the base, else itself. */
struct str mailbox_home(const struct mailbox_rules *rules, struct str maildir,
                        const struct str *candidates, size_t count);

#endif
