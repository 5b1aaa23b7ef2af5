/* The messages of a session's view in memory, and pictures of the folder merged into it. */
#include "store/mailbox_private.h"

#include <stdlib.h>

const char *mailbox_name(const struct store_mailbox *mb, const struct store_msg *m)
{
    return mb->names.p + m->name;
}

int mailbox_dir(const struct store_mailbox *mb, const struct store_msg *m)
{
    return m->in_new ? mb->folder->new_fd : mb->folder->cur_fd;
}

static struct str name_of(const struct store_mailbox *mb, const struct store_msg *m)
{
    return (struct str){mailbox_name(mb, m), m->name_len};
}

static struct str base_of(const struct store_mailbox *mb, const struct store_msg *m)
{
    return (struct str){mailbox_name(mb, m), m->base_len};
}

static void compact_names(struct store_mailbox *mb)
{
    struct buf fresh = {0};
    buf_room(&fresh, mb->names.n - mb->names_dead);
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        const char *name = mailbox_name(mb, m);
        m->name = (uint32_t)fresh.n;
        buf_add(&fresh, name, (size_t)m->name_len + 1);
    }
    buf_free(&mb->names);
    mb->names = fresh;
    mb->names_dead = 0;
}

void mailbox_set_name(struct store_mailbox *mb, struct store_msg *m, struct str name)
{
    if (m->name_len) {
        if (str_eq(name, name_of(mb, m)))
            return;
        mb->names_dead += (size_t)m->name_len + 1;
        if (mb->names_dead > 65536 && mb->names_dead > mb->names.n / 2)
            compact_names(mb);
    }
    m->name = (uint32_t)mb->names.n;
    m->name_len = (uint8_t)name.n;
    buf_add(&mb->names, name.p, name.n);
    buf_byte(&mb->names, '\0');
}

struct store_msg *mailbox_by_uid(struct store_mailbox *mb, uint32_t uid)
{
    size_t at = MEM_BELOW(mb->msg, mb->count, uid, uid);
    return at < mb->count && mb->msg[at].uid == uid ? &mb->msg[at] : NULL;
}

struct store_msg *mailbox_by_base(struct store_mailbox *mb, struct str base)
{
    for (size_t i = mb->count; i-- > 0;)
        if (mb->msg[i].base_len == base.n && str_eq(base_of(mb, &mb->msg[i]), base))
            return &mb->msg[i];
    return NULL;
}

struct store_msg *mailbox_by_name(struct store_mailbox *mb, struct str name)
{
    for (size_t i = mb->count; i-- > 0;)
        if (mb->msg[i].name_len == name.n && !mb->msg[i].in_new &&
            str_eq(name_of(mb, &mb->msg[i]), name))
            return &mb->msg[i];
    return NULL;
}

struct store_msg *mailbox_append(struct store_mailbox *mb, uint32_t uid, struct str name,
                                 size_t base_len, size_t expected)
{
    if (mb->count == mb->cap) {
        size_t more = mb->count / 4 > 64 ? mb->count / 4 : 64;
        mb->cap = mb->count + (expected > more ? expected : more);
        mb->msg = mem_grow(mb->msg, mb->cap, sizeof *mb->msg);
    }
    struct store_msg *m = &mb->msg[mb->count++];
    *m = (struct store_msg){.uid = uid, .base_len = (uint8_t)base_len,
                            .size = STORE_SIZE_UNKNOWN, .vsize = STORE_SIZE_UNKNOWN,
                            .date = STORE_DATE_UNKNOWN};
    mailbox_set_name(mb, m, name);
    mb->max_uid = uid;
    return m;
}

void mailbox_changed(struct store_mailbox *mb, struct store_msg *m, bool news)
{
    m->news |= news;
    m->changed = mb->unwritten = true;
    m->dated = false;
}

void mailbox_mark_gone(struct store_mailbox *mb, struct store_msg *m)
{
    if (!m->gone)
        m->dated = false;
    mb->unwritten |= !m->gone;
    m->gone = true;
}

