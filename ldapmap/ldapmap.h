/*
 * LDAP lookup tables: Postfix's ldap_table(5) files, read as they are, with the same answers.
 *
 * Two halves, both free of system calls and of sockets. A table is parsed from bytes that somebody
 * else read. A query is a state machine: it says which search it wants, takes the entries and the
 * result code, and ends with one of three answers for each table: yes with values, no, cannot say.
 * A blocking driver (the ldapmap command) and an event-driven one (the directory program) run the
 * same machine; what touches libldap is in ldapmap_conn.h.
 *
 * LDAP strings per RFC 4514 (DNs), 4515 (filters), 4516 (URLs).
 */
#ifndef FACTEUR_LDAPMAP_LDAPMAP_H
#define FACTEUR_LDAPMAP_LDAPMAP_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

/* --- connection settings --- */

enum ldapmap_bind { LDAPMAP_BIND_NONE, LDAPMAP_BIND_SIMPLE, LDAPMAP_BIND_SASL };

/* LDAP's own numbers (RFC 4511, section 4.5.1.2), so that drivers pass them on. */
enum ldapmap_scope { LDAPMAP_SCOPE_BASE = 0, LDAPMAP_SCOPE_ONE = 1, LDAPMAP_SCOPE_SUB = 2 };

#define LDAPMAP_SERVERS_MAX 16

/* How to reach the directory, and where in it to look. The strings live in the arena that was given
 * when they were set and are NUL-terminated one past the view; bind_pw is owned by the structure.
 */
struct ldapmap_conn_settings {
    struct str servers[LDAPMAP_SERVERS_MAX]; /* LDAP URLs, in the order to try them */
    size_t server_count;
    uint32_t server_port; /* for hosts named without one */
    uint32_t timeout;     /* seconds, for connecting and for each search; at least 1 */
    uint32_t version;     /* 2 or 3 */
    enum ldapmap_bind bind;
    struct str bind_dn;
    struct secret bind_pw;
    struct str sasl_mechs;    /* with SASL: EXTERNAL, the only one that needs no password */
    struct str sasl_authz_id; /* RFC 4513 section 5.2.1.8; empty: who the connection shows */
    bool start_tls;
    bool tls_require_cert;
    struct str tls_ca_cert_dir, tls_ca_cert_file, tls_cert, tls_key;
    struct str tls_random_file, tls_cipher_suite;
    uint32_t dereference; /* 0 never, 1 searching, 2 finding the base, 3 always */
    bool chase_referrals;
    uint32_t debuglevel;
    struct str search_base; /* a template, as query_filter */
    enum ldapmap_scope scope;
};

/* ldap_table(5)'s defaults: ldap://localhost:389, 10 seconds, version 3, simple bind as nobody. */
void ldapmap_conn_init(struct ldapmap_conn_settings *s, struct arena *a);
/* Wipes the password; the strings go with their arena. */
void ldapmap_conn_wipe(struct ldapmap_conn_settings *s);
/* Sets one by its ldap_table(5) name ("server_host", "server_port" (before server_host, for hosts
 * that name none), "bind_pw", "search_base", …). 0; -1 for an unknown name or a bad value. */
int ldapmap_conn_set(struct ldapmap_conn_settings *s, struct arena *a, struct str name,
                     struct str value, struct err *e);
/* True when both lead to the same servers with the same rights: one connection can serve both.
 * search_base and scope are not part of a connection and are not compared. */
bool ldapmap_conn_same(const struct ldapmap_conn_settings *a,
                       const struct ldapmap_conn_settings *b);

/* --- tables --- */

struct ldapmap_table;

#define LDAPMAP_FILE_MAX ((size_t)256 * 1024)

/* Parses one ldap_table(5) file. text is the whole file, at most LDAPMAP_FILE_MAX bytes; name is
 * its path, for messages. defaults (may be NULL) stands for what the file does not say. A bad line,
 * unknown name or value out of range is a permanent error naming file, line and the nearest known
 * name. Free with ldapmap_table_free. */
int ldapmap_table_parse(struct str text, struct str name,
                        const struct ldapmap_conn_settings *defaults, struct ldapmap_table **out,
                        struct err *e);
void ldapmap_table_free(struct ldapmap_table *t); /* NULL is fine */
const struct ldapmap_conn_settings *ldapmap_table_conn(const struct ldapmap_table *t);
/* The names of the attributes it asks for, NULL-terminated: for messages. */
const char *const *ldapmap_table_attrs(const struct ldapmap_table *t);

struct str ldapmap_table_filter(const struct ldapmap_table *t); /* query_filter */

/* True when one search can answer both: same connection, base, scope, dereferencing and filter. */
bool ldapmap_table_shares(const struct ldapmap_table *a, const struct ldapmap_table *b);
/* True when an entry found for user@D in addresses is found for D in domains too: the same search,
 * but for "=*@%s" in the one where the other has "=%s", and nothing negated. */
