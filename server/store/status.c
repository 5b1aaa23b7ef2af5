/*
 * STATUS of a folder that is not selected.
 *
 * Where the index is behind, the folder is looked into. The view that takes is kept for the next question, with a
 * watch: of a folder that this session adds to again and again only what is new need be looked at then.
 */
#include "store/mailbox_private.h"

#include <fcntl.h>

#define KEEP_MAX 20000 /* messages of a view that is worth its memory */

/* The row has it all, unless something happened since. */
static bool from_row(struct store_folder *f, struct store_index *index, unsigned want,
                     struct store_status *out)
{
    struct store_index_folder row;
    struct store_stamp now;
    struct stat st;
    if (!index || fstat(f->cur_fd, &st) < 0 || store_folder_stamp(f, &now, NULL) != 0 ||
        store_index_folder(index, st.st_ino, &row) != 0 || !store_index_believable(&row) ||
        !store_stamp_eq(&row.stamp, &now) ||
        ((want & STORE_STATUS_SIZE) && row.size == STORE_SIZE_UNKNOWN) ||
        ((want & STORE_STATUS_DELETED_SIZE) && row.deleted))
        return false;
    *out = (struct store_status){.uidvalidity = row.uidvalidity, .uidnext = row.uidnext,
                                 .messages = (size_t)row.messages, .recent = (size_t)row.in_new,
                                 .unseen = (size_t)row.unseen, .deleted = (size_t)row.deleted,
                                 .size = row.size, .highest = row.highest};
    memcpy(out->guid, row.guid, sizeof out->guid);
    return true;
}

/* Bytes on disk, which an expunge would give back. */
static uint64_t disk_size(struct store_mailbox *mb, const struct store_msg *m)
{
    struct stat st;
    if (m->size != STORE_SIZE_UNKNOWN)
        return m->size;
    if (fstatat(mailbox_dir(mb, m), mailbox_name(mb, m), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return (uint64_t)st.st_size;
}

/* Sizes of messages whose names do not tell; one that vanished counts nothing. */
static int add_size(struct store_mailbox *mb, size_t i, struct store_status *out, struct err *e)
{
    if (mb->msg[i].vsize == STORE_SIZE_UNKNOWN && store_mailbox_measure(mb, i, e) < 0)
        return -1;
    const struct store_msg *m = &mb->msg[i];
    out->size += m->gone || m->vsize == STORE_SIZE_UNKNOWN ? 0 : m->vsize;
    return 0;
}

static int from_view(struct store_mailbox *mb, unsigned want, struct store_status *out, struct err *e)
{
    *out = (struct store_status){.uidvalidity = mb->uidvalidity, .uidnext = mb->uidnext,
                                 .highest = store_mailbox_highest(mb),
                                 .size = want & STORE_STATUS_SIZE ? 0 : STORE_SIZE_UNKNOWN};
    memcpy(out->guid, mb->guid, sizeof out->guid);
    for (size_t i = 0; i < mb->count; i++) {
        const struct store_msg *m = &mb->msg[i];
        if (m->gone)
            continue;
        out->messages++;
        out->recent += m->in_new;
        out->unseen += !(m->flags & STORE_SEEN);
        if (m->flags & STORE_DELETED) {
            out->deleted++;
            out->deleted_size += disk_size(mb, m);
        }
        if ((want & STORE_STATUS_SIZE) && add_size(mb, i, out, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- views that are kept ---- */

static bool is_of(const struct store_mailbox *mb, int root_fd, struct str name)
{
    struct stat there, here;
    return mb && store_folder_cur_stat(root_fd, name, &there) == 0 &&
           fstat(mb->folder->cur_fd, &here) == 0 && there.st_ino == here.st_ino &&
           there.st_dev == here.st_dev;
}

static void drop(struct store_mailbox **kept)
{
    store_mailbox_close(*kept);
    *kept = NULL;
}

static int from_kept(struct store_mailbox **kept, unsigned want, struct store_status *out)
{
    const struct store_changes *changes;
    if (store_mailbox_sync(*kept, true, &changes, NULL) == 0 && from_view(*kept, want, out, NULL) == 0)
        return 0;
    drop(kept); /* what is wrong is found by whoever opens the folder */
    return -1;
}

/* The folder is this function's. */
static int look_into(struct store_folder *f, struct store_index *index, struct store_mailbox **kept,
                     unsigned want, struct store_status *out, struct err *e)
{
    struct store_mailbox *mb;
    if (kept)
        drop(kept);
    if (mailbox_look_into(f, kept != NULL, index, &mb, e) != 0)
        return -1;
    int r = from_view(mb, want, out, e);
    if (r == 0 && kept && mb->watch.fd >= 0 && mb->count <= KEEP_MAX)
        *kept = mb;
    else
        store_mailbox_close(mb);
    return r;
}

int store_status(int root_fd, struct str name, struct store_index *index, struct store_mailbox **kept,
                 unsigned want, struct store_status *out, struct err *e)
{
    struct store_folder *f;
    if (kept && is_of(*kept, root_fd, name) && from_kept(kept, want, out) == 0)
        return 0;
    int r = store_folder_open(root_fd, name, &f, e);
    if (r != 0)
        return r;
    if (!from_row(f, index, want, out))
        return look_into(f, index, kept, want, out, e);
    store_folder_close(f);
    return 0;
}
