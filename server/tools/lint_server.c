/* Lint: what the server shows to whom, whether it has the indexes that our filters need, and whether
 * what is said to it can be read on the way. */
#include "tools/lint.h"

#include <stdlib.h>

static void take_root(void *arg, const struct ldapmap_entry *entry)
{
    const struct ldapmap_attr *a = ldapmap_entry_attr(entry, "objectClass");
    for (size_t i = 0; a && i < a->count; i++)
        if (str_caseeq(a->values[i], STR("OpenLDAProotDSE")))
            *(bool *)arg = true;
}

/* Debian's name for the first database, until cn=config says another. */
int lint_server(struct lint *l)
{
    static const char *const attrs[] = {"objectClass", NULL};
    l->database = "olcDatabase={1}mdb,cn=config";
    return ldapmap_client_search(l->client, "", LDAPMAP_SCOPE_BASE, "(objectClass=*)", attrs, take_root,
                                 &l->is_openldap, &l->err) < 0 ? -1 : 0;
}

/* --- indexes (slapd's cn=config) --- */

struct database {
    struct lint *l;
    struct str dn;
    size_t suffix_n; /* of the best one so far */
    struct ldapmap_attr indexes;
    struct str usual; /* what a line without kinds stands for; "default eq,sub" says */
};

static void take_database(void *arg, const struct ldapmap_entry *entry)
{
    struct database *d = arg;
    struct lint *l = d->l;
    const struct ldapmap_attr *suffixes = ldapmap_entry_attr(entry, "olcSuffix");
    const struct ldapmap_attr *indexes = ldapmap_entry_attr(entry, "olcDbIndex");
    for (size_t i = 0; suffixes && i < suffixes->count; i++) {
        struct str suffix = lint_fold(l, suffixes->values[i]);
        if (suffix.n < d->suffix_n || !str_ends(lint_fold(l, l->settings.search_base), suffix))
            continue;
        d->suffix_n = suffix.n;
        d->dn = arena_str(l->arena, entry->dn);
        d->indexes = (struct ldapmap_attr){0};
        if (!indexes)
            continue;
        struct str *v = arena_array(l->arena, indexes->count + 1, sizeof *v);
        for (size_t j = 0; j < indexes->count; j++)
            v[j] = arena_str(l->arena, indexes->values[j]);
        d->indexes = (struct ldapmap_attr){.values = v, .count = indexes->count};
    }
}

/* "attr,attr eq,sub": what stands behind the names. */
static struct str index_kinds(struct str line)
{
    struct str names;
    str_token(&line, " \t", &names);
    return str_trim(line);
}

/* The line that names the attribute, or none. */
static struct str index_line(const struct database *d, struct str attr)
{
    struct str real = str_from(lint_real_name(d->l, attr));
    for (size_t i = 0; i < d->indexes.count; i++) {
        struct str rest = d->indexes.values[i], names, name;
        str_token(&rest, " \t", &names);
        while (str_token(&names, ",", &name))
            if (str_caseeq(str_from(lint_real_name(d->l, name)), real))
                return d->indexes.values[i];
    }
    return (struct str){0};
}

static bool kinds_have(struct str kinds, const char *type)
{
    struct str word;
    while (str_token(&kinds, ", \t", &word))
        if (str_caseeq(word, str_from(type)))
            return true;
    return false;
}

/* "sub" is the sum of three; the server is helped by one that fits a piece of the pattern. */
static bool kinds_serve(struct str kinds, struct str pattern)
{
    ptrdiff_t first = str_find(pattern, '*'), last = str_rfind(pattern, '*');
    if (first < 0)
        return kinds_have(kinds, "eq");
    if (pattern.n == 1)
        return kinds_have(kinds, "pres");
    return kinds_have(kinds, "sub") || (first > 0 && kinds_have(kinds, "subinitial")) ||
           ((size_t)last + 1 < pattern.n && kinds_have(kinds, "subfinal")) ||
           (last > first + 1 && kinds_have(kinds, "subany"));
}

