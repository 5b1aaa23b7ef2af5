/*
 * Grants: rights as 128-bit random handles, kept here for fixed fields until they are used, dropped
 * or too old. Whoever holds one says only the handle; the fields never come back from outside.
 *
 * A relay grant (10 minutes) says that an address of ours leads to that address of another server;
 * the queue looks at it. A deliver grant (10 minutes) is redeemed by deliver; a login grant of IMAP or POP3 (60 seconds)
 * by the master: both once. A login grant of submission (24 hours) belongs to the smtp channel that
 * was given it, and the queue may look at it; it is dropped with its session or its channel.
 */
#ifndef FACTEUR_DIRECTORY_GRANTS_H
#define FACTEUR_DIRECTORY_GRANTS_H

#include "ipc/message.h"

enum grant_kind { GRANT_DELIVER, GRANT_LOGIN, GRANT_RELAY };

struct grant_fields {
    enum grant_kind kind;
    enum service service; /* login only */
    uint32_t uid, gid;
    uint64_t limit; /* bytes of the mailbox, 0: none */
    struct str home, maildir;
    struct str address; /* deliver: the mailbox address; relay: the remote one */
    struct str sender;  /* relay: of what goes there, where a mailing list has its own; else empty */
    struct str login;   /* login: the canonical name */
    struct str name;    /* login: what user_filter found it by */
    struct str dn;      /* login: the entry, as the directory wrote it */
};

struct grants;
struct grant_record;

/* At most limit grants of each lifetime at once. */
struct grants *grants_new(size_t limit);
void grants_free(struct grants *g); /* NULL is fine */

/* A new grant for these fields (copied), held by the channel of that number; now: clock_mono_ms().
 * 0, or -1 when there are too many. */
int grants_issue(struct grants *g, const struct grant_fields *f, uint64_t holder, int64_t now,
                 struct grant *out);

/* The record of a grant that is still valid, or NULL. Time does not depend on how much of a guessed
 * handle is right. It stays valid until the next call that takes g without const. */
struct grant_record *grants_find(struct grants *g, const struct grant *id, int64_t now);
const struct grant_fields *grants_fields(const struct grant_record *r);
uint64_t grants_holder(const struct grant_record *r);

/* May this program redeem it at all? */
bool grants_may_redeem(const struct grant_record *r, unsigned program);
/* True when redeeming with REDEEM_USE uses it up. */
bool grants_is_single_use(const struct grant_record *r);

void grants_remove(struct grants *g, struct grant_record *r);
/* The submission logins of this name and uid are good for nothing any more; returns how many. */
size_t grants_end_login(struct grants *g, struct str login, uint32_t uid);
bool grants_is_ended(const struct grant_record *r);
/* fn: for each submission login that is removed. */
void grants_on_removed(struct grants *g, void (*fn)(void *arg, const struct grant_fields *f),
                       void *arg);
/* The channel is gone: its submission logins end with it. Other grants are on their way already. */
void grants_drop_holder(struct grants *g, uint64_t holder);
void grants_sweep(struct grants *g, int64_t now); /* forgets those that are too old */
size_t grants_count(const struct grants *g);

#endif
