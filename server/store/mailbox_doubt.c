/*
 * What a listing of a busy folder did not show. A file that is renamed while its directory is read may
 * be passed by, under both of its names. Taken for gone, its message would have to come back under a new
 * UID; and so it would when a larger UID came into the view first. What happened to it meanwhile inotify tells;
 * without that, of a listing that something disturbed only that is believed which several in a row say.
 */
#include "store/mailbox_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

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

/* ---- what inotify told ---- */

struct told { /* what happened to a file, last */
    struct str base;
    const char *name; /* NULL: it is not in cur/ any more */
};

static struct told *all_told(const struct store_watch *w, size_t *n)
{
    struct told *out = mem_array(w->pending + 1, sizeof *out);
    *n = 0;
    for (struct str rest = buf_view(&w->names); rest.n;) {
        struct str name = str_from(rest.p + 1);
        struct store_name parsed;
        if (store_name_parse(name, &parsed))
            out[(*n)++] = (struct told){parsed.base, rest.p[0] == '+' ? name.p : NULL};
        rest = str_skip(rest, name.n + 2);
    }
    return out;
}

static const char *last_name(const struct told *told, size_t n, struct str base)
{
    while (n > 0 && !str_eq(told[n - 1].base, base))
        n--;
    return n ? told[n - 1].name : NULL;
}

static struct str base_of(const struct store_uidlist *u, uint32_t uid)
{
    size_t i = MEM_BELOW(u->recs, u->count, uid, uid);
    return i < u->count && u->recs[i].uid == uid ? store_uidlist_base(u, &u->recs[i]) : (struct str){0};
}

/* The missing ones that came to new/ after that was listed. What leaves it now is told with the next events. */
static void add_from_new(const struct store_mailbox *mb, struct mailbox_doubt *missing, struct store_picture *p)
{
    size_t n = 0;
    for (size_t i = 0; i < missing->n; i++) {
        struct stat st;
        AUTO_BUF name = BUF_MAX(STORE_NAME_MAX + 1);
        uint32_t uid = missing->v[i].uid;
        buf_str(&name, base_of(&mb->folder->uids, uid));
        if (name.n && fstatat(mb->folder->new_fd, buf_z(&name), &st, AT_SYMLINK_NOFOLLOW) == 0)
            store_picture_add(p, uid, buf_z(&name), true);
        else
            missing->v[n++] = missing->v[i];
    }
    missing->n = n;
}

static void add_from_cur(const struct store_mailbox *mb, const struct mailbox_doubt *missing, struct store_picture *p)
{
    size_t n;
    struct told *told = all_told(&mb->watch, &n);
    for (size_t i = 0; i < missing->n && n; i++) {
        const char *name = last_name(told, n, base_of(&mb->folder->uids, missing->v[i].uid));
        if (name)
            store_picture_add(p, missing->v[i].uid, name, false);
    }
    free(told);
}

bool mailbox_complete(struct store_mailbox *mb, struct store_picture *p)
{
    if (mb->watch.fd < 0)
        return false;
    size_t seen = p->count;
    struct mailbox_doubt missing = missing_in(mb, p, false);
    if (missing.n && store_watch_touched(&mb->watch) && mb->watch.new_touched)
        add_from_new(mb, &missing, p);
    (void)store_watch_touched(&mb->watch);
    bool told = !mb->watch.rescan && !mb->watch.moving;
    if (told)
        add_from_cur(mb, &missing, p);
    if (p->count > seen)
        store_picture_sort(p);
    free(missing.v);
    return told;
}

/* ---- looking again ---- */

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
