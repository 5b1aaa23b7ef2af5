/*
 * directory: the only program that speaks LDAP, and the only one that names a uid.
 *
 * The other programs ask over their channels; answers.c says what. One thread runs all of it,
 * except that opening a connection blocks inside libldap and is left to helper threads (opener.h).
 * Runs as its own user; needs the network towards the LDAP servers, and reads certificates when it
 * connects.
 */
#include "base/clock.h"
#include "base/log.h"
#include "directory/bearer.h"
#include "directory/directory.h"
#include "directory/exchange.h"
#include "directory/watch.h"

#include <malloc.h>
#include <unistd.h>

#define GRANTS_MAX 50000 /* of each lifetime */
#define SWEEP_SECONDS 5
#define STATUS_MAX 2000 /* messages.def */

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct directory *d = arg;
    (void)fd;
    (void)what;
    grants_sweep(d->grants, clock_mono_ms());
}

static void on_grant_removed(void *arg, const struct grant_fields *f)
{
    struct directory *d = arg;
    watch_remove(d->watch, f->login, f->uid);
}

static void on_changed(void *arg, struct str dn)
{
    struct directory *d = arg;
    watch_changed(d->watch, dn);
}

/* libldap keeps a request until it is answered, and frees it as it is, with the password of a bind in it:
 * libc overwrites larger pieces that are freed. */
static void wipe_what_is_freed(void)
{
#ifdef M_PERTURB
    mallopt(M_PERTURB, 0x55);
#endif
}

static int prepare(struct program *p, struct err *e)
{
    struct directory *d = p->arg;
    LDAPAPIInfo info = {.ldapai_info_version = LDAP_API_INFO_VERSION};
    wipe_what_is_freed();
    /* libldap sets itself up at its first use, which must not happen in several threads at once. */
    if (ldap_get_option(NULL, LDAP_OPT_API_INFO, &info) != LDAP_OPT_SUCCESS)
        return err_perm(e, "libldap cannot be used");
    ldap_memfree(info.ldapai_vendor_name);
    ber_memvfree((void **)info.ldapai_extensions);
    d->program = p;
    d->pools = pools_new(p->base);
    d->grants = grants_new(GRANTS_MAX);
    d->guard = guard_new();
    d->secrets = secret_pool_new();
    d->exchanges = exchanges_new(p->base);
    d->bearers = bearers_new(p->base);
    d->watch = watch_new(d);
    grants_on_removed(d->grants, on_grant_removed, d);
    d->sweep = event_new(p->base, -1, EV_PERSIST, on_sweep, d);
    event_add(d->sweep, &(struct timeval){SWEEP_SECONDS, 0});
    return 0;
}

static int configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                     struct err *e)
{
    struct directory *d = p->arg;
    struct dirset *set;
    if (dirset_new(d->pools, cfg, b, &set, e) != 0)
        return -1;
    if (d->set)
        dirset_release(d->set);
    d->set = set;
    set->guard = d->guard;
    set->secrets = d->secrets;
    set->sasl = exchange_conns(d->exchanges, set);
    set->changed = on_changed;
    set->changed_arg = d;
    if (reload) /* user_filter may be another */
        watch_changed(d->watch, (struct str){0});
    log_info(reload ? "reloaded" : "configured",
             LN("search_connections", cfg->ldap_search_connections),
             LN("bind_connections", cfg->ldap_bind_connections));
    return 0;
}

static int check(struct program *p, struct config *cfg, const struct bundle *b, struct err *e)
{
    (void)p;
    return dirset_check(cfg, b, e);
}

static void link_peer(struct program *p, unsigned peer, unsigned index, int fd)
{
    struct directory *d = p->arg;
    (void)index;
    if (peer == FILTER)
        bearers_link(d->bearers, fd);
    else
        peer_new(d, peer, fd);
}

static void message(struct program *p, struct msg *m)
{
    struct directory *d = p->arg;
    if (!d->master)
        d->master = peer_of_master(d, p->master);
    directory_message(d->master, m);
}

static void status(struct program *p, struct buf *out)
{
    struct directory *d = p->arg;
    const struct directory_counts *c = &d->counts;
    struct searcher_counts s;
    struct binder_counts b;
    struct picture_counts kept = {0};
    pools_counts(d->pools, &s, &b);
    if (d->set)
        picture_counts(d->set->picture, &kept);
    buf_printf(out,
               "search_connections=%zu/%zu searches=%llu under_way=%zu waiting=%zu failed=%llu",
               s.up, s.connections, (unsigned long long)s.searches, s.under_way, s.waiting,
               (unsigned long long)s.failed);
    buf_printf(out, " bind_connections=%zu/%zu binds=%llu refused=%llu binds_waiting=%zu", b.up,
               b.connections, (unsigned long long)b.binds, (unsigned long long)b.refused,
               b.waiting);
    buf_printf(out,
               " resolves=%llu logins=%llu senders=%llu redeemed=%llu maps=%llu cannot_say=%llu grants=%zu",
               (unsigned long long)c->resolves, (unsigned long long)c->logins,
               (unsigned long long)c->senders, (unsigned long long)c->redeemed, (unsigned long long)c->maps,
               (unsigned long long)c->cannot_say, grants_count(d->grants));
    buf_printf(out, " sync=%s sync_entries=%zu kept=%zu kept_bytes=%zu hits=%llu stale=%llu users=%zu",
               d->set && sync_is_watching(d->set->sync) ? "yes" : "no",
               d->set ? sync_entries(d->set->sync) : 0, kept.kept, kept.bytes,
               (unsigned long long)kept.hits, (unsigned long long)kept.stale, watch_count(d->watch));
    servers_print(opener_servers(pools_opener(d->pools)), out, STATUS_MAX);
}

static void end(struct program *p)
{
    struct directory *d = p->arg;
    peer_free_all(d);
    exchanges_free(d->exchanges);
    bearers_free(d->bearers);
    event_free(d->sweep);
    grants_free(d->grants);
    if (d->set)
        dirset_free(d->set);
    watch_free(d->watch);
    guard_free(d->guard);
    d->helpers_busy = !pools_free(d->pools);
    secret_pool_free(d->secrets);
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = DIRECTORY,
        .name = "facteur/directory",
        .prepare = prepare,
        .configure = configure,
        .check = check,
        .link = link_peer,
        .message = message,
        .status = status,
        .end = end,
    };
    struct directory d = {0};
    int r = program_run(&ops, &d, argc, argv);
    if (d.helpers_busy)
        _exit(r); /* no exit handlers of libraries that a helper thread is inside of */
    return r;
}
