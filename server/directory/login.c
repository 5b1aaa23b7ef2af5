/* Logging a user in. */
#include "directory/login.h"
#include "base/clock.h"
#include "base/log.h"
#include "directory/trace.h"
#include "directory/user.h"

#include <stdlib.h>

struct login {
    struct dirset *set;
    struct arena *arena;
    struct str name;     /* as looked for: folded; after an address was found, the entry's own */
    struct str entry_dn; /* of the entry whose address was typed; empty: none */
    struct secret password;
    bool proven;   /* no password: somebody else has said who he is */
    bool is_read;  /* proven: the entry itself was asked, and says this of it: */
    bool is_locked, must_change;
    bool checking; /* no password: is he still there? */
    struct guard_try *counting; /* no password: a try at it is counted, and this is where */
    login_fn fn;
    void *arg;
    struct lookup_want owner, limit;
    struct ldapmap_search search; /* by user_filter; for the trace */
    int64_t began;
    struct str bind_as;
    struct box box;
    enum auth_state state;
    bool guarded; /* ip is known */
    unsigned char ip[16];
    struct guard_try try;
    bool broken; /* the entry is no mailbox; err says why, to who knows the password */
    struct err err;
};

static void search_user(struct login *l);

static void end(struct login *l, enum verdict verdict, const char *why)
{
    struct login_result result = {verdict, l->state, why, l->box, l->name};
    guard_forgive(l->set->guard, &l->try); /* nobody has said that it was wrong */
    l->fn(l->arg, &result);
    secret_free(&l->password);
    dirset_release(l->set);
    arena_free(l->arena);
    free(l);
}

/* l->err says why. */
static void cannot_say(struct login *l)
{
    end(l, VERDICT_CANNOT_SAY, l->err.log);
}

/* --- the password --- */

static void trace_bind(const struct login *l, enum verdict verdict, const char *why)
{
    static const char *const names[] = {"cannot-say", "yes", "no"};
    AUTO_BUF us = {0};
    if (!l->set->trace)
        return;
    buf_printf(&us, "%lld", (long long)(clock_real_us() - l->began));
    TRACE(l->set->trace, "bind", {"dn", l->bind_as},
          {"result", str_from(verdict <= VERDICT_NO ? names[verdict] : "refused")},
          {"why", str_from(why)}, {"us", buf_view(&us)});
}

static void on_limit(void *arg)
{
    struct login *l = arg;
    if (box_limit(&l->limit, &l->box.limit, &l->err) != 0)
        cannot_say(l);
    else
        end(l, VERDICT_YES, "");
}

/* Only who knows the password, or explains it, is told of the account. A lock is looked at here too:
 * slapd's ppolicy heeds it under a policy with pwdLockout alone. */
static bool end_shut_out(struct login *l)
{
    enum auth_state state;
    const char *why;
    enum verdict verdict = account_login(&l->box.account, &state, &why);
    if (!l->broken && verdict == VERDICT_YES)
        return false;
    if (l->broken) {
        cannot_say(l);
    } else {
        trace_decision(l->set->trace, "%s", why);
        l->state = state;
        end(l, verdict, why);
    }
    return true;
}

static void let_in(struct login *l)
{
    if (end_shut_out(l))
        return;
    if (l->set->limit_maps.n) {
        l->limit = (struct lookup_want){.map = &l->set->limit_maps};
        lookup_run(l->set, l->arena, &l->limit, 1, l->name, NULL, on_limit, l);
    } else {
        end(l, VERDICT_YES, "success");
    }
}

/* What a password policy let us know, for who looks after the users. */
static void log_policy(const struct login *l, const struct bind_result *r)
{
    if (r->grace >= 0)
        log_warning("grace-login", LS("login", l->box.login), LS("dn", l->box.dn),
                    LN("left", r->grace));
    else if (r->expires >= 0)
        log_info("password-expires", LS("login", l->box.login), LN("seconds", r->expires));
}

