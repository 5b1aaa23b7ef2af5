/* Asking a session's view, and changing its messages. */
#include "store/mailbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TRIES 4

size_t store_mailbox_count(const struct store_mailbox *mb)
{
    return mb->asleep ? 0 : mb->told_exists;
}

const struct store_msg *store_mailbox_at(const struct store_mailbox *mb, size_t index)
{
    return &mb->msg[index];
}

size_t store_mailbox_find(const struct store_mailbox *mb, uint32_t uid, bool *exact)
{
    size_t count = store_mailbox_count(mb), i = MEM_BELOW(mb->msg, count, uid, uid);
    *exact = i < count && mb->msg[i].uid == uid;
    return i;
}

size_t store_mailbox_recent(const struct store_mailbox *mb)
{
    size_t n = 0;
    for (size_t i = 0; i < mb->count; i++)
        n += mb->msg[i].recent;
    return n;
}

size_t store_mailbox_first_unseen(const struct store_mailbox *mb)
{
    size_t i = 0;
    while (i < mb->count && mb->msg[i].flags & STORE_SEEN)
        i++;
    return i;
}

uint32_t store_mailbox_uidvalidity(const struct store_mailbox *mb)
{
    return mb->uidvalidity;
}

uint32_t store_mailbox_uidnext(const struct store_mailbox *mb)
{
    return mb->uidnext;
}

const unsigned char *store_mailbox_guid(const struct store_mailbox *mb)
{
    return mb->guid;
}

struct str store_mailbox_base(const struct store_mailbox *mb, size_t index)
{
    return (struct str){mailbox_name(mb, &mb->msg[index]), mb->msg[index].base_len};
}

bool store_mailbox_read_only(const struct store_mailbox *mb)
{
    return mb->read_only;
}

struct store_folder *store_mailbox_folder(struct store_mailbox *mb)
{
    return mb->folder;
}

/* ---- keywords ---- */

struct str store_mailbox_keyword(const struct store_mailbox *mb, unsigned bit)
{
    return bit < STORE_KEYWORDS_MAX ? str_from(mb->folder->keywords.name[bit]) : (struct str){0};
}

int store_mailbox_keyword_find(const struct store_mailbox *mb, struct str name)
{
    return store_keywords_find(&mb->folder->keywords, name);
}

static int check_writable(const struct store_mailbox *mb, struct err *e)
{
    if (!mb->read_only)
        return 0;
    err_perm(e, "the mailbox is open read-only");
    return err_client(e, "The mailbox is open read-only");
}

int store_mailbox_keyword_add(struct store_mailbox *mb, struct str name, unsigned *bit, struct err *e)
{
    if (check_writable(mb, e) != 0)
        return -1;
    return store_keywords_add(&mb->folder->keywords, &mb->folder->uids, name, bit, e);
}

/* ---- messages ---- */

/* Does something with the message's file, which other programs may rename at any moment: when the name
 * is no longer there, the folder is looked at again. act: 0, or -1 and errno. */
static int with_file(struct store_mailbox *mb, size_t index, const char *what,
                     int (*act)(struct store_mailbox *, struct store_msg *, void *), void *ctx,
                     struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        struct store_msg *m = &mb->msg[index];
        if (m->gone)
            return 1;
        if (act(mb, m, ctx) == 0)
            return 0;
        if (errno != ENOENT && errno != EEXIST)
            return store_errno(e, "%s %s", what, mailbox_name(mb, m));
        /* The directory has changed: where no event says what, all has to be looked at. */
        mb->watch.rescan |= !store_watch_touched(&mb->watch);
        if (mailbox_look(mb, e) != 0)
            return -1;
    }
    return err_temp(e, "%s %s: renamed by others at every attempt", what,
                    mailbox_name(mb, &mb->msg[index]));
}

struct opening {
    int fd;
    struct stat *st;
};

static int act_open(struct store_mailbox *mb, struct store_msg *m, void *ctx)
{
    struct opening *o = ctx;
    o->fd = store_file_open(mailbox_dir(mb, m), mailbox_name(mb, m), O_RDONLY, o->st);
    return o->fd < 0 ? -1 : 0;
}

