/*
 * dovecot-uidlist version 3: which UID a message file has.
 *
 *   3 V<uidvalidity> N<uidnext> G<guid hex> [other fields]
 *   <uid> [<key><value> ...] :<base name>
 *
 * Written as Dovecot 2.3 writes it and under its lock (dovecot-uidlist.lock): appended to, or written
 * anew and renamed. Unknown fields are kept. A UID is on disk when store_uidlist_commit returns.
 * UIDVALIDITY never changes while the file is readable; a missing or damaged one gets a larger value.
 */
#ifndef FACTEUR_STORE_UIDLIST_H
#define FACTEUR_STORE_UIDLIST_H

#include "base/mem.h"
#include "store/dotlock.h"

#include <sys/stat.h>

#define STORE_UIDLIST_MAX_BYTES ((size_t)1 << 30)

struct store_uidrec {
    uint32_t uid;
    uint32_t off;      /* of the base name in names */
    uint16_t len;      /* of the base name */
    uint16_t ext_len;  /* extension fields stand right before the base name, with their blanks */
};

struct store_uidlist {
    int dir_fd, root_fd; /* borrowed: the folder, and the maildir's root (dovecot-uidvalidity) */
    uint32_t uidvalidity, uidnext;
    unsigned char guid[16];
    bool have_guid, readable, damaged, torn;
    char *header_ext; /* unknown header fields, owned, may be NULL */
    struct store_uidrec *recs; /* ascending uid */
    size_t count, cap;
    struct buf names;
    uint32_t *slots; /* hash of base names: index + 1 */
    size_t slot_cap;
    size_t lines;    /* in the file, dead ones too */
    size_t saved;    /* records that are in the file; those after it are new */
    bool rewrite;    /* the file must be written anew */
    bool tail;       /* recs hold only what was added since store_uidlist_resume or _lock_end */
    size_t before;   /* records that are not in recs, about; 0 unless tail */
    struct stat seen; /* of the file last read */
    struct buf window; /* lines that store_uidlist_seek came by */
    struct store_dotlock lock;
};

void store_uidlist_init(struct store_uidlist *u, int dir_fd, int root_fd);
void store_uidlist_free(struct store_uidlist *u); /* drops the lock too */

/* Reads the file when it changed since the last read. A missing or damaged file is no error: readable
 * is false then, and the next commit makes a new one with a larger UIDVALIDITY. 0 or -1 and *e. */
int store_uidlist_refresh(struct store_uidlist *u, struct err *e);
/* Takes the lock, then refreshes. Not recursive. */
int store_uidlist_lock(struct store_uidlist *u, struct err *e);
/* The same for who only adds: of a list that was not read yet no more than both ends are looked at. */
int store_uidlist_lock_end(struct store_uidlist *u, struct err *e);
void store_uidlist_unlock(struct store_uidlist *u);

/* Reads only the first line. 0, or -1 when there is no list or it has no GUID. */
int store_uidlist_identity(int dir_fd, uint32_t *uidvalidity, unsigned char guid[16]);

/* What has to be known of a list to read on at its end, and to add to it. */
struct store_uidlist_end {
    uint32_t uidvalidity, uidnext;
    unsigned char guid[16];
    uint64_t ino, size;
    size_t lines, records;
};

/* Forgets all records, and remembers where the list ended: later refreshes give only what was added
 * since, unless the file was replaced. A list that cannot be read stays as it is. */
void store_uidlist_rest(struct store_uidlist *u);
/* The next refresh reads all of it. */
void store_uidlist_forget(struct store_uidlist *u);
/* Takes up a list that somebody else has read up to there. */
void store_uidlist_resume(struct store_uidlist *u, const struct store_uidlist_end *end);

/* The record of a base name, NULL when unknown; valid until the next change. */
const struct store_uidrec *store_uidlist_find(const struct store_uidlist *u, struct str base);
struct str store_uidlist_base(const struct store_uidlist *u, const struct store_uidrec *r);

/* Takes a line of the list apart; of extension fields with their blanks the id. */
int store_uidlist_split(unsigned version, struct str line, uint32_t *uid, struct str *ext, struct str *base);
struct str store_uidlist_ext_guid(struct str ext);

/* Under the lock: gives the next UID to base; 0 when UIDs have run out. Not on disk yet. */
uint32_t store_uidlist_add(struct store_uidlist *u, struct str base);
/* The same with the message's own id as Dovecot notes it (field "G"), for a copy whose content has one
 * already; guid has no blank and no colon. */
uint32_t store_uidlist_add_as(struct store_uidlist *u, struct str base, struct str guid);
/* That id; empty when the base name is all there is. A view, valid until the next change. */
struct str store_uidlist_guid(const struct store_uidlist *u, const struct store_uidrec *r);
/* The same for the message with this UID and base name, looked up on disk without reading the whole list. 0; 1: the
 * list has it not where it should be. A view, valid until the next change or search. */
int store_uidlist_seek(struct store_uidlist *u, uint32_t uid, struct str base, struct str *guid);
/* Under the lock: forgets the records for which keep[i] is false (keep has count entries). */
void store_uidlist_keep(struct store_uidlist *u, const bool *keep);
/* Under the lock: makes all added UIDs durable (append, or the whole file anew). On failure the list is
 * as it was on disk. */
int store_uidlist_commit(struct store_uidlist *u, struct err *e);

/* Makes a new list in a new folder, with a UIDVALIDITY larger than any before in this maildir. */
int store_uidlist_create(int dir_fd, int root_fd, struct err *e);

/* The next UIDVALIDITY of the maildir, larger than `above`: Dovecot's dovecot-uidvalidity and
 * dovecot-uidvalidity.<hex> in the root. */
int store_uidvalidity_next(int root_fd, uint32_t above, uint32_t *out, struct err *e);

#endif
