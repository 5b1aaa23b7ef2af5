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
    free(s);
}

static int on_prepare(struct program *p, struct err *e)
{
    struct filter *f = p->arg;
    f->program = p;
    f->connecting = map_new();
    f->calling = map_new();
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

static int on_configure(struct program *p, struct config *cfg, const struct bundle *b, bool reload,
                        struct err *e)
{
    struct filter *f = p->arg;
    (void)b;
    (void)reload;
    if (check_places(&cfg->smtpd_milters, e) != 0)
        return -1;
    settings_drop(f->settings);
    f->settings = MEM_NEW(struct settings);
    *f->settings = (struct settings){1, cfg};
    return 0;
}

/* --- the smtp programs --- */

static void on_peer_message(struct channel *ch, void *arg, struct msg *m)
{
    struct peer *p = arg;
    (void)ch;
    if (!p->filter->settings)
        return;
    if (m->type == MSG_policy_ask)
        policy_take(p, &m->policy_ask);
    else
        visit_take(p, m);
}

static void on_peer_close(struct channel *ch, void *arg)
{
    struct peer *p = arg;
    policy_forget(p->filter, p);
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
    if (peer != SMTP) {
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

static void on_message(struct program *p, struct msg *m)
{
    if (m->type == MSG_connect_reply && !policy_connected(p->arg, m))
        link_connected(p->arg, m);
}

/* --- the end --- */

static void on_status(struct program *p, struct buf *out)
{
    struct filter *f = p->arg;
    buf_printf(out, "visits=%zu messages=%llu refusals=%llu policies=%llu failures=%llu",
               f->visit_count, (unsigned long long)f->messages, (unsigned long long)f->refusals,
               (unsigned long long)f->policies, (unsigned long long)f->failures);
}

static void on_end(struct program *p)
{
    struct filter *f = p->arg;
    while (f->peers)
        on_peer_close(f->peers->ch, f->peers);
    policy_forget(f, NULL);
    map_free(f->connecting, NULL);
    map_free(f->calling, NULL);
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