int store_mailbox_read(struct store_mailbox *mb, size_t index, int *fd, struct stat *st, struct err *e)
{
    struct opening o = {.fd = -1, .st = st};
    mailbox_read_ahead(mb, index);
    int r = with_file(mb, index, "open", act_open, &o, e);
    *fd = o.fd;
    return r;
}

static int act_stat(struct store_mailbox *mb, struct store_msg *m, void *ctx)
{
    return fstatat(mailbox_dir(mb, m), mailbox_name(mb, m), ctx, AT_SYMLINK_NOFOLLOW);
}

int store_mailbox_measure(struct store_mailbox *mb, size_t index, struct err *e)
{
    struct stat st;
    struct store_msg *m = &mb->msg[index];
    if (m->date != STORE_DATE_UNKNOWN)
        return 0;
    int r = with_file(mb, index, "stat", act_stat, &st, e);
    if (r != 0)
        return r;
    m = &mb->msg[index];
    if (m->vsize == STORE_SIZE_UNKNOWN || m->size != (uint64_t)st.st_size) {
        AUTO_FD fd = -1;
        r = store_mailbox_read(mb, index, &fd, NULL, e);
        if (r == 0)
            r = store_message_count(fd, &mb->msg[index].size, &mb->msg[index].vsize, e);
        if (r != 0)
            return r;
    }
    mb->msg[index].date = st.st_mtime;
    mb->msg[index].stale = mb->measured = true;
    return 0;
}

struct flag_change {
    enum store_op op;
    uint8_t flags;
    uint32_t keywords;
};

static void apply(const struct flag_change *c, uint8_t *flags, uint32_t *keywords)
{
    switch (c->op) {
    case STORE_OP_SET:
        /* "P" belongs to other programs and is kept: IMAP's system flags do not know it. */
        *flags = (uint8_t)(c->flags | (*flags & STORE_PASSED));
        *keywords = c->keywords;
        break;
    case STORE_OP_ADD:
        *flags |= c->flags;
        *keywords |= c->keywords;
        break;
    case STORE_OP_REMOVE:
        *flags &= (uint8_t)~c->flags;
        *keywords &= ~c->keywords;
        break;
    }
}

static int act_flags(struct store_mailbox *mb, struct store_msg *m, void *ctx)
{
    AUTO_BUF to = BUF_MAX(STORE_NAME_MAX);
    struct str name = {mailbox_name(mb, m), m->name_len};
    uint8_t flags = m->flags;
    uint32_t keywords = m->keywords;
    apply(ctx, &flags, &keywords);
    if (flags == m->flags && keywords == m->keywords)
        return 0;
    store_name_format(&to, str_head(name, m->base_len), name, flags, keywords);
    int64_t before = mailbox_cur_ns(mb);
    if (store_file_move(mailbox_dir(mb, m), name.p, mb->folder->cur_fd, buf_z(&to)) < 0)
        return -1;
    mailbox_own_change(mb, before);
    store_watch_own(&mb->watch, m->in_new, name.p, false, to.p);
    mailbox_set_name(mb, m, buf_view(&to));
    mailbox_changed(mb, m, false);
    m->flags = flags;
    m->keywords = keywords;
    m->in_new = false;
    return 0;
}

int store_mailbox_store(struct store_mailbox *mb, size_t index, enum store_op op, uint8_t flags,
                        uint32_t keywords, struct err *e)
{
    struct flag_change c = {op, flags, keywords};
    if (check_writable(mb, e) != 0)
        return -1;
    return with_file(mb, index, "set the flags of", act_flags, &c, e);
}

void store_mailbox_announce(struct store_mailbox *mb, size_t index)
{
    mb->msg[index].news = true;
}