static void check_index(void *arg, struct str attr, struct str value)
{
    struct database *d = arg;
    struct lint *l = d->l;
    const char *type = str_eq(value, STR("*")) ? "pres" : str_find(value, '*') >= 0 ? "sub" : "eq";
    struct str line = index_line(d, attr), kinds = index_kinds(line);
    const char *between = kinds.n ? "," : " ";
    AUTO_BUF ldif = {0};
    if (line.n && kinds.n == 0 && d->usual.n) {
        kinds = d->usual;
        between = arena_printf(l->arena, " %.*s,", STR_FMT(kinds)).p;
    }
    if (attr.n == 0 || str_caseeq(attr, STR("objectClass")) || kinds_serve(kinds, value))
        return;
    struct str wanted = line.n ? arena_printf(l->arena, "%.*s%s%s", STR_FMT(line), between, type)
                               : arena_printf(l->arena, "%.*s %s", STR_FMT(attr), type);
    struct ldapmap_change v[2] = {{LDAPMAP_DELETE, "olcDbIndex", arena_strz(l->arena, line)},
                                  {LDAPMAP_ADD, "olcDbIndex", wanted.p}};
    access_ldif_modify(&ldif, arena_strz(l->arena, d->dn), line.n ? v : v + 1, line.n ? 2 : 1);
    lint_found(l, "index-missing", d->dn, &ldif,
               "a filter in use compares %.*s (%s), which has no such index", STR_FMT(attr), type);
    /* Told once. */
    struct str *grown = arena_array(l->arena, d->indexes.count + 2, sizeof *grown);
    if (d->indexes.count)
        memcpy(grown, d->indexes.values, d->indexes.count * sizeof *grown);
    for (size_t i = 0; i < d->indexes.count; i++)
        if (line.n && str_eq(grown[i], line))
            grown[i] = wanted;
    if (!line.n)
        grown[d->indexes.count++] = wanted;
    d->indexes.values = grown;
}

int lint_indexes(struct lint *l)
{
    static const char *const attrs[] = {"olcSuffix", "olcDbIndex", NULL};
    struct database d = {.l = l};
    struct err e = {0};
    if (!l->is_openldap) {
        lint_note(l, "not looked at: indexes; only OpenLDAP's are known here");
        return 0;
    }
    int r = ldapmap_client_search(l->client, "cn=config", LDAPMAP_SCOPE_SUB, "(olcSuffix=*)", attrs,
                                  take_database, &d, &e);
    if (r != 0 || !d.dn.n) {
        lint_note(l, "not looked at: indexes; cn=config cannot be read this way%s%s (try -Y EXTERNAL "
                     "-H ldapi:/// as root)", r < 0 ? ": " : "", r < 0 ? e.log : "");
        return 0;
    }
    l->database = arena_strz(l->arena, d.dn);
    d.usual = index_kinds(index_line(&d, STR("default")));
    for (size_t i = 0; i < l->tables.n; i++)
        tool_filter_walk(ldapmap_table_filter(l->tables.v[i].table), check_index, &d);
    tool_filter_walk(l->cfg->user_filter, check_index, &d);
    return 0;
}

/* --- rights --- */

struct seen {
    struct lint *l;
    struct str first, first_hash;
    size_t entries, hashes;
};

static void see(void *arg, const struct ldapmap_entry *entry)
{
    struct seen *s = arg;
    const struct ldapmap_attr *hash = ldapmap_entry_attr(entry, "userPassword");
    if (s->entries++ == 0)
        s->first = arena_str(s->l->arena, entry->dn);
    if (hash && hash->count && s->hashes++ == 0)
        s->first_hash = arena_str(s->l->arena, entry->dn);
}

static int see_as(struct lint *l, const struct ldapmap_conn_settings *settings, struct seen *s)
{
    static const char *const attrs[] = {"userPassword", NULL};
    struct ldapmap_client *client = NULL;
    struct err e = {0};
    *s = (struct seen){.l = l};
    if (ldapmap_client_open(settings, &client, &e) != 0)
        return -1;
    /* A refusal is what we hope for. */
    ldapmap_client_search(client, l->settings.search_base.p, LDAPMAP_SCOPE_SUB, "(objectClass=*)",
                          attrs, see, s, &e);
    ldapmap_client_close(client);
    return 0;
}

