/*
 * facteur user: people as entries. Each change is printed as LDIF, and applied unless --dry-run stands
 * before it; what an entry looks like follows the article's schema (postfixUser) and facteur.conf.
 */
#include "mail/address.h"
#include "tools/access.h"
#include "tools/prompt.h"
#include "tools/schema.h"
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ADDRESSES_MAX 32
#define CHANGES_MAX 64
#define LOCK "pwdAccountLockedTime" /* draft-behera-ldap-password-policy section 5.3.3 */
#define NS_LOCK "nsAccountLock"     /* of 389 Directory Server, and so of FreeIPA */

struct user_command {
    struct access_options access;
    const char *verb, *name;
    const char *full_name, *home, *by;
    const char *address[ADDRESSES_MAX];
    size_t addresses;
    uint64_t uid, gid; /* 0: not given */
    bool dry_run, no_password;

    struct config *cfg;
    struct arena *arena;
    struct ldapmap_conn_settings settings;
    struct ldapmap_client *client;
    struct err err;
};

/* --- looking --- */

struct people {
    struct user_command *u;
    struct str dn; /* of the last entry */
    struct str states;
    const char *status_attr; /* says "active" or "disabled"; NULL: the entry has none such */
    size_t count;
    uint64_t top_uid;
};

static const char *filter_for(struct user_command *u, const char *attr, struct str value)
{
    AUTO_BUF b = {0};
    buf_printf(&b, "(%s=", attr);
    ldapmap_escape_filter(&b, value);
    buf_byte(&b, ')');
    return arena_strz(u->arena, buf_view(&b));
}

/* That value in a person's entry: others may lead to it. */
static const char *filter_for_person(struct user_command *u, const char *attr, struct str value)
{
    return arena_printf(u->arena, "(&%s(uidNumber=*))", filter_for(u, attr, value)).p;
}

static struct str first_value(const struct ldapmap_entry *entry, const char *name)
{
    const struct ldapmap_attr *a = ldapmap_entry_attr(entry, name);
    return a && a->count ? a->values[0] : (struct str){0};
}

static void note_entry(void *arg, const struct ldapmap_entry *entry)
{
    struct people *p = arg;
    const struct ldapmap_attr *classes = ldapmap_entry_attr(entry, "objectClass");
    uint64_t uid;
    p->count++;
    p->dn = arena_str(p->u->arena, entry->dn);
    if (first_value(entry, "userAccountControl").p)
        p->states = arena_str(p->u->arena, first_value(entry, "userAccountControl"));
    for (size_t i = 0; classes && i < classes->count; i++)
        if (str_caseeq(classes->values[i], STR("facteurAccount")))
            p->status_attr = "facteurAccountStatus";
        else if (!p->status_attr && str_caseeq(classes->values[i], STR("qmailUser")))
            p->status_attr = "accountStatus";
    if (str_u64(first_value(entry, "uidNumber"), &uid) == 0 && uid > p->top_uid)
        p->top_uid = uid;
}

static int look(struct user_command *u, const char *filter, struct people *p)
{
    static const char *const attrs[] = {"objectClass", "uidNumber", "userAccountControl", NULL};
    *p = (struct people){.u = u};
    return ldapmap_client_search(u->client, u->settings.search_base.p, LDAPMAP_SCOPE_SUB, filter,
                                 attrs, note_entry, p, &u->err);
}

static const char *name_attr(const struct user_command *u)
{
    return arena_strz(u->arena, u->cfg->user_name_attribute);
}

/* The one entry of that name. */
static int find_user(struct user_command *u, struct people *p)
{
    if (look(u, filter_for(u, name_attr(u), str_from(u->name)), p) < 0)
        return -1;
    if (p->count == 1)
        return 0;
    return err_perm(&u->err, p->count ? "%s: several entries have this name"
                                      : "%s: no entry has this name", u->name);
}

/* --- changing --- */

/* Prints, and applies unless it is only shown. */
static int apply(struct user_command *u, const char *dn, bool is_new, const struct ldapmap_change *v,
                 size_t n)
{
    AUTO_BUF ldif = {0};
    if (is_new)
        access_ldif_add(&ldif, dn, v, n);
    else
        access_ldif_modify(&ldif, dn, v, n);
    fwrite(ldif.p, 1, ldif.n, stdout);
    fflush(stdout);
    if (u->dry_run)
        return 0;
    return is_new ? ldapmap_client_add(u->client, dn, v, n, &u->err)
                  : ldapmap_client_modify(u->client, dn, v, n, &u->err);
}

