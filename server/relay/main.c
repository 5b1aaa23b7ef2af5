/* The relay program: configuration, links, end. */
#include "base/log.h"
#include "confine/confine.h"
#include "relay/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void settings_drop(struct settings *s)
{
    if (!s || --s->holders > 0)
        return;
    SSL_CTX_free(s->tls);
    config_free(s->cfg);
    free(s);
}

/* --- the resolver's settings --- */

static void take_nameserver(struct relay *r, struct str line)
{
    struct str word, address;
    if (!str_token(&line, " \t", &word) || !str_eq(word, STR("nameserver")) ||
        !str_token(&line, " \t", &address) || r->resolvers.n >= 8)
        return;
    r->resolvers.v = r->resolvers.v ? r->resolvers.v : arena_array(r->arena, 8, sizeof(struct str));
    /* Several colons: an IPv6 address. One that names a zone is of no use to libunbound. */
    r->resolvers.v[r->resolvers.n++] = arena_str(r->arena, address);
}

static int on_prepare(struct program *p, struct err *e)
{
    struct relay *r = p->arg;
    AUTO_BUF text = {0};
    AUTO_FD fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct str rest, line;
    (void)e;
    r->program = p;
    r->arena = arena_new(512);
    r->directory = rpc_new(p->base, RELAY, DIRECTORY);
    if (fd >= 0 && fd_read_all(fd, &text, 65536) != 0)
        log_warning("resolv.conf", LZ("why", strerror(errno)));
    rest = buf_view(&text);
    while (str_line(&rest, &line))
        take_nameserver(r, line);
    /* Error texts and random numbers are loaded while files can be. */
    SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
    web_prepare();
    return 0;
}

/* --- configuration --- */

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!str_eq(a->v[i], b->v[i]))
            return false;
    return true;
}

/* The queue program has files, and outlives this one. */
static void keep_policy(void *arg, const struct msg_sts_policy *policy)
{
    struct relay *r = arg;
    struct msg m = MSG_INIT(sts_policy);
    m.sts_policy = *policy;
    for (struct peer *p = r->peers; p; p = p->next)
        if (channel_peer(p->ch) == QUEUE)
            channel_send(p->ch, &m);
}

static const struct config_list *name_servers(const struct relay *r, const struct config *cfg)
{
    return cfg->dns_servers.n ? &cfg->dns_servers : &r->resolvers;
}

static int make_resolver(struct relay *r, const struct config *cfg, const struct bundle *b,
                         struct err *e)
{
    struct str anchors = {0};
    if (r->dns) {
        if (!same_list(&r->settings->cfg->dns_servers, &cfg->dns_servers))
            return err_perm(e, "dns_servers changes at a restart only");
        return 0;
    }
    if (!bundle_get(b, STR("anchors"), &anchors))
        anchors = (struct str){0};
    r->dns = dns_new(r->program->base, name_servers(r, cfg), anchors, e);
    if (!r->dns)
        return -1;
    r->strict = strict_new(r->program->base, r->dns);
    strict_on_fetched(r->strict, keep_policy, r);
    return 0;
}

static int read_relayhost(const struct config *cfg, struct settings *s, struct err *e)
{
    if (cfg->relayhost.n == 0)
        return 0;
    if (route_parse(cfg->relayhost, (uint16_t)cfg->smtp_tcp_port, &s->relayhost, e) != 0)
        return err_prefix(e, "relayhost");
    return 0;
}

static int read_ignored(const struct config *cfg, struct settings *s, struct err *e)
{
    const struct config_list *l = &cfg->smtp_discard_ehlo_keywords;
    for (size_t i = 0; i < l->n; i++) {
        unsigned bits = smtp_offers_of(l->v[i]);
        if (!bits)
            return err_perm(e, "smtp_discard_ehlo_keywords: \"%.*s\" is no keyword that is used",
                            STR_FMT(str_head(l->v[i], 60)));
        s->ignored_offers |= bits;
    }
    return 0;
}

/* Before there is a second thread, which would stay outside. */
static int raise_wall(struct relay *r, const struct reach *reach, struct err *e)
{
    AUTO_BUF text = {0};
    bool held = false;
    if (!reach->any && confine_ports(reach->v, reach->n, &held, e) != 0)
        return -1;
    r->wall = *reach;
    r->wall.any = !held;
    for (size_t i = 0; held && i < reach->n; i++)
        buf_printf(&text, "%s%u", i ? "," : "", (unsigned)reach->v[i]);
    log_info("relay-ports", LS("only", buf_view(&text)));
    return 0;
}

