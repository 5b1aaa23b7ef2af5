/* The filter program: configuration, links, end. */
#include "filter/filter.h"
#include "config/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void settings_drop(struct settings *s)
{
    if (!s || --s->holders > 0)
        return;
    config_free(s->cfg);
    arena_free(s->arena);
    secret_free(&s->client_secret);
    buf_free(&s->authorities);
    free(s);
}

static int on_prepare(struct program *p, struct err *e)
{
    struct filter *f = p->arg;
    f->program = p;
    f->connecting = map_new();
    f->calling = map_new();
    f->introspecting = map_new();
    web_prepare();
    f->web = web_new(p->base);
    f->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    return f->null_fd < 0 ? err_perm(e, "/dev/null: %s", strerror(errno)) : 0;
}

static int check_places(const struct config_list *list, struct err *e)
{
    struct config_endpoint place;
    for (size_t i = 0; i < list->n; i++)
        if (config_endpoint_parse(list->v[i], &place, e) != 0)
            return err_prefix(e, "smtpd_milters");
    return 0;
}

static int read_introspection(struct settings *s, const struct bundle *b, struct err *e)
{
    struct str secret, authorities;
    s->arena = arena_new(512);
    if (s->cfg->oauth2_introspection_url.n == 0)
        return 0;
    bool has_secret = bundle_get(b, STR("oauth2_client_secret"), &secret);
    if (has_secret)
        s->client_secret = secret_copy(secret);
    if (has_secret && !s->client_secret.p)
        return err_temp(e, "no guarded memory");
    if (bundle_get(b, STR("authorities"), &authorities))
        buf_str(&s->authorities, authorities);
    return config_introspection_read(s->cfg, s->arena, &s->server, e);
}

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct filter *f = p->arg;
    struct settings *s = MEM_NEW(struct settings);
    (void)reload;
    *s = (struct settings){.holders = 1, .cfg = cfg};
    if (check_places(&cfg->smtpd_milters, e) != 0 || read_introspection(s, b, e) != 0) {
        s->cfg = NULL; /* the caller's still */
        settings_drop(s);
        return -1;
    }
    settings_drop(f->settings);
    f->settings = s;
    return 0;
}

/* --- the programs that ask --- */

static void on_peer_message(struct channel *ch, void *arg, struct msg *m)
{
    struct peer *p = arg;
    (void)ch;
    if (!p->filter->settings)
        return;
    if (m->type == MSG_policy_ask)
        policy_take(p, &m->policy_ask);
    else if (m->type == MSG_introspect_ask)
        token_take(p, &m->introspect_ask);
    else
        visit_take(p, m);
}

static void on_peer_close(struct channel *ch, void *arg)
{
    struct peer *p = arg;
    policy_forget(p->filter, p);
    token_forget(p->filter, p);
    map_free(p->visits, visit_free);
    channel_free(ch);
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    free(p);
}

static void on_link(struct program *program, unsigned peer, unsigned index, int fd)
{
    static const struct channel_ops ops = {on_peer_message, on_peer_close};
    struct filter *f = program->arg;
    (void)index;
    if (peer != SMTP && peer != DIRECTORY) {
        close(fd);
        return;
    }
    struct peer *p = MEM_NEW(struct peer);
    *p = (struct peer){.filter = f, .next = f->peers, .link = &f->peers, .visits = map_new()};
    if (p->next)
        p->next->link = &p->next;
    f->peers = p;
    p->ch = channel_new(program->base, fd, FILTER, peer, &ops, p);
}

static void on_connected(struct filter *f, struct msg *m)
{
    if (!policy_connected(f, m) && !token_connected(f, m))
        link_connected(f, m);
}

static void on_message(struct program *p, struct msg *m)
{
    struct msg none = MSG_INIT(connect_reply);
    if (m->type == MSG_connect_reply)
        on_connected(p->arg, m);
    if (m->type != MSG_unread)
        return;
    none.connect_reply.id = m->unread.id;
    none.connect_reply.verdict = VERDICT_CANNOT_SAY;
    none.connect_reply.text = STR("no descriptor is left for the connection");
    on_connected(p->arg, &none);
}

/* --- the end --- */

static void on_status(struct program *p, struct buf *out)
{
    struct filter *f = p->arg;
    buf_printf(out, "visits=%zu messages=%llu refusals=%llu policies=%llu tokens=%llu failures=%llu",
               f->visit_count, (unsigned long long)f->messages, (unsigned long long)f->refusals,
               (unsigned long long)f->policies, (unsigned long long)f->tokens,
               (unsigned long long)f->failures);
}

static void on_end(struct program *p)
{
    struct filter *f = p->arg;
    while (f->peers)
        on_peer_close(f->peers->ch, f->peers);
    policy_forget(f, NULL);
    token_forget(f, NULL);
    web_free(f->web);
    map_free(f->connecting, NULL);
    map_free(f->calling, NULL);
    map_free(f->introspecting, NULL);
    settings_drop(f->settings);
    close(f->null_fd);
}

int main(int argc, char **argv)
{
    static const struct program_ops ops = {
        .self = FILTER, .name = "facteur/filter", .prepare = on_prepare,
        .configure = on_configure, .link = on_link, .message = on_message, .status = on_status,
        .end = on_end,
    };
    struct filter f = {.null_fd = -1};
    return program_run(&ops, &f, argc, argv);
}