/* Asked for before anything is changed. */
static int read_password(struct user_command *u, struct secret *out)
{
    struct secret second = {0};
    if (u->dry_run)
        return 0;
    int r = prompt_password("New password: ", out);
    if (r == 0 && isatty(STDIN_FILENO))
        r = prompt_password("Again: ", &second);
    bool differ = second.p && !secret_eq((struct str){out->p, out->n}, (struct str){second.p, second.n});
    secret_free(&second);
    if (r == 0 && out->n && !differ)
        return 0;
    secret_free(out);
    return err_perm(&u->err, differ ? "the two passwords differ" : "no password came");
}

static int set_password(struct user_command *u, const char *dn, struct secret *password)
{
    printf("# The password of %s is set by the password modify operation (RFC 3062).\n", dn);
    int r = u->dry_run ? 0 : ldapmap_client_password(u->client, dn, password, &u->err);
    secret_free(password);
    return r;
}

/* --- add --- */

static int refuse_found(struct user_command *u, const char *filter, const char *attr, struct str value)
{
    struct people p;
    if (look(u, filter, &p) < 0)
        return -1;
    if (p.count == 0)
        return 0;
    return err_perm(&u->err, "%s %.*s is taken by %.*s", attr, STR_FMT(value), STR_FMT(p.dn));
}

static int refuse_taken(struct user_command *u, const char *attr, struct str value)
{
    return refuse_found(u, filter_for(u, attr, value), attr, value);
}

static const char *mailbox_address(struct user_command *u)
{
    struct str rest = u->cfg->value[config_find(STR("virtual_mailbox_domains")) - config_options];
    struct str domain, host = u->cfg->myhostname;
    while (str_token(&rest, ", \t", &domain))
        if (str_find(domain, ':') < 0) {
            host = domain;
            break;
        }
    return arena_printf(u->arena, "%s@%.*s", u->name, STR_FMT(host)).p;
}

static int check_id(struct user_command *u, const char *what, uint64_t id)
{
    if (id >= (uint64_t)u->cfg->virtual_minimum_uid && id <= TOOL_ID_MAX)
        return 0;
    return err_perm(&u->err, "%s %llu lies outside virtual_minimum_uid and %u", what,
                    (unsigned long long)id, TOOL_ID_MAX);
}

/* The free one above all that are in use, and above the floor. */
static int choose_uid(struct user_command *u)
{
    struct people p;
    if (u->uid == 0) {
        if (look(u, "(uidNumber=*)", &p) < 0)
            return -1;
        uint64_t floor = (uint64_t)u->cfg->virtual_minimum_uid;
        u->uid = p.top_uid >= floor ? p.top_uid + 1 : floor;
    }
    if (u->gid == 0)
        u->gid = u->uid;
    if (check_id(u, "uid", u->uid) != 0 || check_id(u, "gid", u->gid) != 0)
        return -1;
    return refuse_taken(u, "uidNumber",
                        arena_printf(u->arena, "%llu", (unsigned long long)u->uid));
}

/* One that mail can be sent to; "@example.com" stands for all of a domain. */
static int check_address(struct user_command *u, const char *text)
{
    struct str address = str_from(text), domain;
    struct mail_address parts;
    struct err e = {0};
    int r = text[0] == '@'
                ? mail_domain_parse(u->arena, str_skip(address, 1), MAIL_ADDRESS_UTF8, &domain, NULL, &e)
                : mail_address_parse(u->arena, address, MAIL_ADDRESS_UTF8, &parts, &e);
    return r == 0 ? 0 : err_perm(&u->err, "--mail %.200s is no address: %s", text, e.log);
}

static int check_name(struct user_command *u)
{
    struct str name = str_from(u->name);
    bool fine = name.n && name.n <= 64 && name.p[0] != '.' && name.p[0] != '-';
    for (size_t i = 0; i < name.n; i++)
        fine = fine && ((name.p[i] >= 'a' && name.p[i] <= 'z') ||
                        (name.p[i] >= '0' && name.p[i] <= '9') || strchr("._-", name.p[i]));
    return fine ? 0 : err_perm(&u->err, "%.100s: a name is made of a-z, 0-9, \".\", \"_\" and \"-\"",
                               u->name);
}

/* An address is taken where it is somebody's, be it that of his mailbox. */
static int refuse_address(struct user_command *u, const char *text)
{
    struct str address = str_from(text);
    if (check_address(u, text) != 0 || refuse_taken(u, "mailacceptinggeneralid", address) != 0)
        return -1;
    return refuse_found(u, filter_for_person(u, "maildrop", address), "maildrop", address);
}

