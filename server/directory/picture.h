/*
 * What the directory said, kept for a stated time: one picture for recipients, senders and logins.
 *
 * A search that was answered with success is remembered with its entries; "cannot say" never is. A
 * question that is under way already is not asked twice. When a fresh answer shows an entry with
 * another stamp (entryCSN, modifyTimestamp) than is remembered, everything remembered about that
 * entry goes, and every "no", so that all that is said of a user is of one moment. A change notice
 * (sync.h) drops everything, and no filter is ever evaluated here.
 */
#ifndef FACTEUR_DIRECTORY_PICTURE_H
#define FACTEUR_DIRECTORY_PICTURE_H

#include "directory/search.h"

struct picture;

struct picture_rules {
    int64_t yes_ms, no_ms; /* how long answers with and without entries are kept; 0: not */
    int64_t stale_ms;      /* how much longer they serve while no server answers; 0: not */
};

struct picture *picture_new(struct event_base *base, const struct picture_rules *rules);
/* No callbacks any more. NULL is fine. */
void picture_free(struct picture *p);

/* The answer must be within the cache time even while no server answers: for logins. */
#define PICTURE_CURRENT 1u

/* As search_run; never calls fn from inside. */
void picture_search(struct picture *p, struct searcher *s, struct arena *a,
                    const struct ldapmap_search *what, unsigned flags, search_fn fn, void *arg);

/* An attribute that is asked for beside those of the search. */
bool picture_is_stamp(struct str name);

/* True: every change is told from now on (picture_forget is called), so that what is asked from now
 * on stays good for longer; only for searches of this searcher below base. */
void picture_watched(struct picture *p, const struct searcher *s, struct str base);
void picture_unwatched(struct picture *p);

/* Drops everything, and what is under way serves those who wait for it only. Returns how much. */
size_t picture_forget(struct picture *p);
/* Drops what names this user in question or answer, all else about those entries, and every "no". */
size_t picture_forget_user(struct picture *p, struct str user);

struct picture_counts {
    size_t kept, bytes, under_way;
    uint64_t hits, shared, stale;
};
void picture_counts(const struct picture *p, struct picture_counts *out);

#endif
