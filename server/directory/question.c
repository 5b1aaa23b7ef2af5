/* A question under way. */
#include "directory/question.h"
#include "base/clock.h"

#include <stdlib.h>

struct question *question_new(struct peer *p, uint64_t id, struct str about)
{
    struct question *q = MEM_NEW(struct question);
    *q = (struct question){.peer = p, .id = id, .started = clock_mono_ms()};
    about = str_head(about, sizeof q->address - 1);
    memcpy(q->address, about.p, about.n);
    peer_hold(p);
    return q;
}

void question_end(struct question *q)
{
    peer_release(q->peer);
    free(q);
}

const char *question_verdict_name(enum verdict v)
{
    static const char *const names[] = {"cannot-say", "yes", "no", "not-here", "remote", "full",
                                        "refused"};
    return names[v];
}

bool question_is_too_much(const struct peer *p)
{
    return p->under_way >= PEER_UNDER_WAY_MAX || !p->d->set;
}

void question_count(struct directory *d, enum verdict v)
{
    d->counts.cannot_say += v == VERDICT_CANNOT_SAY;
}

struct aside *aside_new(struct peer *p, uint64_t id, struct str about)
{
    struct aside *w = MEM_NEW(struct aside);
    *w = (struct aside){question_new(p, id, about), NULL, arena_new(1024)};
    if (p->d->set)
        w->set = dirset_hold(p->d->set);
    return w;
}

void aside_leave(struct aside *w)
{
    if (w->set)
        dirset_release(w->set);
    arena_free(w->arena);
    free(w);
}

void aside_end(struct aside *w)
{
    question_end(w->q);
    aside_leave(w);
}
