/*
 * A group's entry as a mailing list: the addresses of its members (member, uniqueMember, memberUid of
 * groups within groups too, each entry once; facteurListMember for those without an entry), and
 * whether a sender may post (facteurListPost: anyone, members, owner or listed). An entry of a member
 * has its address in the first attribute of group_member_attributes that it has.
 */
#ifndef FACTEUR_DIRECTORY_GROUP_H
#define FACTEUR_DIRECTORY_GROUP_H

#include "directory/lookup.h"

struct group_result {
    enum ldapmap_answer answer; /* YES, or CANNOT_SAY */
    bool may_post;
    const struct name_address *members;
    size_t count;
    struct str errors_to; /* the owner's address: facteurListOwner, or of the owner's entry; or empty */
    bool closed;          /* only the owner, or those it names, may post */
    const char *why; /* for the log: why it cannot be said, or who may post instead */
};

/* From the event loop, or from inside group_run. */
typedef void (*group_fn)(void *arg, const struct group_result *r);

/* The attributes that group_run wants to see in the entry of a group; the arena's. */
const char *const *group_attrs(const struct dirset *set, struct arena *a);

struct group_post {
    struct str sender; /* empty: <> */
    bool vouched;      /* its client has logged in, or is of a network that may send */
    struct str domain; /* of the list, in lower case */
};

/* found: the answer of group_maps that has the entry, asked with group_attrs. A sender who has an
 * account here, or an address of the list's domain, counts as himself only where he is vouched for:
 * anybody can write a MAIL FROM. All lies in the arena; the set must be held meanwhile. *stale
 * becomes true when an answer is from before an outage. */
void group_run(struct dirset *set, struct arena *a, const struct lookup_want *found,
               const struct group_post *post, bool *stale, group_fn fn, void *arg);

#endif
