/* Making one configuration ready for use. */
#include "directory/dirset.h"
#include "base/log.h"
#include "base/map.h"
#include "directory/access.h"
#include "directory/account.h"
#include "directory/domains.h"
#include "directory/exchange.h"
#include "directory/maps.h"
#include "directory/rewrite.h"
#include "directory/trace.h"

#include <stdlib.h>

#define LDAP_PREFIX STR("ldap:")
#define STATIC_PREFIX STR("static:")
#define INLINE_PREFIX STR("inline:")

/* --- connection settings --- */

/* What the master read from ldap_bind_pw_file, or from a credential of the service manager. */
static struct str bind_secret(const struct bundle *b)
{
    struct str secret = {0};
    bundle_get(b, STR("ldap_bind_pw"), &secret);
    return secret;
}

static int read_settings(struct dirset *s, const struct bundle *b, struct err *e)
{
    struct config_setting all[CONFIG_LDAP_SETTINGS];
    size_t n = config_ldap_settings(s->cfg, s->arena, all);
    struct str password = s->cfg->ldap_bind_pw.n ? s->cfg->ldap_bind_pw : bind_secret(b);
    ldapmap_conn_init(&s->shared, s->arena);
    for (size_t i = 0; i < n; i++)
        if (ldapmap_conn_set(&s->shared, s->arena, str_from(all[i].name), all[i].value, e) != 0)
            return err_prefix(e, "ldap_%s", all[i].name);
    return ldapmap_conn_set(&s->shared, s->arena, STR("bind_pw"), password, e);
}

/* --- maps --- */

static int bundle_text(const struct bundle *b, struct str path, struct str *out, struct err *e)
{
    AUTO_BUF name = {0};
    buf_str(&name, STR("map:"));
    buf_str(&name, path);
    if (!bundle_get(b, buf_view(&name), out))
        return err_perm(e, "%.*s was not handed over", STR_FMT(path));
    return 0;
}

static int read_table(struct dirset *s, struct map_source *m, const struct bundle *b, struct err *e)
{
    struct str text;
    if (bundle_text(b, m->text, &text, e) != 0)
        return -1;
    if (ldapmap_table_parse(text, m->text, &s->shared, &m->table, e) != 0)
        return -1;
    const struct ldapmap_conn_settings *conn = ldapmap_table_conn(m->table);
    if (conn->chase_referrals)
        log_warning("ldap-table", LS("file", m->text), LZ("chase_referrals", "not followed"),
                    LZ("meaning", "answers that lead to other servers are taken for none"));
    if (s->pools)
        m->searcher = pools_searcher(s->pools, conn, (size_t)s->cfg->ldap_search_connections);
    return 0;
}

static int read_source(struct dirset *s, struct map_source *m, struct str piece, bool words,
                       const struct bundle *b, struct err *e)
{
    if (str_starts(piece, LDAP_PREFIX)) {
        m->kind = SOURCE_LDAP;
        m->text = arena_str(s->arena, str_skip(piece, LDAP_PREFIX.n));
        return read_table(s, m, b, e);
    }
    if (str_starts(piece, STATIC_PREFIX)) {
        m->kind = SOURCE_STATIC;
        struct str value = str_skip(piece, STATIC_PREFIX.n), inside;
        m->text = arena_str(s->arena, config_map_braced(value, &inside) ? inside : value);
        return 0;
    }
    if (str_starts(piece, INLINE_PREFIX)) {
        m->text = str_skip(piece, INLINE_PREFIX.n);
        return maps_read_inline(s->arena, m, e);
    }
    if (config_map_file(piece).n) {
        struct str text;
        m->text = arena_str(s->arena, config_map_file(piece));
        return bundle_text(b, m->text, &text, e) == 0 ? maps_read_text(s->arena, m, text, e) : -1;
    }
    if (!words || !config_map_is_word(piece))
        return err_perm(e, "\"%.*s\" is none of ldap:FILE, texthash:FILE, inline:{KEY=VALUE}, "
                           "static:VALUE%s", STR_FMT(piece), words ? ", and no domain" : "");
    m->kind = SOURCE_PLAIN;
    m->text = arena_str(s->arena, piece);
    str_lower((char *)m->text.p, m->text.n);
    return 0;
}