static void log_must_change(const struct login *l, bool let_in)
{
    log_warning("password-must-change", LS("login", l->box.login), LS("dn", l->box.dn),
                LZ("login_is", let_in ? "let in" : "refused"));
}

static void on_bound(void *arg, const struct bind_result *r)
{
    struct login *l = arg;
    enum verdict verdict = r->verdict;
    const char *why = r->why;
    trace_bind(l, verdict, why);
    l->state = r->state;
    if (auth_was_right(verdict, r->state))
        guard_right(l->set->guard, &l->try);
    else if (verdict == VERDICT_NO)
        guard_wrong(l->set->guard, &l->try);
    if (verdict == VERDICT_YES)
        log_policy(l, r);
    if (verdict == VERDICT_YES && r->state == AUTH_MUST_CHANGE) {
        bool let_in = l->set->cfg->password_must_change == 1;
        log_must_change(l, let_in);
        verdict = let_in ? VERDICT_YES : VERDICT_NO;
    }
    if (verdict == VERDICT_YES)
        let_in(l);
    else
        end(l, verdict, why);
}

/* The DN to bind as: the template's, which must not lead to another entry than the one that the
 * filter found and whose uid the session will get; or that entry's. */
static int bind_dn(struct login *l, struct str *out)
{
    struct str template = l->set->cfg->auth_bind_userdn;
    *out = l->box.dn;
    if (template.n == 0)
        return 0;
    AUTO_BUF text = {0};
    name_template_expand(&text, template, l->name, ldapmap_escape_dn);
    *out = arena_str(l->arena, buf_view(&text));
    /* What is no DN (Active Directory takes user@domain) cannot be compared. */
    struct str normal = name_dn(l->arena, *out);
    if (normal.n && !str_eq(normal, name_dn(l->arena, l->box.dn)))
        return err_temp(&l->err, "auth_bind_userdn gives %.*s, but user_filter finds %.*s",
                        STR_FMT(str_head(*out, 150)), STR_FMT(str_head(l->box.dn, 150)));
    return 0;
}

/* False: it has ended, or again is called later. */
static bool may_try(struct login *l, struct str account, void (*again)(void *login))
{
    l->try = (struct guard_try){.again = again, .arg = l};
    enum guard_answer answer = GUARD_GO;
    if (l->guarded)
        answer = guard_begin(l->set->guard, &l->set->guarding, account, l->ip, &l->try);
    if (answer == GUARD_TOO_MANY) {
        l->state = AUTH_TOO_MANY;
        end(l, VERDICT_CANNOT_SAY, "too many wrong passwords for this account");
    }
    return answer == GUARD_GO;
}

static struct str account_of(struct login *l)
{
    struct str normal = name_dn(l->arena, l->box.dn);
    return normal.n ? normal : l->box.dn;
}

static void check_password(void *arg)
{
    struct login *l = arg;
    if (may_try(l, account_of(l), check_password))
        binder_run(l->set->binder, l->bind_as, &l->password, on_bound, l);
}

static void count_try(void *arg)
{
    struct login *l = arg;
    if (!may_try(l, l->box.dn.n ? account_of(l) : l->name, count_try))
        return;
    *l->counting = l->try;
    l->try = (struct guard_try){0};
    end(l, VERDICT_YES, "");
}

/* Names that nobody has are counted too, or the limit would tell who is somebody. */
static void no_entry(void *arg)
{
    struct login *l = arg;
    if (l->checking || l->proven) {
        end(l, VERDICT_NO, "user_filter matches no entry");
    } else if (l->counting) {
        count_try(l);
    } else if (may_try(l, l->name, no_entry)) {
        guard_wrong(l->set->guard, &l->try);
        end(l, VERDICT_NO, "user_filter matches no entry");
    }
}

static void let_proven_in(struct login *l);
static void search_proven(struct login *l, struct str dn);

static void check_account(struct login *l)
{
    enum auth_state state;
    const char *why;
    bool may = account_login(&l->box.account, &state, &why) == VERDICT_YES;
    end(l, may ? VERDICT_YES : VERDICT_NO, may ? "" : "the account's state changed");
}