bool ldapmap_table_implies(const struct ldapmap_table *addresses,
                           const struct ldapmap_table *domains);
/* --- queries --- */

/* Bounds of one query beyond what the tables' own limits say; 0 stands for the default. A query
 * that passes one of them ends in "cannot say". */
struct ldapmap_limits {
    size_t key_bytes; /* 4096 */
    size_t searches;  /* 10000: searches caused by special_result_attribute, all together */
    size_t entries;   /* 100000, all together */
    size_t bytes;     /* 64 MiB of entries, all together */
};

/* A search to make. All strings NUL-terminated; valid until the query's arena is reset. */
struct ldapmap_search {
    const char *base;
    int scope;                /* enum ldapmap_scope's numbers */
    const char *filter;       /* never NULL; parentheses around it are not promised */
    const char *const *attrs; /* NULL-terminated, never empty ("1.1" for none) */
    int sizelimit;            /* entries; 0: none */
    int timelimit;            /* seconds */
    int deref;                /* 0 to 3 */
};

struct ldapmap_attr {
    struct str name; /* as the server wrote it, with options */
    const struct str *values;
    size_t count;
};

struct ldapmap_entry {
    struct str dn;
    const struct ldapmap_attr *attrs;
    size_t count;
};

/* The attribute of that name (ASCII case ignored, options must be equal), or NULL. */
const struct ldapmap_attr *ldapmap_entry_attr(const struct ldapmap_entry *entry, const char *name);
/* A copy that is all the arena's. */
void ldapmap_entry_copy(struct arena *a, const struct ldapmap_entry *from, struct ldapmap_entry *to);

enum ldapmap_answer {
    LDAPMAP_CANNOT_SAY, /* see err; never taken for "no" */
    LDAPMAP_NO,
    LDAPMAP_YES
};

struct ldapmap_value {
    struct str value;                  /* after result_format */
    const struct ldapmap_entry *entry; /* the entry it was read from */
    const struct ldapmap_entry *root; /* the entry the key matched that led to it; often the same */
};

struct ldapmap_result {
    enum ldapmap_answer answer;
    const struct ldapmap_value *values; /* in the order the server gave; duplicates are kept */
    size_t count;
    struct err err; /* for LDAPMAP_CANNOT_SAY: temporary, for the log; no client text */
};

struct ldapmap_query;

/* A lookup of key in tables[0..count) (which all share their search, count at least 1), fused into
 * one search. extra (NULL-terminated, may be NULL): further attributes to ask for, seen in
 * ldapmap_query_entry_at only. Everything is taken from the arena a, which must outlive the query;
 * so must tables. limits may be NULL. There is nothing to free. */
struct ldapmap_query *ldapmap_query_new(struct arena *a, const struct ldapmap_limits *limits,
                                        const struct ldapmap_table *const *tables, size_t count,
                                        struct str key, const char *const *extra);

/* Does any entry match key at all? One entry and no attributes are asked for; one entry together
 * with "size limit exceeded" is yes. The answer equals a lookup's when each matching entry has a
 * value. YES comes without values. */
struct ldapmap_query *ldapmap_query_exists(struct arena *a, const struct ldapmap_limits *limits,
                                           const struct ldapmap_table *table, struct str key);

/* True: *out is a search to make; give its entries and its end before asking again. False: finished
 * (at once when the key needs no search: wrong domain, parts missing). */
bool ldapmap_query_next(struct ldapmap_query *q, struct ldapmap_search *out);
/* One entry of the search under way; copied. */
void ldapmap_query_entry(struct ldapmap_query *q, const struct ldapmap_entry *entry);
/* The search under way ended: LDAP's result code (negative ones are libldap's own, such as -1
 * server down, -5 timeout, and -7 bad filter) and the server's or library's explanation, which may
 * be empty. */
void ldapmap_query_done(struct ldapmap_query *q, int code, struct str diagnostic);

/* After ldapmap_query_next said false; the number is the table's place in tables. */
const struct ldapmap_result *ldapmap_query_result(const struct ldapmap_query *q, size_t table);
/* The values joined with commas, as postmap -q prints them. */
struct str ldapmap_result_joined(struct arena *a, const struct ldapmap_result *r);
/* The entries the key itself matched, with all attributes that were asked for (extra too). Not
 * meaningful when every result is LDAPMAP_CANNOT_SAY. */
size_t ldapmap_query_entry_count(const struct ldapmap_query *q);
const struct ldapmap_entry *ldapmap_query_entry_at(const struct ldapmap_query *q, size_t i);

/* --- escaping, also for templates elsewhere (user_filter, auth_bind_userdn) --- */

/* For a value inside a filter (RFC 4515, section 3), and inside a DN (RFC 4514, section 2.4). */
int ldapmap_escape_filter(struct buf *out, struct str value);
int ldapmap_escape_dn(struct buf *out, struct str value);
/* The key as tables look it up: case folded (Unicode where it is UTF-8), in the arena. */
struct str ldapmap_key_fold(struct arena *a, struct str key);

#endif