/* Settings that do not own cfg yet, or NULL. */
static struct settings *read_settings(struct relay *r, struct config *cfg, const struct bundle *b,
                                      struct str *authorities, struct err *e)
{
    struct settings *s = MEM_NEW(struct settings);
    *s = (struct settings){.holders = 1};
    if (!bundle_get(b, STR("authorities"), authorities))
        *authorities = (struct str){0};
    s->tls = tls_context(*authorities, e);
    if (s->tls && read_relayhost(cfg, s, e) == 0 && read_ignored(cfg, s, e) == 0 &&
        reach_from(cfg, name_servers(r, cfg), s->relayhost.port, &s->reach, e) == 0)
        return s;
    settings_drop(s);
    return NULL;
}

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct relay *r = p->arg;
    struct str authorities;
    struct settings *s = read_settings(r, cfg, b, &authorities, e);
    (void)reload;
    if (!s)
        return -1;
    if ((!r->settings && raise_wall(r, &s->reach, e) != 0) || make_resolver(r, cfg, b, e) != 0) {
        settings_drop(s);
        return -1;
    }
    s->cfg = cfg;
    p->anew = !reach_covers(&r->wall, &s->reach);
    if (p->anew) {
        settings_drop(s);
        return 0;
    }
    strict_trust(r->strict, authorities);
    settings_drop(r->settings);
    r->settings = s;
    return 0;
}

/* The resolver is made, and asked nothing. */
static int on_check(struct program *p, struct config *cfg, const struct bundle *b, struct err *e)
{
    struct str authorities;
    struct settings *s = read_settings(p->arg, cfg, b, &authorities, e);
    if (!s)
        return -1;
    int r = make_resolver(p->arg, cfg, b, e) == 0 ? tables_try(cfg, s, b, e) : -1;
    settings_drop(s);
    return r;
}

/* --- the master --- */

static void on_order(struct program *program, struct msg *m)
{
    struct relay *r = program->arg;
    r->master.relay = r;
    r->master.ch = program->master;
    if (m->type == MSG_dns_ask)
        ask_start(&r->master, &m->dns_ask);
}

/* --- the queue, and smtp --- */

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    struct peer *p = arg;
    (void)ch;
    if (m->type == MSG_relay_ask && p->relay->settings && !p->relay->stopping)
        job_start(p, m);
    else if (m->type == MSG_dns_ask)
        ask_start(p, &m->dns_ask);
    else if (m->type == MSG_sts_policy && p->relay->strict)
        strict_restore(p->relay->strict, &m->sts_policy);
}

/* What it asked it will ask again: cut off what has no outcome yet. */
static void on_close(struct channel *ch, void *arg)
{
    struct peer *p = arg;
    struct relay *r = p->relay;
    for (struct job *j = r->jobs, *next; j; j = next) {
        next = j->next;
        if (j->peer == p)
            job_free(j);
    }
    asks_end(p);
    channel_free(ch);
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    free(p);
    relay_job_ended(r);
}

static void on_link(struct program *program, unsigned peer, unsigned index, int fd)
{
    static const struct channel_ops ops = {on_message, on_close};
    struct relay *r = program->arg;
    if (peer == DIRECTORY) {
        rpc_link(r->directory, index, fd);
        return;
    }
    if (peer != QUEUE && peer != SMTP) {
        close(fd);
        return;
    }
    struct peer *p = MEM_NEW(struct peer);
    *p = (struct peer){.relay = r, .next = r->peers, .link = &r->peers};
    if (p->next)
        p->next->link = &p->next;
    r->peers = p;
    p->ch = channel_new(program->base, fd, RELAY, peer, &ops, p);
}

/* --- the end --- */

void relay_job_ended(struct relay *r)
{
    if (r->stopping && !r->jobs)
        program_stop(r->program, 0);
}

/* Where the whole message is on its way, the answer is awaited: without it the message would come
 * twice. Everything else the queue does again. */
static bool on_stop(struct program *p)
{
    struct relay *r = p->arg;
    r->stopping = true;
    for (struct job *j = r->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->client || j->client->step != STEP_DOT)
            job_free(j);
    }
    return r->jobs != NULL;
}

static void on_status(struct program *p, struct buf *out)
{
    struct relay *r = p->arg;
    size_t jobs = 0;
    for (struct job *j = r->jobs; j; j = j->next)
        jobs++;
    buf_printf(out, "jobs=%zu idle=%zu sent=%llu refused=%llu deferred=%llu connections=%llu"
                    " reused=%llu",
               jobs, r->idle_count, (unsigned long long)r->sent, (unsigned long long)r->refused,
               (unsigned long long)r->deferred, (unsigned long long)r->connections,
               (unsigned long long)r->reused);
}

static void on_end(struct program *p)
{
    struct relay *r = p->arg;
    while (r->peers)
        on_close(r->peers->ch, r->peers);
    asks_end(&r->master);
    idle_end_all(r);
    rpc_free(r->directory);
    strict_free(r->strict);
    dns_free(r->dns);
    settings_drop(r->settings);
    arena_free(r->arena);
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = RELAY, .name = "facteur/relay", .prepare = on_prepare,
        .configure = on_configure, .check = on_check, .link = on_link, .message = on_order,
        .stop = on_stop, .status = on_status,
        .end = on_end,
    };
    struct relay r = {0};
    return program_run(&ops, &r, argc, argv);
}