static void bind_as_user(struct login *l)
{
    if (l->proven) {
        let_proven_in(l);
        return;
    }
    if (l->counting) {
        count_try(l);
        return;
    }
    if (l->checking && !l->broken) {
        check_account(l);
        return;
    }
    if (l->checking || bind_dn(l, &l->bind_as) != 0) {
        cannot_say(l);
        return;
    }
    if (l->set->trace) {
        l->began = clock_real_us();
        trace_decision(l->set->trace, "the password is checked by binding as %.*s",
                       STR_FMT(l->bind_as));
    }
    if (l->password.n)
        check_password(l);
    else if (!end_shut_out(l))
        end(l, VERDICT_CANNOT_SAY, "no password was given to explain with");
}

/* --- the entry --- */

static int check_entry(struct login *l, const struct ldapmap_entry *entry)
{
    if (l->entry_dn.n && !str_eq(name_dn(l->arena, l->entry_dn), name_dn(l->arena, entry->dn)))
        return err_temp(&l->err, "the address belongs to %.*s, but user_filter finds %.*s",
                        STR_FMT(str_head(l->entry_dn, 150)), STR_FMT(str_head(entry->dn, 150)));
    l->broken = box_of_entry(l->set, l->arena, entry, l->name, &l->box, &l->err) != 0;
    if (l->broken)
        trace_decision(l->set->trace, "the entry is no mailbox: %s", l->err.log);
    else
        trace_decision(l->set->trace, "the entry is login %.*s, uid %u, gid %u, home %.*s",
                       STR_FMT(l->box.login), l->box.m.uid, l->box.m.gid, STR_FMT(l->box.m.home));
    if (!l->broken && l->box.account.locked)
        trace_decision(l->set->trace, "%s says that an administrator has locked the account",
                       ACCOUNT_LOCK_ATTRIBUTE);
    return 0;
}

static void on_user(void *arg, const struct search_result *r)
{
    struct login *l = arg;
    const struct ldapmap_entry *entry;
    trace_search(l->set->trace, STR("user_filter"), l->name, &l->search, r, l->began);
    if (user_read(r, &entry, &l->err) != 0)
        cannot_say(l);
    else if (!entry)
        no_entry(l);
    else if (check_entry(l, entry) != 0)
        cannot_say(l);
    else
        bind_as_user(l);
}

static void search_user(struct login *l)
{
    const struct dirset *set = l->set;
    l->search = user_search(set, l->arena, l->name, set->login_attrs);
    l->began = set->trace ? clock_real_us() : 0;
    picture_search(set->picture, set->searcher, l->arena, &l->search, PICTURE_CURRENT, on_user, l);
}

/* --- a name that is an address --- */

/* All values and entries must be the same one. */
static int only_owner(struct login *l)
{
    const struct lookup_want *w = &l->owner;
    for (size_t i = 1; i < w->count; i++) {
        const struct ldapmap_entry *x = lookup_entry(w, 0), *y = lookup_entry(w, i);
        if (x && y && !str_eq(x->dn, y->dn))
            return err_temp(&l->err, "several entries have this address: %.*s and %.*s",
                            STR_FMT(str_head(x->dn, 150)), STR_FMT(str_head(y->dn, 150)));
        if (!str_caseeq(w->values[0].value, w->values[i].value))
            return err_temp(&l->err, "several logins own this address: %.*s and %.*s",
                            STR_FMT(str_head(w->values[0].value, 100)),
                            STR_FMT(str_head(w->values[i].value, 100)));
    }
    return 0;
}

static void on_owner(void *arg)
{
    struct login *l = arg;
    if (l->owner.answer == LDAPMAP_CANNOT_SAY) {
        err_temp(&l->err, "%s", l->owner.why);
        cannot_say(l);
        return;
    }
    if (l->owner.answer == LDAPMAP_YES) {
        const struct ldapmap_entry *entry = lookup_entry(&l->owner, 0);
        if (only_owner(l) != 0 ||
            name_login_read(l->arena, l->owner.values[0].value, &l->name, &l->err) != 0) {
            cannot_say(l);
            return;
        }
        l->entry_dn = entry ? entry->dn : (struct str){0};
        trace_decision(l->set->trace, "the address is that of the login name %.*s",
                       STR_FMT(l->name));
    }
    search_user(l);
}

