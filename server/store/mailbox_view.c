/* Merging pictures of the folder into a session's view, and telling what changed. */
#include "store/mailbox_private.h"
#include "store/quota.h"
#include "base/clock.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 25          /* directory times may be as coarse as this */
#define OWN_CHANGE_MS 1000  /* how long a change of others may hide behind our own */
#define LOOKS 4

const char *mailbox_name(const struct store_mailbox *mb, const struct store_msg *m)
{
    return mb->names.p + m->name;
}

int mailbox_dir(const struct store_mailbox *mb, const struct store_msg *m)
{
    return m->in_new ? mb->folder->new_fd : mb->folder->cur_fd;
}

static void compact_names(struct store_mailbox *mb)
{
    struct buf fresh = {0};
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
        if (str_eq(name, (struct str){mailbox_name(mb, m), m->name_len}))
            return;
        mb->names_dead += (size_t)m->name_len + 1;
        if (mb->names_dead > 65536 && mb->names_dead > mb->names.n / 2)
            compact_names(mb);
    }
    m->name = (uint32_t)mb->names.n;
    m->name_len = (uint16_t)name.n;
    buf_add(&mb->names, name.p, name.n);
    buf_byte(&mb->names, '\0');
}

static void due_in(struct store_mailbox *mb, int ms)
{
    int64_t at = clock_mono_ms() + ms;
    if (mb->recheck_at == 0 || at < mb->recheck_at)
        mb->recheck_at = at;
}

int64_t mailbox_cur_ns(const struct store_mailbox *mb)
{
    struct stat st;
    if (fstat(mb->folder->cur_fd, &st) < 0)
        return -1;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

void mailbox_own_change(struct store_mailbox *mb, int64_t before_ns)
{
    if (before_ns != mb->stamp.cur_ns)
        return;
    mb->stamp.cur_ns = mailbox_cur_ns(mb);
    due_in(mb, OWN_CHANGE_MS);
}

/* ---- merging ---- */

static struct str entry_name(const struct store_picture *p, const struct store_entry *x)
{
    return (struct str){p->names.p + x->name, x->name_len};
}

static void update(struct store_mailbox *mb, struct store_msg *m, const struct store_picture *p,
                   const struct store_entry *x)
{
    if (m->flags != x->flags || m->keywords != x->keywords || m->gone)
        m->news = true;
    m->flags = x->flags;
    m->keywords = x->keywords;
    m->in_new = x->in_new;
    m->gone = false;
    m->recent |= x->recent;
    mailbox_set_name(mb, m, entry_name(p, x));
}

static void append(struct store_mailbox *mb, const struct store_picture *p,
                   const struct store_entry *x)
{
    if (mb->count == mb->cap) {
        mb->cap = mb->cap ? mb->cap + mb->cap / 2 : (p->count > 64 ? p->count : 64);
        mb->msg = mem_grow(mb->msg, mb->cap, sizeof *mb->msg);
    }
    struct store_msg *m = &mb->msg[mb->count++];
    *m = (struct store_msg){.uid = x->uid, .keywords = x->keywords, .size = x->size,
                            .vsize = x->vsize, .date = STORE_DATE_UNKNOWN, .flags = x->flags,
                            .recent = x->recent, .in_new = x->in_new, .base_len = x->base_len};
    mailbox_set_name(mb, m, entry_name(p, x));
    mb->max_uid = x->uid;
}

struct merge {
    size_t missing;
    struct str *late; /* base names of files whose UID is too small to appear in this view now */
    size_t late_count;
};

static void merge(struct store_mailbox *mb, const struct store_picture *p, bool believe_missing,
                  struct merge *out)
{
    size_t i = 0, known = mb->count;
    out->missing = out->late_count = 0;
    for (size_t k = 0; k < p->count; k++) {
        const struct store_entry *x = &p->entry[k];
        for (; i < known && mb->msg[i].uid < x->uid; i++) {
            out->missing += !mb->msg[i].gone;
            mb->msg[i].gone |= believe_missing;
        }
        if (i < known && mb->msg[i].uid == x->uid)
            update(mb, &mb->msg[i++], p, x);
        else if (x->uid > mb->max_uid)
            append(mb, p, x);
        else
            out->late[out->late_count++] = (struct str){p->names.p + x->name, x->base_len};
    }
    for (; i < known; i++) {
        out->missing += !mb->msg[i].gone;
        mb->msg[i].gone |= believe_missing;
    }
    mb->uidnext = p->uidnext > mb->uidnext ? p->uidnext : mb->uidnext;
    mb->stamp = p->stamp;
}

static int check_identity(struct store_mailbox *mb, const struct store_picture *p, struct err *e)
{
    if (mb->uidvalidity == 0) {
        mb->uidvalidity = p->uidvalidity;
        memcpy(mb->guid, p->guid, sizeof mb->guid);
    }
    if (mb->uidvalidity == p->uidvalidity)
        return 0;
    err_perm(e, "UIDVALIDITY changed from %u to %u", mb->uidvalidity, p->uidvalidity);
    return err_client(e, "UIDVALIDITY changed, select the mailbox again");
}

static int take_picture(struct store_mailbox *mb, struct store_picture *p, struct err *e)
{
    struct stat st;
    if (mb->source.look(mb->source.ctx, mb->folder, !mb->read_only, p, e) == 0)
        return 0;
    if (fstat(mb->folder->dir_fd, &st) == 0 && st.st_nlink == 0) {
        err_perm(e, "the folder was deleted");
        return err_client(e, "The mailbox was deleted");
    }
    return -1;
}

/* One look: 0 done; 1 look again (a file only seemed to be missing, or UIDs were given anew); -1. */
static int look_once(struct store_mailbox *mb, bool last, struct err *e)
{
    struct store_picture p;
    struct merge m;
    if (take_picture(mb, &p, e) != 0)
        return -1;
    int r = check_identity(mb, &p, e);
    m.late = mem_array(p.count + 1, sizeof *m.late);
    if (r == 0) {
        mb->recheck_at = 0;
        if (p.uneasy)
            due_in(mb, 2 * TICK_MS);
        merge(mb, &p, last || !p.uneasy, &m);
        if (m.missing && p.uneasy && !last) {
            nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000}, NULL);
            r = 1;
        } else if (m.late_count && !last && !mb->read_only) {
            r = store_folder_renumber(mb->folder, m.late, m.late_count, e) == 0 ? 1 : -1;
        }
    }
    free(m.late);
    store_picture_free(&p);
    return r;
}