int dirset_read_map(struct dirset *s, struct dirmap *map, const char *option, struct str value,
                    const struct bundle *b, struct err *e)
{
    bool words = config_map_takes_words(config_find(str_from(option)));
    struct str rest = value, piece;
    size_t n = 0;
    while (config_map_piece(&rest, &piece))
        n++;
    *map = (struct dirmap){.option = option, .v = arena_array(s->arena, n + 1, sizeof *map->v)};
    for (rest = value; config_map_piece(&rest, &piece); map->n++)
        if (read_source(s, &map->v[map->n], piece, words, b, e) != 0)
            return err_prefix(e, "%s", option);
    return 0;
}

static int read_maps(struct dirset *s, const struct bundle *b, struct err *e)
{
#define READ(member, name)                                                                         \
    if (dirset_read_map(s, &s->member, #name, s->cfg->name, b, e) != 0)                            \
        return -1;
    READ(alias_domains, virtual_alias_domains)
    READ(alias_maps, virtual_alias_maps)
    READ(mailbox_domains, virtual_mailbox_domains)
    READ(mailbox_maps, virtual_mailbox_maps)
    READ(uid_maps, virtual_uid_maps)
    READ(gid_maps, virtual_gid_maps)
    READ(sender_logins, smtpd_sender_login_maps)
    READ(local_domains, mydestination)
    READ(relay_domains, relay_domains)
    READ(relay_recipients, relay_recipient_maps)
    READ(limit_maps, virtual_mailbox_limit_maps)
    READ(relocated, relocated_maps)
    READ(groups, group_maps)
    READ(canonical, canonical_maps)
    READ(sender_canonical, sender_canonical_maps)
    READ(recipient_canonical, recipient_canonical_maps)
    READ(sender_bcc, sender_bcc_maps)
    READ(recipient_bcc, recipient_bcc_maps)
#undef READ
    return 0;
}

static int read_classes(struct dirset *s, struct err *e)
{
#define READ(member)                                                                               \
    if (rewrite_classes(&s->cfg->member, #member, &s->member, e) != 0)                             \
        return -1;
    READ(canonical_classes)
    READ(sender_canonical_classes)
    READ(recipient_canonical_classes)
    READ(masquerade_classes)
#undef READ
    return 0;
}

/* Those that another program may see and so ask. */
static int read_named(struct dirset *s, const struct bundle *b, struct err *e)
{
    s->named = arena_array(s->arena, config_option_count, sizeof *s->named);
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *o = &config_options[i];
        if (!maps_is_named(o))
            continue;
        struct dirmap *map = &s->named[s->named_count++];
        if (dirset_read_map(s, map, o->name, s->cfg->value[i], b, e) != 0)
            return -1;
    }
    return 0;
}

/* --- what users' entries are read by --- */

static int read_user_attr(struct dirset *s, struct str piece, struct err *e)
{
    ptrdiff_t eq = str_find(piece, '=');
    struct str attr = eq < 0 ? piece : str_trim(str_head(piece, (size_t)eq));
    struct str field = eq < 0 ? (struct str){0} : str_trim(str_skip(piece, (size_t)eq + 1));
    const char **to = str_eq(field, STR("home"))  ? &s->home_attr
                      : str_eq(field, STR("uid")) ? &s->uid_attr
                      : str_eq(field, STR("gid")) ? &s->gid_attr
                                                  : NULL;
    if (!to || attr.n == 0)
        return err_perm(e, "user_attrs: \"%.*s\" is none of ATTRIBUTE=home, =uid, =gid",
                        STR_FMT(piece));
    *to = arena_strz(s->arena, attr);
    return 0;
}

static int read_user_attrs(struct dirset *s, struct err *e)
{
    struct str rest = s->cfg->user_attrs, piece;
    while (str_token(&rest, ",", &piece))
        if (read_user_attr(s, str_trim(piece), e) != 0)
            return -1;
    if (!s->home_attr || !s->uid_attr || !s->gid_attr)
        return err_perm(e, "user_attrs: home, uid and gid must all be named");
    if (s->cfg->user_name_attribute.n == 0)
        return err_perm(e, "user_name_attribute: needs a value");
    s->name_attr = arena_strz(s->arena, s->cfg->user_name_attribute);
    const char *all[] = {s->home_attr, s->uid_attr, s->gid_attr, s->name_attr, NULL};
    memcpy(s->extra_attrs, all, sizeof all);
    memcpy(s->asked_attrs, all, sizeof all);
    const struct str more[] = {s->cfg->account_state_attribute, s->cfg->account_forward_attribute,
                               s->cfg->account_quota_attribute,
                               s->cfg->account_vacation_text_attribute,
                               s->cfg->account_vacation_start_attribute,
                               s->cfg->account_vacation_end_attribute};
    for (size_t i = 0, n = 4; i < sizeof more / sizeof more[0]; i++)
        if (more[i].n)
            s->asked_attrs[n++] = arena_strz(s->arena, more[i]);
    size_t n = 0;
    for (; s->asked_attrs[n]; n++)
        s->login_attrs[n] = s->asked_attrs[n];
    s->login_attrs[n] = ACCOUNT_LOCK_ATTRIBUTE;
    return account_check_map(s->cfg, e);
}

static int read_mail_location(struct dirset *s, struct err *e)
{
    struct str v = s->cfg->mail_location, below = {0};
    if (str_starts(v, STR("maildir:~/")) || str_starts(v, STR("maildir:%h/")))
        below = str_skip(v, (size_t)str_find(v, '/') + 1);
    while (below.n && below.p[below.n - 1] == '/')
        below.n--;
    /* Delivery and sessions take one directory of the home, and no hidden one. */
    if (below.n == 0 || below.p[0] == '.' || str_find(below, '/') >= 0 ||
        str_find(below, ':') >= 0 || str_find(below, '%') >= 0)
        return err_perm(e, "mail_location: \"%.*s\" is not maildir:~/NAME", STR_FMT(v));
    s->mail_below_home = arena_printf(s->arena, "%.*s/", STR_FMT(below));
    return 0;
}

static int read_user_rules(struct dirset *s, struct err *e)
{
    const struct config *c = s->cfg;
    if (name_template_check(c->user_filter, "user_filter", e) != 0)
        return -1;
    if (c->auth_bind_userdn.n &&
        name_template_check(c->auth_bind_userdn, "auth_bind_userdn", e) != 0)
        return -1;
    return read_user_attrs(s, e) == 0 ? read_mail_location(s, e) : -1;
}

static struct str lower_copy(struct arena *a, struct str s)
{
    struct str copy = arena_str(a, s);
    str_lower((char *)copy.p, copy.n);
    return copy;
}

static void read_rules(struct dirset *s)
{
    const struct config *c = s->cfg;
    struct str base = c->virtual_mailbox_base;
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    s->guarding = (struct guard_rules){.limit = (unsigned)c->auth_failure_account_limit,
                                       .ms = c->auth_failure_time_unit * 1000,
                                       .exceptions = &c->auth_failure_exceptions};
    s->mailboxes = (struct mailbox_rules){base, (uint32_t)c->virtual_minimum_uid};
    s->names = (struct name_rules){.myhostname = lower_copy(s->arena, c->myhostname),
                                   .myorigin = lower_copy(s->arena, c->myorigin),
                                   .delimiters = c->recipient_delimiter,
                                   .utf8 = c->smtputf8_enable};
}

/* --- life --- */

void dirset_free_map(struct dirset *s, struct dirmap *map)
{
    /* One more than n: the source that could not be read. */
    for (size_t i = 0; map->v && i < map->n + 1; i++) {
        map_free(map->v[i].pairs, NULL);
        if (map->v[i].kind != SOURCE_LDAP)
            continue;
        pools_drop_searcher(s->pools, map->v[i].searcher);
        ldapmap_table_free(map->v[i].table);
    }
}

void dirset_free(struct dirset *s)
{
    if (s->trace) {
        trace_dirset_free(s);
        return;
    }
    struct dirmap *maps[] = {&s->alias_domains, &s->alias_maps, &s->mailbox_domains,
                             &s->mailbox_maps,  &s->uid_maps,   &s->gid_maps,
                             &s->sender_logins, &s->local_domains, &s->relay_domains,
                             &s->relay_recipients, &s->limit_maps, &s->relocated, &s->groups,
                             &s->canonical, &s->sender_canonical, &s->recipient_canonical,
                             &s->sender_bcc, &s->recipient_bcc};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        dirset_free_map(s, maps[i]);
    for (size_t i = 0; i < s->named_count; i++)
        dirset_free_map(s, &s->named[i]);
    access_free(s);
    sync_free(s->sync);
    conns_free(s->sasl);
    pools_drop_searcher(s->pools, s->searcher);
    pools_drop_binder(s->pools, s->binder);
    ldapmap_conn_wipe(&s->shared);
    domains_free(s->domains);
    picture_free(s->picture);
    if (s->cfg)
        config_free(s->cfg);
    arena_free(s->arena);
    free(s);
}

static struct picture *make_picture(const struct dirset *s)
{
    const struct picture_rules rules = {.yes_ms = s->cfg->directory_cache_ttl * 1000,
                                        .no_ms = s->cfg->directory_cache_negative_ttl * 1000,
                                        .stale_ms = s->cfg->directory_stale_ttl * 1000};
    return picture_new(pools_base(s->pools), &rules);
}

/* --- changes --- */

/* With several servers one may lag behind the one that tells: changes make us forget, but what is
 * asked then is kept no longer than without them. */
static void on_watching(void *arg, bool now)
{
    struct dirset *s = arg;
    if (now && s->shared.server_count == 1)
        picture_watched(s->picture, s->searcher, s->shared.search_base);
    else
        picture_unwatched(s->picture);
}

static void on_changed(void *arg, struct str dn)
{
    struct dirset *s = arg;
    picture_forget(s->picture);
    domains_forget(s->domains);
    if (s->changed)
        s->changed(s->changed_arg, dn);
}

static void watch_changes(struct dirset *s)
{
    static const struct sync_ops ops = {on_watching, on_changed};
    if (s->cfg->ldap_sync && s->shared.search_base.n && str_find(s->shared.search_base, '%') < 0)
        s->sync = sync_new(pools_base(s->pools), pools_opener(s->pools), &s->shared,
                           s->shared.search_base, &ops, s);
}

/* pools: NULL for settings that are looked at and freed. */
static struct dirset *read_all(struct pools *pools, struct config *cfg, const struct bundle *b,
                               struct err *e)
{
    struct dirset *s = MEM_NEW(struct dirset);
    s->users = 1;
    s->arena = arena_new(4096);
    s->cfg = cfg;
    s->pools = pools;
    read_rules(s);
    if (read_settings(s, b, e) == 0 && read_maps(s, b, e) == 0 && read_named(s, b, e) == 0 &&
        read_classes(s, e) == 0 && access_read(s, b, e) == 0 && read_user_rules(s, e) == 0 &&
        exchange_check(&s->cfg->sasl_relay_mechanisms, e) == 0)
        return s;
    s->cfg = NULL; /* the caller's still */
    dirset_free(s);
    return NULL;
}

int dirset_check(struct config *cfg, const struct bundle *b, struct err *e)
{
    struct dirset *s = read_all(NULL, cfg, b, e);
    if (!s)
        return -1;
    s->cfg = NULL;
    dirset_free(s);
    return 0;
}

int dirset_new(struct pools *pools, struct config *cfg, const struct bundle *b, struct dirset **out,
               struct err *e)
{
    struct dirset *s = read_all(pools, cfg, b, e);
    if (!s)
        return -1;
    s->domains = domains_new();
    s->picture = make_picture(s);
    servers_set_random(opener_servers(pools_opener(pools)), cfg->ldap_server_order == 1);
    s->searcher = pools_searcher(pools, &s->shared, (size_t)cfg->ldap_search_connections);
    s->binder = pools_binder(pools, &s->shared, (size_t)cfg->ldap_bind_connections);
    watch_changes(s);
    *out = s;
    return 0;
}

struct dirset *dirset_hold(struct dirset *s)
{
    s->users++;
    return s;
}

static void on_unused(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    dirset_free(arg);
}

void dirset_release(struct dirset *s)
{
    if (--s->users == 0)
        event_base_once(pools_base(s->pools), -1, EV_TIMEOUT, on_unused, s, NULL);
}