static bool search_owner(struct login *l)
{
    struct name_address addr;
    struct err ignored;
    if (str_find(l->name, '@') < 0 || l->set->sender_logins.n == 0 ||
        name_address_read(l->arena, &l->set->names, l->name, &addr, &ignored) != 0)
        return false;
    l->owner = (struct lookup_want){.map = &l->set->sender_logins, .current = true};
    lookup_run(l->set, l->arena, &l->owner, 1, addr.key, NULL, on_owner, l);
    return true;
}

/* --- somebody who is known already --- */

static void let_proven_in(struct login *l)
{
    if (!l->is_read) {
        search_proven(l, l->box.dn);
        return;
    }
    bool refused = l->must_change && l->set->cfg->password_must_change == 0;
    if (l->must_change)
        log_must_change(l, !refused);
    if (l->is_locked) {
        l->state = AUTH_LOCKED;
        end(l, VERDICT_NO, "the account is locked");
    } else if (refused) {
        l->state = AUTH_MUST_CHANGE;
        end(l, VERDICT_NO, "the password must be changed");
    } else {
        if (l->guarded)
            guard_seen(l->set->guard, account_of(l), l->ip);
        let_in(l);
    }
}

static const struct ldapmap_attr *proven_attr(const struct search_result *r, const char *name)
{
    const struct ldapmap_attr *a = r->count == 1 ? ldapmap_entry_attr(&r->entries[0], name) : NULL;
    return a && a->count ? a : NULL;
}

static void take_name(struct login *l, const struct ldapmap_attr *name, bool is_there)
{
    if (!name) {
        err_temp(&l->err, "the directory says that this is %.*s, which has no %s%s",
                 STR_FMT(str_head(l->entry_dn, 200)), l->set->name_attr,
                 is_there ? "" : ": its authz-regexp must lead to an entry");
        cannot_say(l);
    } else if (name_login_read(l->arena, name->values[0], &l->name, &l->err) != 0) {
        cannot_say(l);
    } else {
        search_user(l);
    }
}

static void on_proven(void *arg, const struct search_result *r)
{
    struct login *l = arg;
    const struct ldapmap_attr *reset = proven_attr(r, "pwdReset");
    if (r->code != LDAP_SUCCESS && r->code != LDAP_NO_SUCH_OBJECT) {
        err_temp(&l->err, "%.*s: %s", STR_FMT(str_head(l->entry_dn, 200)), ldap_err2string(r->code));
        cannot_say(l);
        return;
    }
    l->is_locked = proven_attr(r, ACCOUNT_LOCK_ATTRIBUTE) != NULL;
    l->must_change = reset && str_caseeq(reset->values[0], STR("TRUE"));
    if (l->name.n)
        let_proven_in(l);
    else
        take_name(l, proven_attr(r, l->set->name_attr), r->count > 0);
}

/* The entry by its DN: for the name that user_filter is asked by, and for what slapd's ppolicy has
 * written there. It does not look at SASL binds itself. */
static void search_proven(struct login *l, struct str dn)
{
    const struct dirset *set = l->set;
    const char **attrs = arena_array(l->arena, 4, sizeof *attrs);
    attrs[0] = set->name_attr;
    attrs[1] = ACCOUNT_LOCK_ATTRIBUTE;
    attrs[2] = "pwdReset";
    struct ldapmap_search search = {
        .base = arena_strz(l->arena, dn),
        .scope = LDAP_SCOPE_BASE,
        .filter = "(objectClass=*)",
        .attrs = attrs,
        .sizelimit = 2,
        .timelimit = (int)set->shared.timeout,
        .deref = LDAP_DEREF_NEVER,
    };
    l->entry_dn = arena_str(l->arena, dn);
    l->is_read = true;
    picture_search(set->picture, set->searcher, l->arena, &search, PICTURE_CURRENT, on_proven, l);
}