int mailbox_look(struct store_mailbox *mb, struct err *e)
{
    int r = 1;
    for (int i = 1; i <= LOOKS && r == 1; i++)
        r = look_once(mb, i == LOOKS, e);
    return r < 0 ? -1 : 0;
}

/* ---- telling ---- */

static void take_out_gone(struct store_mailbox *mb, size_t gone)
{
    struct store_changes *c = &mb->changes;
    size_t n = 0, at = gone;
    mb->seqs = mem_array(gone, sizeof *mb->seqs);
    mb->uids = mem_array(gone, sizeof *mb->uids);
    for (size_t i = 0; i < mb->count; i++) {
        if (!mb->msg[i].gone) {
            mb->msg[n++] = mb->msg[i];
            continue;
        }
        mb->names_dead += (size_t)mb->msg[i].name_len + 1;
        mb->seqs[--at] = (uint32_t)(i + 1);
        mb->uids[at] = mb->msg[i].uid;
    }
    mb->count = n;
    /* A message the client was never told of leaves without a word: it cannot be among those told. */
    size_t skip = 0;
    while (skip < gone && mb->seqs[skip] > mb->told_exists)
        skip++;
    c->expunged_seq = mb->seqs + skip;
    c->expunged_uid = mb->uids + skip;
    c->expunged = gone - skip;
}