static int act_unlink(struct store_mailbox *mb, struct store_msg *m, void *ctx)
{
    struct stat st;
    (void)ctx;
    uint64_t size = m->size;
    if (size == STORE_SIZE_UNKNOWN && act_stat(mb, m, &st) == 0)
        size = (uint64_t)st.st_size;
    int64_t before = mailbox_cur_ns(mb);
    if (unlinkat(mailbox_dir(mb, m), mailbox_name(mb, m), 0) < 0)
        return -1;
    if (!m->in_new)
        mailbox_own_change(mb, before);
    store_watch_own(&mb->watch, m->in_new, mailbox_name(mb, m), false, NULL);
    mailbox_mark_gone(mb, m);
    mb->freed_bytes += size == STORE_SIZE_UNKNOWN ? 0 : (int64_t)size;
    mb->freed_messages++;
    return 0;
}

int store_mailbox_expunge(struct store_mailbox *mb, size_t index, struct err *e)
{
    if (check_writable(mb, e) != 0)
        return -1;
    return with_file(mb, index, "remove", act_unlink, NULL, e);
}

/* ---- copying ---- */

struct link_one {
    struct store_save *save;
    bool late; /* linked at the commit */
    struct err *e;
    bool failed; /* *e is filled */
};

static int act_link(struct store_mailbox *mb, struct store_msg *m, void *ctx)
{
    struct link_one *l = ctx;
    struct store_entry as = {.flags = m->flags, .keywords = m->keywords};
    int r = (l->late ? store_save_link : store_save_copy)(
        l->save, mailbox_dir(mb, m), mailbox_name(mb, m), &as, &mb->folder->keywords, l->e);
    l->failed = r < 0;
    if (r == 0)
        store_save_same_as(l->save, store_mailbox_object(mb, (size_t)(m - mb->msg)));
    if (r > 0)
        errno = ENOENT;
    return r == 0 || l->failed ? 0 : -1;
}

static int link_all(struct store_mailbox *mb, const size_t *indexes, size_t count,
                    struct store_save *save, bool late, size_t *done, size_t *n, struct err *e)
{
    *n = 0;
    for (size_t i = 0; i < count; i++) {
        struct link_one l = {.save = save, .late = late, .e = e};
        int r = with_file(mb, indexes[i], "copy", act_link, &l, e);
        if (r < 0 || l.failed)
            return -1;
        if (r == 0)
            done[(*n)++] = indexes[i];
    }
    return 0;
}

/* 0; 1: files were renamed while this went on; -1. */
static int copy_all(struct store_mailbox *mb, const size_t *indexes, size_t count,
                    struct store_folder *to, bool late, uint32_t *uidvalidity, uint32_t **dst_uids,
                    size_t *done, size_t *n, struct err *e)
{
    size_t saved = 0;
    struct store_save *save = store_save_new(to);
    if (link_all(mb, indexes, count, save, late, done, n, e) == 0)
        return store_save_commit(save, uidvalidity, dst_uids, &saved, e);
    store_save_abort(save);
    return -1;
}

static int copy_done(struct store_mailbox *mb, const size_t *done, size_t n, bool move,
                     uint32_t **src_uids, struct err *e)
{
    *src_uids = mem_array(n + 1, sizeof **src_uids);
    for (size_t i = 0; i < n; i++)
        (*src_uids)[i] = mb->msg[done[i]].uid;
    for (size_t i = 0; move && i < n; i++)
        if (store_mailbox_expunge(mb, done[i], e) < 0)
            return -1;
    return 0;
}

int store_mailbox_copy(struct store_mailbox *mb, const size_t *indexes, size_t count,
                       struct store_folder *to, bool move, uint32_t *uidvalidity, uint32_t **src_uids,
                       uint32_t **dst_uids, size_t *copied, struct err *e)
{
    *src_uids = *dst_uids = NULL;
    *copied = 0;
    if (move && check_writable(mb, e) != 0)
        return -1;
    size_t *done = mem_array(count + 1, sizeof *done), n = 0;
    int r = copy_all(mb, indexes, count, to, true, uidvalidity, dst_uids, done, &n, e);
    if (r > 0)
        r = copy_all(mb, indexes, count, to, false, uidvalidity, dst_uids, done, &n, e);
    if (r == 0)
        r = copy_done(mb, done, n, move, src_uids, e);
    free(done);
    if (r == 0) {
        *copied = n;
        return 0;
    }
    free(*src_uids);
    free(*dst_uids);
    *src_uids = *dst_uids = NULL;
    return -1;
}
