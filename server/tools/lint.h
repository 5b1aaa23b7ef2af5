/* The parts of facteur directory lint. Everything lies in the arena until the end. */
#ifndef FACTEUR_TOOLS_LINT_H
#define FACTEUR_TOOLS_LINT_H

#include "base/map.h"
#include "tools/access.h"
#include "tools/filters.h"

struct lint_entry {
    struct lint_entry *next;
    struct ldapmap_entry e; /* a copy */
    bool is_person;         /* has some of home, uid and gid */
    enum { LINT_UNSEEN, LINT_INSIDE, LINT_SEEN } walk;
};

struct lint {
    struct arena *arena;
    struct config *cfg;
    struct access_options access;
    const char *login, *login_password_file; /* who tries the SASL mechanisms; NULL: nobody, asked for */
    struct ldapmap_conn_settings settings;
    struct ldapmap_client *client;
    struct tool_tables tables;
    const char *home_attr, *uid_attr, *gid_attr, *name_attr;
    struct lint_entry *first, **last;
    struct map *by_dn;      /* all entries */
    struct map *by_name;    /* persons */
    struct map *by_uid;     /* persons */
    struct map *by_home;    /* persons */
    struct map *by_alias;   /* address to the first entry that has it */
    struct map *by_mailbox; /* mailbox address to the person */
    struct map *domains;    /* hosted ones */
    struct map *names;      /* of attributes, see schema_attributes */
    uint64_t top_uid;
    bool is_openldap;       /* or another server, whose settings are not ours to write */
    const char *database;   /* of cn=config, that holds search_base; a guess where it may not be read */
    bool json;
    size_t findings;
    struct buf out, notes;
    struct err err;
};

/* One finding; ldif is a whole record or empty. */
void lint_found(struct lint *l, const char *check, struct str dn, const struct buf *ldif,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Something that could not be looked at. */
void lint_note(struct lint *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A DN or address in a form in which equal ones are equal bytes, as far as case and blanks go. */
struct str lint_fold(struct lint *l, struct str s);
/* The name that the server gives an attribute; as it is, where its schema is not shown. */
const char *lint_real_name(struct lint *l, struct str attr);
const struct ldapmap_attr *lint_attr(const struct lint_entry *x, const char *name);
struct str lint_value(const struct lint_entry *x, const char *name); /* the first; or none */

/* lint_entries.c: the entries, taken in one by one, then checked. */
void lint_take(void *lint, const struct ldapmap_entry *entry);
void lint_persons(struct lint *l);
int lint_members(struct lint *l);

/* lint_addresses.c: whose they are, where they lead. Before the people. */
void lint_addresses(struct lint *l);
bool lint_has_alias(const struct lint *l, const struct lint_entry *x);

/* The LDIF of one change to an entry, in place of what out held. */
void lint_mend(struct lint *l, const struct lint_entry *x, enum ldapmap_change_kind kind,
               const char *attr, struct str value, struct buf *out);

/* lint_accounts.c: states, forwarding and absence. */
void lint_accounts(struct lint *l);
/* The attributes for that, NULL-terminated; the arena's. */
const char *const *lint_account_attrs(const struct config *cfg, struct arena *a);

/* lint_server.c: what the server is, lets be seen, and how it finds. Each 0, or -1 and l->err; the
 * first one goes before all others. */
int lint_server(struct lint *l);
int lint_indexes(struct lint *l);
void lint_rights(struct lint *l);
void lint_transport(struct lint *l);

/* lint_sasl.c: do the mechanisms of sasl_relay_mechanisms log somebody in? */
void lint_mechanisms(struct lint *l);

#endif
