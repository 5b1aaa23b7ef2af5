/* Channels to the programs that ask. */
#include "directory/peer.h"
#include "directory/directory.h"

#include <stdlib.h>

static void peer_free(struct peer *p)
{
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
    free(p);
}

static void free_unused(struct peer *p)
{
    if (!p->keep && p->under_way == 0)
        peer_free(p);
}

static void on_message(struct channel *ch, void *arg, struct msg *m)
{
    (void)ch;
    directory_message(arg, m);
}

static void on_close(struct channel *ch, void *arg)
{
    struct peer *p = arg;
    p->ch = NULL;
    p->keep = false;
    channel_free(ch);
    directory_peer_gone(p);
    free_unused(p);
}

static struct peer *add(struct directory *d, unsigned program)
{
    struct peer *p = MEM_NEW(struct peer);
    *p = (struct peer){.d = d, .program = program, .number = ++d->last_peer, .keep = true};
    p->next = d->peers;
    p->at = &d->peers;
    if (p->next)
        p->next->at = &p->next;
    d->peers = p;
    return p;
}

struct peer *peer_new(struct directory *d, unsigned program, int fd)
{
    static const struct channel_ops ops = {on_message, on_close};
    struct peer *p = add(d, program);
    p->ch = channel_new(d->program->base, fd, DIRECTORY, program, &ops, p);
    return p;
}

struct peer *peer_of_master(struct directory *d, struct channel *ch)
{
    struct peer *p = add(d, MASTER);
    p->ch = ch;
    return p;
}

void peer_free_all(struct directory *d)
{
    while (d->peers) {
        if (d->peers->program != MASTER)
            channel_free(d->peers->ch);
        peer_free(d->peers);
    }
}

void peer_hold(struct peer *p)
{
    p->under_way++;
}

void peer_release(struct peer *p)
{
    p->under_way--;
    free_unused(p);
}

void peer_send(struct peer *p, const struct msg *m)
{
    if (p->ch)
        channel_send(p->ch, m);
}