static int refuse_collisions(struct user_command *u, const char *home, const char *mailbox)
{
    struct str at_home = str_from(home);
    if (refuse_taken(u, name_attr(u), str_from(u->name)) != 0 || choose_uid(u) != 0 ||
        refuse_taken(u, "homeDirectory", at_home) != 0 ||
        refuse_taken(u, "homeDirectory", arena_concat(u->arena, at_home, STR("/"))) != 0 ||
        refuse_taken(u, "maildrop", str_from(mailbox)) != 0 ||
        refuse_taken(u, "mailacceptinggeneralid", str_from(mailbox)) != 0)
        return -1;
    for (size_t i = 0; i < u->addresses; i++)
        if (refuse_address(u, u->address[i]) != 0)
            return -1;
    return 0;
}

/* Without slashes at its end; NULL and an error where it lies outside. */
static const char *choose_home(struct user_command *u)
{
    struct str base = u->cfg->virtual_mailbox_base, home = str_from(u->home ? u->home : "");
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    if (!u->home)
        home = arena_printf(u->arena, "%.*s/%s", STR_FMT(base), u->name);
    while (home.n > 1 && home.p[home.n - 1] == '/')
        home.n--;
    if (tool_is_below(home, base))
        return arena_strz(u->arena, home);
    err_perm(&u->err, "home %.*s does not lie below %.*s", STR_FMT(str_head(home, 200)), STR_FMT(base));
    return NULL;
}

static const char *number(struct user_command *u, uint64_t n)
{
    return arena_printf(u->arena, "%llu", (unsigned long long)n).p;
}

static int user_add(struct user_command *u)
{
    struct ldapmap_change v[CHANGES_MAX];
    size_t n = 0;
    const char *mailbox = mailbox_address(u), *name = u->name;
    const char *home = check_name(u) == 0 ? choose_home(u) : NULL;
    if (!home || refuse_collisions(u, home, mailbox) != 0)
        return -1;
#define PUT(a, x) v[n++] = (struct ldapmap_change){LDAPMAP_ADD, (a), (x)}
    PUT("objectClass", "top");
    PUT("objectClass", "account");
    PUT("objectClass", "posixAccount");
    PUT("objectClass", "postfixUser");
    PUT("uid", name);
    PUT("cn", u->full_name ? u->full_name : name);
    PUT("uidNumber", number(u, u->uid));
    PUT("gidNumber", number(u, u->gid));
    PUT("homeDirectory", home);
    for (size_t i = 0; i < u->addresses; i++)
        PUT("mailacceptinggeneralid", u->address[i]);
    PUT("maildrop", mailbox);
#undef PUT
    const char *dn = arena_printf(u->arena, "uid=%s,%s", name, u->settings.search_base.p).p;
    struct secret password = {0};
    if (!u->no_password && read_password(u, &password) != 0)
        return -1;
    if (apply(u, dn, true, v, n) == 0)
        return u->no_password ? 0 : set_password(u, dn, &password);
    secret_free(&password);
    return -1;
}

/* --- disable, enable, passwd --- */

/* An entry that has nothing yet to say it with: the lock that the server itself heeds, 389 Directory
 * Server's or that of OpenLDAP's ppolicy overlay, where it knows one; else the class facteurAccount.
 * Fills v; the number of changes, or -1. */
static int first_state(struct user_command *u, bool off, struct ldapmap_change v[2])
{
    struct schema_name names[] = {{LOCK, false}, {"facteurAccountStatus", false}, {NS_LOCK, false}};
    if (schema_look(u->client, names, 3, &u->err) != 0)
        return -1;
    if (names[2].known) {
        v[0] = (struct ldapmap_change){off ? LDAPMAP_REPLACE : LDAPMAP_DELETE, NS_LOCK,
                                       off ? "TRUE" : NULL};
        return 1;
    }
    if (names[0].known) {
        v[0] = (struct ldapmap_change){off ? LDAPMAP_REPLACE : LDAPMAP_DELETE, LOCK,
                                       off ? "000001010000Z" : NULL};
        return 1;
    }
    if (!off)
        return err_perm(&u->err, "%s: nothing in the entry says that it is disabled", u->name);
    if (!names[1].known)
        return err_perm(&u->err, "the server's schema has neither facteurAccount (schema/facteur.ldif) nor"
                                 " ppolicy's " LOCK "; say --by ATTRIBUTE=VALUE");
    v[0] = (struct ldapmap_change){LDAPMAP_ADD, "objectClass", "facteurAccount"};
    v[1] = (struct ldapmap_change){LDAPMAP_REPLACE, "facteurAccountStatus", "disabled"};
    return 2;
}

