/*
 * The maildir scan: what lies in cur/ and new/, matched with dovecot-uidlist, new files numbered.
 *
 * No lock is taken while every file is known. Unknown files are numbered under the uidlist's lock, after
 * it has been read again, in Dovecot's order.
 */
#include "store/folder.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Directory times may be as coarse as a clock tick: a change this young may not be the last with its
 * time. */
#define TICK_NS 20000000

struct scan {
    struct store_folder *f;
    bool move_new, listing_new;
    struct store_entry *entry;
    size_t count, cap;
    struct buf names;
    struct buf moved;  /* base names, each with a NUL, moved from new/ by this scan */
    struct buf placed; /* their names in cur/ */
    const struct store_part *part; /* not everything */
    uint32_t *slot;    /* for each uidlist record: entry + 1 */
    size_t unknown;    /* entries without a record */
    struct store_stamp stamp;
    int64_t stamp_ns;  /* store_folder_now() before it was taken */
    bool uneasy, again;
    struct err *e;
};

static void scan_clear(struct scan *s)
{
    s->count = 0;
    buf_clear(&s->names);
}

static void scan_free(struct scan *s)
{
    free(s->entry);
    free(s->slot);
    buf_free(&s->names);
    buf_free(&s->moved);
    buf_free(&s->placed);
}

static const char *name_of(const struct scan *s, const struct store_entry *m)
{
    return s->names.p + m->name;
}

static struct str base_of(const struct scan *s, const struct store_entry *m)
{
    return (struct str){name_of(s, m), m->base_len};
}

static int dir_of(const struct scan *s, const struct store_entry *m)
{
    return m->in_new ? s->f->new_fd : s->f->cur_fd;
}

/* ---- listing ---- */

static struct store_entry entry_of(const struct store_name *n, size_t at, size_t len, bool in_new)
{
    return (struct store_entry){
        .keywords = n->keywords, .size = n->size, .vsize = n->vsize, .name = (uint32_t)at,
        .name_len = (uint16_t)len, .base_len = (uint16_t)n->base.n, .flags = n->flags,
        .in_new = in_new, .recent = in_new};
}

static int list_one(void *ctx, struct str file, unsigned char type)
{
    struct scan *s = ctx;
    struct store_name n;
    /* Where the file system does not tell the type, opening refuses what is no regular file. */
    if ((type != DT_REG && type != DT_UNKNOWN) || !store_name_parse(file, &n))
        return 0;
    if (s->count >= UINT32_MAX / 4 || s->names.n > UINT32_MAX - 512)
        return err_temp(s->e, "too many messages in one folder");
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->entry = mem_grow(s->entry, s->cap, sizeof *s->entry);
    }
    s->entry[s->count++] = entry_of(&n, s->names.n, file.n, s->listing_new);
    return buf_add(&s->names, file.p, file.n) | buf_byte(&s->names, '\0');
}

static int list_dir(struct scan *s, bool new)
{
    s->listing_new = new;
    return store_dir_each(new ? s->f->new_fd : s->f->cur_fd, list_one, s, s->e);
}

/* new/X to cur/X:2, as every mail reader does. What cannot be moved (no space, read-only) stays. */
static bool move_one(struct scan *s, const struct store_entry *m)
{
    AUTO_BUF to = BUF_MAX(STORE_NAME_MAX);
    const char *from = name_of(s, m);
    if (m->name_len == m->base_len)
        store_name_format(&to, base_of(s, m), STR(""), 0, 0);
    else
        buf_add(&to, from, m->name_len);
    if (store_file_move(s->f->new_fd, from, s->f->cur_fd, buf_z(&to)) < 0)
        return errno == ENOENT;
    store_watch_own(s->f->watch, true, from, false, buf_z(&to));
    buf_add(&s->moved, from, m->base_len);
    buf_byte(&s->moved, '\0');
    buf_add(&s->placed, to.p, to.n);
    buf_byte(&s->placed, '\0');
    return true;
}

/* Lists new/ until a listing finds nothing to move, so that the stamp taken before it holds. */
static int list_new(struct scan *s)
{
    for (int i = 0;; i++) {
        size_t left = 0;
        scan_clear(s);
        s->stamp_ns = store_folder_now(s->f);
        if (store_folder_stamp(s->f, &s->stamp, s->e) != 0 || list_dir(s, true) != 0)
            return -1;
        if (i == 0 && s->part && s->count > s->part->limit)
            s->again = true;
        if (!s->move_new || s->count == 0 || i == 4 || s->again)
            return 0;
        for (size_t k = 0; k < s->count; k++)
            left += !move_one(s, &s->entry[k]);
        if (left == s->count)
            return 0;
    }
}

