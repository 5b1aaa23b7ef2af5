/*
 * What a listing of a busy folder did not show. A file that is renamed while its directory is read may
 * be passed by, under both of its names. Taken for gone, its message would have to come back under a new
 * UID; and so it would when a larger UID came into the view first. Of a listing that something disturbed
 * only that is believed which several in a row say.
 */
#include "store/mailbox_private.h"

#include <stdlib.h>

#define SURE_LOOKS 3

static void add(struct mailbox_doubt *d, uint32_t uid)
{
    d->v[d->n++] = (struct mailbox_missing){uid, 1};
}

/* Messages of the view, then what the uidlist has above it: in a part, below the newest that was seen. */
static struct mailbox_doubt missing_in(const struct store_mailbox *mb, const struct store_picture *p,
                                       bool part)
{
    const struct store_uidlist *u = &mb->folder->uids;
    uint32_t newest = !part ? UINT32_MAX : p->count ? p->entry[p->count - 1].uid : 0;
    struct mailbox_doubt out = {mem_array(mb->count + u->count + 1, sizeof *out.v), 0};
    size_t k = 0;
    for (size_t i = 0; i < mb->count && !part; i++) {
        while (k < p->count && p->entry[k].uid < mb->msg[i].uid)
            k++;
        if (!mb->msg[i].gone && (k == p->count || p->entry[k].uid != mb->msg[i].uid))
            add(&out, mb->msg[i].uid);
    }
    for (size_t i = 0; i < u->count && u->recs[i].uid < newest; i++) {
        if (u->recs[i].uid <= mb->max_uid)
            continue;
        while (k < p->count && p->entry[k].uid < u->recs[i].uid)
            k++;
        if (k == p->count || p->entry[k].uid != u->recs[i].uid)
            add(&out, u->recs[i].uid);
    }
    return out;
}

bool mailbox_passed_by(const struct store_mailbox *mb, const struct store_picture *p)
{
    struct mailbox_doubt missing = missing_in(mb, p, true);
    free(missing.v);
    return missing.n > 0;
}

void mailbox_believe(struct store_mailbox *mb)
{
    free(mb->doubt.v);
    mb->doubt = (struct mailbox_doubt){0};
}

bool mailbox_doubts(const struct store_mailbox *mb, uint32_t uid)
{
    const struct mailbox_doubt *d = &mb->doubt;
    size_t i = MEM_BELOW(d->v, d->n, uid, uid);
    return i < d->n && d->v[i].uid == uid && d->v[i].looks < SURE_LOOKS;
}

bool mailbox_weigh(struct store_mailbox *mb, const struct store_picture *p)
{
    struct mailbox_doubt now = missing_in(mb, p, false);
    const struct mailbox_doubt *before = &mb->doubt;
    bool sure = true;
    for (size_t i = 0, k = 0; i < now.n; i++) {
        while (k < before->n && before->v[k].uid < now.v[i].uid)
            k++;
        if (k < before->n && before->v[k].uid == now.v[i].uid)
            now.v[i].looks = before->v[k].looks + 1;
        sure = sure && now.v[i].looks >= SURE_LOOKS;
    }
    mailbox_believe(mb);
    mb->doubt = now;
    return sure;
}

uint32_t mailbox_hold_from(const struct store_mailbox *mb)
{
    const struct mailbox_doubt *d = &mb->doubt;
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].uid > mb->max_uid && d->v[i].looks < SURE_LOOKS)
            return d->v[i].uid;
    return UINT32_MAX;
}