/* How this entry says that its owner may not log in: --by, Active Directory's bit, the status of
 * facteurAccount or of qmail. Fills v; the number of changes, or -1. */
static int state_changes(struct user_command *u, const struct people *p, bool off,
                         struct ldapmap_change v[2])
{
    enum { ACCOUNTDISABLE = 2 };
    uint64_t bits;
    const char *eq = u->by ? strchr(u->by, '=') : NULL;
    if (eq) {
        const char *attr = arena_strz(u->arena, (struct str){u->by, (size_t)(eq - u->by)});
        v[0] = (struct ldapmap_change){off ? LDAPMAP_REPLACE : LDAPMAP_DELETE, attr,
                                       off ? eq + 1 : NULL};
        return 1;
    }
    if (str_u64(p->states, &bits) == 0) {
        bits = off ? bits | ACCOUNTDISABLE : bits & ~(uint64_t)ACCOUNTDISABLE;
        v[0] = (struct ldapmap_change){LDAPMAP_REPLACE, "userAccountControl", number(u, bits)};
        return 1;
    }
    if (!p->status_attr)
        return first_state(u, off, v);
    v[0] = (struct ldapmap_change){LDAPMAP_REPLACE, p->status_attr, off ? "disabled" : "active"};
    return 1;
}

static void note_lock(void *arg, const struct ldapmap_entry *entry)
{
    *(bool *)arg = first_value(entry, LOCK).p != NULL;
}

/* slapd heeds the lock only under a policy with pwdLockout; Facteur heeds it in any case, where its
 * reader may see it. */
static void warn_of_unseen(struct user_command *u, const char *dn)
{
    static const struct access_options as_reader = {.external = false};
    static const char *const attrs[] = {LOCK, NULL};
    struct ldapmap_conn_settings settings = {.server_count = 0};
    struct ldapmap_client *reader = NULL;
    struct err e = {0};
    bool seen = false;
    if (access_settings(&as_reader, u->cfg, u->arena, &settings, &e) != 0 ||
        ldapmap_client_open(&settings, &reader, &e) != 0 ||
        ldapmap_client_search(reader, dn, LDAPMAP_SCOPE_BASE, "(objectClass=*)", attrs, note_lock,
                              &seen, &e) < 0)
        tool_fail("user", "could not see whether the reader sees the lock: %s", e.log);
    else if (!seen)
        tool_fail("user", "the reader of facteur.conf may not see " LOCK ": where the password policy "
                          "has no pwdLockout, logins go on; let it read that, or say --by");
    ldapmap_client_close(reader);
    ldapmap_conn_wipe(&settings);
}

static int user_state(struct user_command *u, bool off)
{
    struct people p;
    if (u->by && !strchr(u->by, '='))
        return err_perm(&u->err, "--by needs ATTRIBUTE=VALUE");
    if (find_user(u, &p) != 0)
        return -1;
    struct ldapmap_change v[2];
    const char *dn = arena_strz(u->arena, p.dn);
    int n = state_changes(u, &p, off, v);
    if (n < 0 || apply(u, dn, false, v, (size_t)n) != 0)
        return -1;
    if (off && !u->dry_run && strcmp(v[0].attr, LOCK) == 0)
        warn_of_unseen(u, dn);
    return 0;
}

static int user_disable(struct user_command *u)
{
    return user_state(u, true);
}

static int user_enable(struct user_command *u)
{
    return user_state(u, false);
}

static int user_passwd(struct user_command *u)
{
    struct people p;
    struct secret password = {0};
    if (find_user(u, &p) != 0 || read_password(u, &password) != 0)
        return -1;
    return set_password(u, arena_strz(u->arena, p.dn), &password);
}

/* --- show, list --- */

static void print_entry(void *arg, const struct ldapmap_entry *entry)
{
    AUTO_BUF out = {0};
    size_t *count = arg;
    (*count)++;
    access_ldif_line(&out, "dn", entry->dn);
    for (size_t i = 0; i < entry->count; i++) {
        AUTO_FREE char *name = mem_strdup(entry->attrs[i].name);
        for (size_t j = 0; j < entry->attrs[i].count; j++)
            access_ldif_line(&out, name, entry->attrs[i].values[j]);
    }
    buf_byte(&out, '\n');
    fwrite(out.p, 1, out.n, stdout);
}