/* Instead of the whole of cur/: what was moved there just now, and the names that were asked for. */
static int list_part(struct scan *s)
{
    s->again = false;
    if (list_new(s) != 0)
        return -1;
    s->listing_new = false;
    struct str rest = buf_view(&s->placed);
    while (rest.n && !s->again) {
        struct str name = str_from(rest.p);
        rest = str_skip(rest, name.n + 1);
        if (list_one(s, name, DT_UNKNOWN) != 0)
            return -1;
        s->entry[s->count - 1].recent = true;
    }
    for (size_t i = 0; i < s->part->count && !s->again; i++) {
        struct stat st;
        bool there = fstatat(s->f->cur_fd, s->part->names[i].p, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!there && errno == ENOENT)
            s->again = true; /* gone, or renamed: its new name has not been told yet */
        if (there && S_ISREG(st.st_mode) && list_one(s, s->part->names[i], DT_REG) != 0)
            return -1;
    }
    return 0;
}

static int list_all(struct scan *s)
{
    struct store_stamp after;
    int64_t began = store_folder_now(s->f); /* a slow look must not make a young change old */
    if (s->part)
        return list_part(s);
    s->again = false;
    if (list_new(s) != 0 || list_dir(s, false) != 0 || store_folder_stamp(s->f, &after, s->e) != 0)
        return -1;
    s->uneasy = after.cur_ns != s->stamp.cur_ns ||
                s->stamp.cur_ns > began - TICK_NS;
    return 0;
}

/* ---- matching with the uidlist ---- */

static void drop_entry(struct store_entry *m)
{
    m->name_len = 0;
}

/* Gives a second file of the same base name a base name of its own. */
static int rename_apart(struct scan *s, struct store_entry *m)
{
    char unique[64], host[128];
    AUTO_BUF to = BUF_MAX(STORE_NAME_MAX);
    store_random_name(unique, "R");
    store_name_host(host);
    buf_printf(&to, "%lld.%s.%.100s", (long long)(clock_real_us() / 1000000), unique, host);
    if (m->size != STORE_SIZE_UNKNOWN && m->vsize != STORE_SIZE_UNKNOWN)
        buf_printf(&to, ",S=%llu,W=%llu", (unsigned long long)m->size, (unsigned long long)m->vsize);
    buf_add(&to, name_of(s, m) + m->base_len, m->name_len - m->base_len);
    if (store_file_move(dir_of(s, m), name_of(s, m), dir_of(s, m), buf_z(&to)) < 0 &&
        errno != ENOENT)
        return store_errno(s->e, "rename the duplicate %s", name_of(s, m));
    store_watch_own(s->f->watch, m->in_new, name_of(s, m), m->in_new, buf_z(&to));
    s->again = true;
    return 0;
}

/*
 * Two names of one base: a rename that was seen twice, two links to one file, or really two messages
 * (somebody copied a file). Decided as Dovecot decides it; nothing is lost in any case.
 */
static int resolve(struct scan *s, struct store_entry *first, struct store_entry *second)
{
    struct stat a, b;
    if (fstatat(dir_of(s, first), name_of(s, first), &a, AT_SYMLINK_NOFOLLOW) < 0) {
        struct store_entry gone = *first;
        *first = *second;
        *second = gone;
        drop_entry(second);
        return 0;
    }
    if (s->move_new && fstatat(dir_of(s, second), name_of(s, second), &b, AT_SYMLINK_NOFOLLOW) == 0) {
        bool same = a.st_ino == b.st_ino && a.st_dev == b.st_dev;
        if (!same && rename_apart(s, second) != 0)
            return -1;
        if (same && a.st_nlink > 1 && b.st_nlink == a.st_nlink)
            unlinkat(dir_of(s, second), name_of(s, second), 0);
    }
    drop_entry(second);
    return 0;
}

static int match(struct scan *s)
{
    const struct store_uidlist *u = &s->f->uids;
    free(s->slot);
    s->slot = mem_array(u->count + 1, sizeof *s->slot);
    s->unknown = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct store_entry *m = &s->entry[i];
        if (m->name_len == 0)
            continue;
        m->uid = 0;
        const struct store_uidrec *rec = store_uidlist_find(u, base_of(s, m));
        if (!rec) {
            m->uid = s->part ? s->part->known(s->part->ctx, base_of(s, m)) : 0;
            s->unknown += m->uid == 0;
            continue;
        }
        uint32_t *slot = &s->slot[rec - u->recs];
        m->uid = rec->uid;
        if (*slot == 0)
            *slot = (uint32_t)(i + 1);
        else if (resolve(s, &s->entry[*slot - 1], m) != 0)
            return -1;
    }
    return 0;
}

