/* What the files of the session view share. */
#ifndef FACTEUR_STORE_MAILBOX_PRIVATE_H
#define FACTEUR_STORE_MAILBOX_PRIVATE_H

#include "store/mailbox.h"

struct store_mailbox {
    struct store_folder *folder;
    struct store_source source;
    bool read_only;
    struct store_msg *msg; /* ascending uid */
    size_t count, cap;
    struct buf names; /* file names, each with a NUL; old ones stay until they are many */
    size_t names_dead;
    uint32_t uidvalidity, uidnext, max_uid; /* max_uid: the largest that was ever in this view */
    unsigned char guid[16];
    struct store_stamp stamp;
    int64_t recheck_at; /* monotonic ms: look then, whatever the stamp says; 0: no need */
    size_t told_exists;
    struct buf told_keywords;
    uint32_t *seqs, *uids, *flagged; /* what the last sync told */
    struct store_changes changes;
    int64_t freed_bytes, freed_messages; /* expunged and not yet noted in maildirsize */
};

/* Looks at the folder now and merges it into the view; nothing is told or taken out. */
int mailbox_look(struct store_mailbox *mb, struct err *e);
const char *mailbox_name(const struct store_mailbox *mb, const struct store_msg *m);
void mailbox_set_name(struct store_mailbox *mb, struct store_msg *m, struct str name);
int mailbox_dir(const struct store_mailbox *mb, const struct store_msg *m);
/* Around a change of our own in cur/: if nobody else changed it before, the view's stamp goes along. */
int64_t mailbox_cur_ns(const struct store_mailbox *mb);
void mailbox_own_change(struct store_mailbox *mb, int64_t before_ns);

#endif