static int print_matching(struct user_command *u, const char *filter, const char *const *attrs,
                          size_t *count)
{
    *count = 0;
    return ldapmap_client_search(u->client, u->settings.search_base.p, LDAPMAP_SCOPE_SUB, filter,
                                 attrs, print_entry, count, &u->err) < 0 ? -1 : 0;
}

static int user_show(struct user_command *u)
{
    static const char *const attrs[] = {
        "objectClass", "uid", "cn", "uidNumber", "gidNumber", "homeDirectory", "mail",
        "mailacceptinggeneralid", "maildrop", LOCK, "accountStatus",
        "facteurAccountStatus", "facteurForward", "facteurQuota", "facteurVacationText",
        "facteurVacationStart", "facteurVacationEnd", "userAccountControl", NS_LOCK, NULL};
    size_t count;
    if (print_matching(u, filter_for(u, name_attr(u), str_from(u->name)), attrs, &count) != 0)
        return -1;
    return count ? 0 : err_perm(&u->err, "%s: no entry has this name", u->name);
}

static int user_list(struct user_command *u)
{
    const char *const attrs[] = {name_attr(u), "uidNumber", "homeDirectory",
                                 "mailacceptinggeneralid", "maildrop", NULL};
    size_t count;
    return print_matching(u, "(objectClass=posixAccount)", attrs, &count);
}

/* --- the command --- */

static const struct verb {
    const char *name;
    int (*run)(struct user_command *u);
    bool named, changes;
} verbs[] = {
    {"add", user_add, true, true},       {"show", user_show, true, false},
    {"list", user_list, false, false},   {"passwd", user_passwd, true, true},
    {"disable", user_disable, true, true}, {"enable", user_enable, true, true},
};

static int run(struct user_command *u, const struct verb *v, const char *file)
{
    int r = -1;
    if (tool_config("user", file, &u->cfg) != 0)
        return 1;
    if (access_settings(&u->access, u->cfg, u->arena, &u->settings, &u->err) == 0 &&
        ldapmap_client_open(&u->settings, &u->client, &u->err) == 0)
        r = v->run(u);
    ldapmap_client_close(u->client);
    ldapmap_conn_wipe(&u->settings);
    config_free(u->cfg);
    return r == 0 ? 0 : tool_fail("user", "%s", u->err.log);
}

static int take_long(struct user_command *u, int c)
{
    if (c == 'n')
        u->dry_run = true;
    else if (c == 'P')
        u->no_password = true;
    else if (c == 'm' && u->addresses < ADDRESSES_MAX)
        u->address[u->addresses++] = optarg;
    else if (c == 'c')
        u->full_name = optarg;
    else if (c == 'd')
        u->home = optarg;
    else if (c == 'b')
        u->by = optarg;
    else if (c == 'u' || c == 'g') /* 0 stands for "not given" */
        return str_u64(str_from(optarg), c == 'u' ? &u->uid : &u->gid) != 0 || optarg[strspn(optarg, "0")] == 0;
    else
        return -1;
    return 0;
}

int tool_user(const char *file, int argc, char **argv)
{
    static const struct option options[] = {
        {"dry-run", no_argument, NULL, 'n'},    {"mail", required_argument, NULL, 'm'},
        {"uid", required_argument, NULL, 'u'},  {"gid", required_argument, NULL, 'g'},
        {"name", required_argument, NULL, 'c'}, {"home", required_argument, NULL, 'd'},
        {"by", required_argument, NULL, 'b'},   {"no-password", no_argument, NULL, 'P'},
        {NULL, 0, NULL, 0}};
    struct user_command u = {0};
    const struct verb *verb = NULL;
    int c;
    bool bad = false;
    while (!bad && (c = getopt_long(argc, argv, ACCESS_LETTERS, options, NULL)) != -1)
        if (!access_option(&u.access, c, optarg, &bad))
            bad = take_long(&u, c) != 0;
    for (size_t i = 0; optind < argc && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[optind], verbs[i].name) == 0)
            verb = &verbs[i];
    if (bad || !verb || argc - optind != (verb->named ? 2 : 1))
        return tool_fail("user", "add|show|passwd|disable|enable NAME, or list") + 1;
    if (verb->changes && access_is_reader(&u.access) && !u.dry_run)
        return tool_fail("user", "%s needs an administrator: " ACCESS_USAGE, verb->name) + 1;
    u.name = verb->named ? argv[optind + 1] : NULL;
    u.arena = arena_new(4096);
    int status = run(&u, verb, file);
    arena_free(u.arena);
    return status;
}