static void tell_keywords(struct store_mailbox *mb)
{
    struct buf now = {0};
    for (size_t i = 0; i < STORE_KEYWORDS_MAX; i++) {
        buf_str(&now, str_from(mb->folder->keywords.name[i]));
        buf_byte(&now, '\n');
    }
    mb->changes.keywords_changed = !str_eq(buf_view(&now), buf_view(&mb->told_keywords));
    buf_free(&mb->told_keywords);
    mb->told_keywords = now;
}

static void note_freed(struct store_mailbox *mb)
{
    if (mb->freed_messages)
        (void)store_quota_add(mb->folder->root_fd, -mb->freed_bytes, -mb->freed_messages, NULL);
    mb->freed_bytes = mb->freed_messages = 0;
}

/* Makes the changes since the last time ready to be told. */
static void tell(struct store_mailbox *mb, bool expunge)
{
    struct store_changes *c = &mb->changes;
    size_t gone = 0, news = 0;
    free(mb->seqs);
    free(mb->uids);
    free(mb->flagged);
    mb->seqs = mb->uids = mb->flagged = NULL;
    *c = (struct store_changes){0};
    for (size_t i = 0; i < mb->count; i++)
        gone += mb->msg[i].gone;
    if (expunge && gone)
        take_out_gone(mb, gone);
    mb->flagged = mem_array(mb->count + 1, sizeof *mb->flagged);
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        if (m->news && !m->gone && i < mb->told_exists - c->expunged)
            mb->flagged[news++] = (uint32_t)(i + 1);
        m->news &= m->gone;
        c->recent += m->recent;
    }
    c->flagged = mb->flagged;
    c->flag_count = news;
    c->exists = mb->count;
    c->exists_grew = mb->count > mb->told_exists - c->expunged;
    mb->told_exists = mb->count;
    tell_keywords(mb);
    note_freed(mb);
}

bool store_mailbox_changed(const struct store_mailbox *mb)
{
    struct store_stamp now;
    return store_mailbox_due_ms(mb) == 0 || store_folder_stamp(mb->folder, &now, NULL) != 0 ||
           !store_stamp_eq(&now, &mb->stamp);
}

int store_mailbox_due_ms(const struct store_mailbox *mb)
{
    if (mb->recheck_at == 0)
        return -1;
    int64_t left = mb->recheck_at - clock_mono_ms();
    return left > 0 ? (int)left : 0;
}

int store_mailbox_sync(struct store_mailbox *mb, bool expunge, const struct store_changes **out,
                       struct err *e)
{
    *out = &mb->changes;
    if (store_mailbox_changed(mb) && mailbox_look(mb, e) != 0)
        return -1;
    if (store_keywords_refresh(&mb->folder->keywords, mb->folder->dir_fd, e) != 0)
        return -1;
    tell(mb, expunge);
    return 0;
}

/* ---- opening ---- */

static int look_at_maildir(void *ctx, struct store_folder *f, bool move_new,
                           struct store_picture *out, struct err *e)
{
    (void)ctx;
    return store_folder_scan(f, move_new, out, e);
}

int store_mailbox_open(int root_fd, struct str name, bool read_only, const struct store_source *source,
                       struct store_mailbox **out, struct err *e)
{
    struct store_folder *f;
    *out = NULL;
    int r = store_folder_open(root_fd, name, &f, e);
    if (r != 0)
        return r;
    struct store_mailbox *mb = MEM_NEW(struct store_mailbox);
    mb->folder = f;
    mb->read_only = read_only;
    mb->source = source ? *source : (struct store_source){.look = look_at_maildir};
    if (mailbox_look(mb, e) != 0) {
        store_mailbox_close(mb);
        return -1;
    }
    if (!read_only)
        (void)store_maildir_clean(f->dir_fd, clock_real_us() / 1000000, NULL);
    tell(mb, true);
    *out = mb;
    return 0;
}

void store_mailbox_close(struct store_mailbox *mb)
{
    if (!mb)
        return;
    note_freed(mb);
    store_folder_close(mb->folder);
    free(mb->msg);
    free(mb->seqs);
    free(mb->uids);
    free(mb->flagged);
    buf_free(&mb->names);
    buf_free(&mb->told_keywords);
    free(mb);
}