/* ---- numbering ---- */

struct arrival {
    struct store_name_order order;
    uint32_t entry;
};

static int by_arrival(const void *x, const void *y)
{
    const struct arrival *a = x, *b = y;
    return store_name_cmp(&a->order, &b->order);
}

static int number_sorted(struct scan *s, const struct arrival *order, size_t n)
{
    struct store_uidlist *u = &s->f->uids;
    size_t first = 0;
    for (size_t i = 0; i < n; i++) {
        struct store_entry *m = &s->entry[order[i].entry];
        if (i > 0 && str_eq(base_of(s, m), base_of(s, &s->entry[order[first].entry]))) {
            if (resolve(s, &s->entry[order[first].entry], m) != 0)
                return -1;
            continue;
        }
        first = i;
        if (!(m->uid = store_uidlist_add(u, base_of(s, m)))) {
            err_temp(s->e, "the folder has run out of UIDs");
            return err_client(s->e, "The mailbox has run out of UIDs");
        }
    }
    return 0;
}

/* Nothing has changed since all was listed: then every file is still there, and need not be looked for. */
static bool is_listed_still(const struct scan *s)
{
    struct store_stamp now;
    int64_t quiet = s->stamp_ns - TICK_NS;
    return !s->part && !s->uneasy && s->stamp.cur_ns < quiet && s->stamp.new_ns < quiet &&
           store_watch_tells_all(s->f->cur_fd) && store_folder_stamp(s->f, &now, NULL) == 0 &&
           now.cur_ns == s->stamp.cur_ns && now.new_ns == s->stamp.new_ns;
}

/* Gives UIDs to the entries that have none; a file that is no longer there waits for the next scan. */
static int number(struct scan *s)
{
    struct arrival *order = mem_array(s->unknown, sizeof *order);
    size_t n = 0;
    struct stat st;
    bool still = is_listed_still(s);
    for (size_t i = 0; i < s->count; i++) {
        struct store_entry *m = &s->entry[i];
        if (m->name_len == 0 || m->uid != 0)
            continue;
        if (still || fstatat(dir_of(s, m), name_of(s, m), &st, AT_SYMLINK_NOFOLLOW) == 0) {
            order[n++] = (struct arrival){store_name_order(base_of(s, m)), (uint32_t)i};
        } else {
            s->again = true;
            drop_entry(m);
        }
    }
    qsort(order, n, sizeof *order, by_arrival);
    int r = number_sorted(s, order, n);
    free(order);
    return r;
}

static bool many_dead(const struct scan *s)
{
    const struct store_uidlist *u = &s->f->uids;
    return !s->part && !u->tail && u->lines > 64 && u->count > s->count && (u->count - s->count) * 4 > u->count;
}

/* Forgets records without a file. Only after a listing made under the lock that nothing disturbed. */
static void forget_dead(struct scan *s)
{
    struct store_uidlist *u = &s->f->uids;
    bool *keep = mem_array(u->count + 1, sizeof *keep);
    for (size_t i = 0; i < u->count; i++)
        keep[i] = s->slot[i] != 0;
    store_uidlist_keep(u, keep);
    free(keep);
}

static int settle_locked(struct scan *s)
{
    bool compress = many_dead(s);
    if (compress && list_all(s) != 0)
        return -1;
    if (match(s) != 0)
        return -1;
    if (compress && !s->uneasy && !s->again)
        forget_dead(s);
    if (s->unknown && number(s) != 0)
        return -1;
    if (store_uidlist_commit(&s->f->uids, s->e) != 0)
        return -1;
    return match(s);
}

static int settle(struct scan *s)
{
    struct store_uidlist *u = &s->f->uids;
    if (store_uidlist_refresh(u, s->e) != 0 || match(s) != 0)
        return -1;
    if (u->readable && !u->rewrite && !s->unknown && !many_dead(s))
        return 0;
    if (store_uidlist_lock(u, s->e) != 0)
        return -1;
    int r = settle_locked(s);
    store_uidlist_unlock(u);
    return r;
}

/* ---- the picture ---- */

static void mark_moved(struct scan *s)
{
    struct str rest = buf_view(&s->moved);
    while (rest.n) {
        struct str base = str_from(rest.p);
        rest = str_skip(rest, base.n + 1);
        const struct store_uidrec *rec = store_uidlist_find(&s->f->uids, base);
        uint32_t slot = rec ? s->slot[rec - s->f->uids.recs] : 0;
        if (slot)
            s->entry[slot - 1].recent = true;
    }
}

static int by_uid(const void *x, const void *y)
{
    const struct store_entry *a = x, *b = y;
    return a->uid < b->uid ? -1 : a->uid > b->uid;
}