static struct login *proven_new(struct dirset *set, const unsigned char *ip, login_fn fn, void *arg)
{
    struct login *l = MEM_NEW(struct login);
    *l = (struct login){.set = dirset_hold(set), .proven = true, .fn = fn, .arg = arg};
    l->arena = arena_new(4096);
    l->guarded = ip && set->guard;
    if (ip)
        memcpy(l->ip, ip, sizeof l->ip);
    return l;
}

void login_found(struct dirset *set, struct str authzid, const unsigned char *ip, login_fn fn,
                 void *arg)
{
    struct login *l = proven_new(set, ip, fn, arg);
    if (str_casestarts(authzid, STR("dn:")) && authzid.n > 3) {
        search_proven(l, str_skip(authzid, 3));
    } else if (str_casestarts(authzid, STR("u:")) &&
               name_login_read(l->arena, str_skip(authzid, 2), &l->name, &l->err) == 0) {
        search_user(l);
    } else {
        err_temp(&l->err, "the directory says that this is \"%.*s\"", STR_FMT(str_head(authzid, 200)));
        cannot_say(l);
    }
}

void login_vouched(struct dirset *set, struct str name, const unsigned char *ip, login_fn fn,
                   void *arg)
{
    struct login *l = proven_new(set, ip, fn, arg);
    if (name_login_read(l->arena, name, &l->name, &l->err) != 0)
        end(l, VERDICT_NO, "no login name");
    else if (!search_owner(l))
        search_user(l);
}

/* --- the beginning --- */

void login_may_try(struct dirset *set, struct str user, const unsigned char *ip,
                   struct guard_try *try, login_fn fn, void *arg)
{
    struct login *l = MEM_NEW(struct login);
    *l = (struct login){.set = dirset_hold(set), .counting = try, .guarded = ip && set->guard,
                        .fn = fn, .arg = arg};
    l->arena = arena_new(4096);
    if (ip)
        memcpy(l->ip, ip, sizeof l->ip);
    if (name_login_read(l->arena, user, &l->name, &l->err) != 0)
        end(l, VERDICT_NO, "no login name");
    else if (!search_owner(l))
        search_user(l);
}

void login_check(struct dirset *set, struct str name, login_fn fn, void *arg)
{
    struct login *l = MEM_NEW(struct login);
    *l = (struct login){.set = dirset_hold(set), .checking = true, .fn = fn, .arg = arg};
    l->arena = arena_new(4096);
    l->name = arena_str(l->arena, name);
    search_user(l);
}


void login_run(struct dirset *set, struct str user, struct str password, const unsigned char *ip,
               login_fn fn, void *arg)
{
    struct login *l = MEM_NEW(struct login);
    *l = (struct login){.set = dirset_hold(set), .fn = fn, .arg = arg};
    l->guarded = ip && set->guard && !set->trace;
    if (ip)
        memcpy(l->ip, ip, sizeof l->ip);
    l->arena = arena_new(4096);
    if (name_login_read(l->arena, user, &l->name, &l->err) != 0) {
        end(l, VERDICT_NO, "no login name");
        return;
    }
    /* RFC 4513 section 5.1.2: an empty password would be no check at all. RFC 4616 section 2 knows
     * no NUL in one, and what follows it must not be cut off. */
    bool explained = set->trace && password.n == 0; /* up to the bind, and no further */
    if (!explained && (password.n == 0 || memchr(password.p, '\0', password.n))) {
        end(l, VERDICT_NO, password.n ? "a NUL in the password" : "an empty password");
        return;
    }
    if (!explained)
        l->password = secret_pool_copy(set->secrets, password);
    if (!l->password.p && !explained) {
        end(l, VERDICT_CANNOT_SAY, "no guarded memory for the password");
        return;
    }
    if (!search_owner(l))
        search_user(l);
}
