/*
 * A mailbox out of the directory's answers: the maildir, uid and gid that three maps gave for one
 * address, or the attributes of a user's entry at login, checked by mailbox.h. What is broken is
 * told with the entry's DN and the attribute.
 */
#ifndef FACTEUR_DIRECTORY_BOX_H
#define FACTEUR_DIRECTORY_BOX_H

#include "directory/account.h"
#include "directory/lookup.h"
#include "ipc/message.h"

struct box {
    struct mailbox m;
    struct str dn;    /* of the entry; empty when the maps are not LDAP's */
    uint64_t limit;   /* bytes; 0: none */
    struct str login; /* value of user_name_attribute; may be empty */
    struct account account;
};

enum { BOX_MAILDIR, BOX_UID, BOX_GID, BOX_LIMIT, BOX_WANTS };

/* The questions for one mailbox address. */
void box_wants(const struct dirset *set, struct lookup_want wants[BOX_WANTS]);
/* YES: *out is filled, in the arena. NO: there is no such mailbox. CANNOT_SAY: *e says why. */
enum verdict box_read(const struct dirset *set, struct arena *a,
                      const struct lookup_want wants[BOX_WANTS], struct box *out, struct err *e);

/* The answer of virtual_mailbox_limit_maps, where it has one: *limit changes. 0, or -1 and the
 * error. */
int box_limit(const struct lookup_want *want, uint64_t *limit, struct err *e);

/* The mailbox of a user's own entry: 0, or -1 and the error. name: the login name as it was given,
 * which is preferred among several values of user_name_attribute. */
int box_of_entry(const struct dirset *set, struct arena *a, const struct ldapmap_entry *entry,
                 struct str name, struct box *out, struct err *e);

#endif
