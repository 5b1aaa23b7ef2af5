/*
 * One configuration of the directory program, ready for use: the maps with their parsed tables and
 * connections, and the rules that answers are checked against. A reload makes a new set; what is
 * under way keeps the one it began with.
 */
#ifndef FACTEUR_DIRECTORY_DIRSET_H
#define FACTEUR_DIRECTORY_DIRSET_H

#include "config/config.h"
#include "directory/guard.h"
#include "directory/mailbox.h"
#include "directory/names.h"
#include "directory/picture.h"
#include "directory/pools.h"
#include "directory/sync.h"
#include "ipc/bundle.h"

enum source_kind {
    SOURCE_LDAP,   /* ldap:FILE */
    SOURCE_STATIC, /* static:VALUE: the same for every key */
    SOURCE_PLAIN,  /* a domain of a list */
    SOURCE_PAIRS,  /* inline:{KEY=VALUE …} or texthash:FILE */
};

struct map_source {
    enum source_kind kind;
    struct str text; /* the file's path, the value, or the domain in lower case */
    struct ldapmap_table *table;
    struct searcher *searcher;
    struct map *pairs; /* lower-case key to struct str *, in the set's arena */
};

/* An option of type MAP: its sources are asked in turn until one has an answer. */
struct dirmap {
    const char *option; /* its name */
    struct map_source *v;
    size_t n;
};

/* Facts about domains that may be some seconds old; see domains.h. */
struct domains;

struct dirset {
    unsigned users;
    struct arena *arena;
    struct config *cfg;
    struct pools *pools;
    struct ldapmap_conn_settings shared; /* what facteur.conf says */
    struct searcher *searcher;           /* with these */
    struct binder *binder;
    struct conns *sasl; /* what relayed exchanges have their connections from; NULL: none are */
    struct picture *picture; /* what all searches go through */
    struct sync *sync;       /* NULL: nobody tells of changes */
    void (*changed)(void *arg, struct str dn); /* see sync.h; NULL: nobody wants to know */
    void *changed_arg;

    struct dirmap alias_domains, alias_maps, mailbox_domains, mailbox_maps, uid_maps, gid_maps;
    struct dirmap sender_logins;
    struct dirmap *named; /* the maps that other programs ask by name (maps.h) */
    size_t named_count;
    struct dirmap local_domains, relay_domains, relay_recipients, limit_maps, relocated, groups;
    struct dirmap canonical, sender_canonical, recipient_canonical, sender_bcc, recipient_bcc;
    /* REWRITE_* of ipc/message.h that each applies to */
    unsigned canonical_classes, sender_canonical_classes, recipient_canonical_classes;
    unsigned masquerade_classes;
    struct access_table *access; /* access.c */

    struct secret_pool *secrets; /* the program's; NULL: none */
    struct guard *guard;         /* the same */
    struct guard_rules guarding;

    struct name_rules names;
    struct mailbox_rules mailboxes;
    const char *home_attr, *uid_attr, *gid_attr, *name_attr; /* of user_attrs, and of the name */
    const char *extra_attrs[5];                              /* the same, NULL-terminated */
    const char *asked_attrs[11]; /* and those of account.h, which make nobody a person */
    const char *login_attrs[12]; /* and what says that an administrator has locked the account */
    struct str mail_below_home; /* "mailbox/" of mail_location = maildir:~/mailbox */
    struct domains *domains;
    struct trace *trace; /* see trace.h; NULL: nobody is told */
};

/* One more map of the set: 0, or -1 with a permanent error that names the option; it is to be freed
 * in either case. */
int dirset_read_map(struct dirset *s, struct dirmap *map, const char *option, struct str value,
                    const struct bundle *b, struct err *e);
void dirset_free_map(struct dirset *s, struct dirmap *map);

/* Takes cfg over on success (one user). -1: a permanent error that names the option or file. */
int dirset_new(struct pools *pools, struct config *cfg, const struct bundle *b, struct dirset **out,
               struct err *e);
/* The same as far as it can be judged without a connection; cfg stays the caller's. */
int dirset_check(struct config *cfg, const struct bundle *b, struct err *e);
struct dirset *dirset_hold(struct dirset *s);
/* One user less. What the last one leaves is freed from the event loop. */
void dirset_release(struct dirset *s);
/* At the end of the program: at once, whoever uses it. */
void dirset_free(struct dirset *s);

#endif