void mailbox_start_again(struct store_mailbox *mb)
{
    mb->count = mb->names_dead = 0;
    mb->max_uid = 0;
    buf_clear(&mb->names);
    if (mb->memo)
        (void)mailbox_outline(mb);
    mb->outlined = false;
}

/* ---- pictures ---- */

/* Of a message that the client knows, what it was told of the flags is not known. */
static void fill(struct store_mailbox *mb, struct store_msg *m, const struct store_entry *x)
{
    m->blank = false;
    m->size = x->size;
    m->vsize = x->vsize;
    m->base_len = (uint8_t)x->base_len;
    mailbox_changed(mb, m, true);
}

static void update(struct store_mailbox *mb, struct store_msg *m, const struct store_picture *p,
                   const struct store_entry *x)
{
    struct str name = {p->names.p + x->name, x->name_len};
    if (m->blank) {
        fill(mb, m, x);
        mailbox_set_name(mb, m, name);
    }
    if (m->flags != x->flags || m->keywords != x->keywords || m->gone)
        mailbox_changed(mb, m, true);
    m->rebased |= !str_eq(str_head(name, x->base_len), base_of(mb, m));
    m->stale |= m->in_new != x->in_new || !str_eq(name, name_of(mb, m));
    mb->unwritten |= m->stale;
    m->flags = x->flags;
    m->keywords = x->keywords;
    m->in_new = x->in_new;
    m->gone = false;
    m->recent |= x->recent;
    m->base_len = (uint8_t)x->base_len;
    mailbox_set_name(mb, m, name);
}

static void append(struct store_mailbox *mb, const struct store_picture *p,
                   const struct store_entry *x)
{
    struct str name = {p->names.p + x->name, x->name_len};
    struct store_msg *m = mailbox_append(mb, x->uid, name, x->base_len,
                                         p->count > mb->count ? p->count - mb->count : 0);
    m->keywords = x->keywords;
    m->size = x->size;
    m->vsize = x->vsize;
    m->flags = x->flags;
    m->recent = x->recent;
    m->in_new = x->in_new;
    mailbox_changed(mb, m, false);
}

static void miss(struct store_mailbox *mb, struct store_msg *m, struct mailbox_merge *out)
{
    if (m->gone)
        return;
    if (mailbox_doubts(mb, m->uid))
        out->held = true;
    else
        mailbox_mark_gone(mb, m);
}

void mailbox_merge(struct store_mailbox *mb, const struct store_picture *p, bool part,
                   struct mailbox_merge *out)
{
    size_t i = 0, known = mb->count;
    uint32_t hold = part ? UINT32_MAX : mailbox_hold_from(mb);
    out->late_count = 0;
    out->held = hold != UINT32_MAX;
    for (size_t k = 0; k < p->count; k++) {
        const struct store_entry *x = &p->entry[k];
        for (; i < known && mb->msg[i].uid < x->uid; i++)
            if (!part)
                miss(mb, &mb->msg[i], out);
        /* Once it is known to others that a UID has vanished, it cannot come back. */
        if (i < known && mb->msg[i].uid == x->uid && !(mb->msg[i].gone && mb->msg[i].logged))
            update(mb, &mb->msg[i++], p, x);
        else if (x->uid > mb->max_uid && x->uid < hold)
            append(mb, p, x);
        else if (x->uid < hold)
            out->late[out->late_count++] = (struct str){p->names.p + x->name, x->base_len};
    }
    for (; i < known && !part; i++)
        miss(mb, &mb->msg[i], out);
    mb->uidnext = p->uidnext > mb->uidnext ? p->uidnext : mb->uidnext;
}

void store_mailbox_rest(struct store_mailbox *mb)
{
    if (mb->names_dead > mb->names.n / 8)
        compact_names(mb);
    if (mb->cap > mb->count + mb->count / 8 + 16) {
        mb->cap = mb->count ? mb->count : 1;
        mb->msg = mem_grow(mb->msg, mb->cap, sizeof *mb->msg);
    }
    store_uidlist_rest(&mb->folder->uids);
    free(mb->seqs);
    free(mb->uids);
    free(mb->flagged);
    mb->seqs = mb->uids = mb->flagged = NULL;
    mb->changes = (struct store_changes){0};
}