/* Other servers have rules of another kind, which stand in the entries. */
static void mend_access(struct lint *l, const char *rule, struct buf *ldif)
{
    struct ldapmap_change v = {LDAPMAP_ADD, "olcAccess", rule};
    if (l->is_openldap)
        access_ldif_modify(ldif, l->database, &v, 1);
}

/* One rule for both findings: said twice, the second would stop ldapmodify. */
static void found_hashes(struct lint *l, const struct seen *s, const char *who, bool *told)
{
    AUTO_BUF ldif = {0};
    if (!s->hashes)
        return;
    if (!*told)
        mend_access(l, "{0}to attrs=userPassword by self =xw by anonymous auth by * none", &ldif);
    lint_found(l, "hash-readable", s->first_hash, &ldif, "%s reads userPassword of %zu entries%s", who,
               s->hashes, *told ? "; the rule before ends that too" : "");
    *told = true;
}

/* Entries are hidden from strangers and nothing else: who logs in is one until then, and what the
 * server asks of him before he may say a password stays as it is. */
static void found_anonymous(struct lint *l, const struct seen *s)
{
    AUTO_BUF ldif = {0};
    if (!s->entries)
        return;
    mend_access(l, arena_printf(l->arena, "{0}to dn.subtree=\"%.*s\" attrs=entry by anonymous none by * "
                                          "break", STR_FMT(l->settings.search_base)).p, &ldif);
    lint_found(l, "anonymous", s->first, &ldif, "anybody reads %zu entries without logging in",
               s->entries);
}

/* What the reader of facteur.conf and what a stranger may see, whoever runs this. */
void lint_rights(struct lint *l)
{
    struct access_options reader = {.uri = l->access.uri};
    struct ldapmap_conn_settings settings = {0};
    struct seen s;
    struct err e = {0};
    bool told = false;
    if (access_settings(&reader, l->cfg, l->arena, &settings, &e) != 0 ||
        see_as(l, &settings, &s) != 0)
        lint_note(l, "not looked at: what the reader may see; it cannot log in from here");
    else
        found_hashes(l, &s, "the reader", &told);
    ldapmap_conn_wipe(&settings);
    settings.bind = LDAPMAP_BIND_NONE;
    settings.bind_dn = (struct str){0};
    if (settings.server_count == 0 || see_as(l, &settings, &s) != 0)
        return;
    found_hashes(l, &s, "anybody", &told);
    found_anonymous(l, &s);
}

/* --- the way there --- */

/* Passwords go this way. What comes over ldapi:// stays on the machine, and slapd takes that for 71. */
void lint_transport(struct lint *l)
{
    static const char mend[] = "dn: cn=config\nchangetype: modify\nadd: olcSecurity\n"
                               "olcSecurity: simple_bind=128\n-\n"
                               "replace: olcLocalSSF\nolcLocalSSF: 128\n-\n\n";
    const struct config *c = l->cfg;
    for (size_t i = 0; i < c->ldap_server_host.n; i++) {
        struct str host = c->ldap_server_host.v[i];
        AUTO_BUF ldif = {0};
        if (c->ldap_start_tls || str_casestarts(host, STR("ldaps:")) ||
            str_casestarts(host, STR("ldapi:")))
            continue;
        if (l->is_openldap)
            buf_str(&ldif, str_from(mend));
        lint_found(l, "clear-text", host, &ldif, "passwords go to this server in the clear: set "
                   "ldap_start_tls = yes in facteur.conf, and let the server demand it");
    }
    if (!c->ldap_tls_require_cert)
        lint_found(l, "clear-text", STR("facteur.conf"), NULL, "ldap_tls_require_cert = no: anybody "
                   "on the way can be the directory");
}