void store_picture_add(struct store_picture *p, uint32_t uid, const char *name, bool in_new)
{
    struct store_name n;
    struct str file = str_from(name);
    if (!store_name_parse(file, &n) || p->names.n > UINT32_MAX - 512)
        return;
    p->entry = mem_grow(p->entry, p->count + 1, sizeof *p->entry);
    p->entry[p->count] = entry_of(&n, p->names.n, file.n, in_new);
    p->entry[p->count++].uid = uid;
    buf_add(&p->names, name, file.n + 1);
}

void store_picture_sort(struct store_picture *p)
{
    qsort(p->entry, p->count, sizeof *p->entry, by_uid);
}

/* A part is small: sorted, and refused when a message is there twice. */
static void take_part(struct scan *s, struct store_picture *out)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->entry[i].name_len && s->entry[i].uid)
            out->entry[out->count++] = s->entry[i];
    store_picture_sort(out);
    for (size_t i = 1; i < out->count; i++)
        s->again |= out->entry[i].uid == out->entry[i - 1].uid;
}

static void take_all(struct scan *s, struct store_picture *out)
{
    for (size_t i = 0; i < s->f->uids.count; i++)
        if (s->slot[i])
            out->entry[out->count++] = s->entry[s->slot[i] - 1];
}

static void hand_over(struct scan *s, struct store_picture *out)
{
    const struct store_uidlist *u = &s->f->uids;
    uint32_t keywords = 0;
    *out = (struct store_picture){.uidvalidity = u->uidvalidity, .uidnext = u->uidnext,
                                  .stamp = s->stamp, .uneasy = s->uneasy};
    memcpy(out->guid, u->guid, sizeof out->guid);
    out->stamp.list_ino = u->seen.st_ino;
    out->stamp.list_size = (uint64_t)u->seen.st_size;
    out->stamp.list_ns = (int64_t)u->seen.st_mtim.tv_sec * 1000000000 + u->seen.st_mtim.tv_nsec;
    out->entry = mem_array(s->count + 1, sizeof *out->entry);
    if (s->part)
        take_part(s, out);
    else
        take_all(s, out);
    for (size_t i = 0; i < out->count; i++)
        keywords |= out->entry[i].keywords;
    out->names = s->names;
    s->names = (struct buf){0};
    store_keywords_note(&s->f->keywords, keywords);
}

int store_folder_scan(struct store_folder *f, bool move_new, struct store_picture *out, struct err *e)
{
    struct scan s = {.f = f, .move_new = move_new, .e = e};
    int r = 0;
    *out = (struct store_picture){0};
    if (f->uids.tail) /* every file is to be matched */
        store_uidlist_forget(&f->uids);
    for (int i = 0; i < 4 && r == 0; i++) {
        r = list_all(&s);
        if (r == 0)
            r = settle(&s);
        if (!s.again)
            break;
    }
    if (r == 0)
        r = store_keywords_refresh(&f->keywords, f->dir_fd, e);
    if (r == 0) {
        mark_moved(&s);
        hand_over(&s, out);
    }
    scan_free(&s);
    return r;
}

int store_folder_scan_part(struct store_folder *f, bool move_new, const struct store_part *part,
                           struct store_picture *out, struct err *e)
{
    struct scan s = {.f = f, .move_new = move_new, .e = e, .part = part};
    *out = (struct store_picture){0};
    int r = list_all(&s);
    if (r == 0 && !s.again)
        r = settle(&s);
    if (r == 0 && !s.again)
        r = store_keywords_refresh(&f->keywords, f->dir_fd, e);
    if (r == 0 && !s.again)
        hand_over(&s, out);
    if (s.again || r != 0)
        store_picture_free(out);
    scan_free(&s);
    return r == 0 && s.again ? 1 : r;
}

int store_folder_renumber(struct store_folder *f, const struct str *bases, size_t count, struct err *e)
{
    struct store_uidlist *u = &f->uids;
    if (store_uidlist_lock(u, e) != 0)
        return -1;
    bool *keep = mem_array(u->count + 1, sizeof *keep);
    memset(keep, 1, u->count);
    for (size_t i = 0; i < count; i++) {
        const struct store_uidrec *rec = store_uidlist_find(u, bases[i]);
        if (rec)
            keep[rec - u->recs] = false;
    }
    store_uidlist_keep(u, keep);
    free(keep);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++)
        if (!store_uidlist_add(u, bases[i]))
            r = err_temp(e, "the folder has run out of UIDs");
    if (r == 0)
        r = store_uidlist_commit(u, e);
    else
        u->readable = false;
    store_uidlist_unlock(u);
    return r;
}
