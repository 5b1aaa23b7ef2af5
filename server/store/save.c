/* Saving messages into a folder, all or none, with UIDs that are on disk before they are told. */
#include "store/copy.h"
#include "store/folder.h"
#include "store/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct item {
    struct store_writer w;
    char *guid;        /* owned: the id of what it is a copy of, or NULL */
    char *src;         /* owned: a file to be linked, or NULL */
    int src_dir;
    uint32_t keywords;
    uint8_t flags;
    bool placed;
};

struct store_save {
    struct store_folder *f;
    struct item *item;
    size_t count, cap;
    struct store_copies copies;
    bool open; /* a message was begun and not ended */
};

struct store_save *store_save_new(struct store_folder *f)
{
    struct store_save *s = MEM_NEW(struct store_save);
    s->f = f;
    store_copies_begin(&s->copies);
    return s;
}

static struct item *next_item(struct store_save *s, uint8_t flags, uint32_t keywords)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 1;
        s->item = mem_grow(s->item, s->cap, sizeof *s->item);
    }
    s->item[s->count] = (struct item){.flags = flags, .keywords = keywords, .w = {.fd = -1}};
    return &s->item[s->count];
}

int store_save_begin(struct store_save *s, uint8_t flags, const struct str *keywords, size_t count,
                     int64_t date, uint64_t max, struct err *e)
{
    uint32_t mask = 0;
    unsigned letter;
    for (size_t i = 0; i < count; i++) {
        if (store_keywords_add(&s->f->keywords, &s->f->uids, keywords[i], &letter, e) != 0)
            return -1;
        mask |= 1u << letter;
    }
    struct item *m = next_item(s, flags, mask);
    if (store_writer_begin(&m->w, s->f->dir_fd, e) != 0)
        return -1;
    m->w.date = date;
    m->w.max = max;
    s->count++;
    s->open = true;
    return 0;
}

int store_save_write(struct store_save *s, struct str data, struct err *e)
{
    if (!s->open)
        return err_temp(e, "no message was begun");
    return store_writer_write(&s->item[s->count - 1].w, data, e);
}

int store_save_end(struct store_save *s, struct err *e)
{
    if (!s->open)
        return err_temp(e, "no message was begun");
    s->open = false;
    return store_writer_finish(&s->item[s->count - 1].w, e);
}

/* The letters that another folder's keywords have here. */
static uint32_t translate(struct store_save *s, uint32_t mask, const struct store_keywords *their)
{
    uint32_t out = 0;
    unsigned letter;
    for (unsigned i = 0; i < STORE_KEYWORDS_MAX; i++)
        if ((mask >> i & 1) && their->name[i] &&
            store_keywords_add(&s->f->keywords, &s->f->uids, str_from(their->name[i]), &letter,
                               NULL) == 0)
            out |= 1u << letter;
    return out;
}

int store_save_copy(struct store_save *s, int src_dir_fd, const char *file, const struct store_entry *as,
                    const struct store_keywords *their, struct err *e)
{
    struct item *m = next_item(s, as->flags, translate(s, as->keywords, their));
    int r = store_writer_link(&m->w, s->f->dir_fd, src_dir_fd, file, e);
    if (r == 0)
        s->count++;
    return r;
}

int store_save_link(struct store_save *s, int src_dir_fd, const char *file, const struct store_entry *as,
                    const struct store_keywords *their, struct err *e)
{
    struct item *m = next_item(s, as->flags, translate(s, as->keywords, their));
    int r = store_copies_add(&s->copies, &m->w, s->f->dir_fd, src_dir_fd, file, e);
    if (r == 2)
        return store_save_copy(s, src_dir_fd, file, as, their, e);
    if (r != 0)
        return r;
    m->src = mem_strdup(str_from(file));
    m->src_dir = src_dir_fd;
    s->count++;
    return 0;
}

void store_save_same_as(struct store_save *s, struct str guid)
{
    struct item *m = &s->item[s->count - 1];
    free(m->guid);
    m->guid = mem_strdup(guid);
}

static bool goes_to_new(const struct item *m)
{
    return !m->flags && !m->keywords;
}

static void take_back(struct store_save *s, const struct item *m)
{
    AUTO_BUF name = BUF_MAX(STORE_NAME_MAX);
    if (goes_to_new(m))
        buf_str(&name, str_from(m->w.base));
    else
        store_name_format(&name, str_from(m->w.base), STR(""), m->flags, m->keywords);
    unlinkat(goes_to_new(m) ? s->f->new_fd : s->f->cur_fd, buf_z(&name), 0);
}

void store_save_abort(struct store_save *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        store_writer_abort(&s->item[i].w);
        if (s->item[i].placed)
            take_back(s, &s->item[i]);
        free(s->item[i].guid);
        free(s->item[i].src);
    }
    free(s->item);
    free(s);
}

static int place(const struct store_folder *f, struct item *m, struct err *e)
{
    bool in_new = goes_to_new(m);
    if (m->src)
        return store_copies_place(&m->w, m->src_dir, m->src, in_new ? f->new_fd : f->cur_fd, in_new,
                                  m->flags, m->keywords, e);
    return store_writer_place(&m->w, true, m->flags, m->keywords, e);
}

/* 0; 1: a file to be linked is not to be had; -1. */
static int place_all(struct store_save *s, uint32_t *uids, struct err *e)
{
    bool any_new = false, any_cur = false;
    for (size_t i = 0; i < s->count; i++) {
        struct item *m = &s->item[i];
        int r = place(s->f, m, e);
        if (r != 0)
            return r;
        m->placed = true;
        any_new |= goes_to_new(m);
        any_cur |= !goes_to_new(m);
        if (!(uids[i] = store_uidlist_add_as(&s->f->uids, str_from(m->w.base), str_from(m->guid))))
            return err_temp(e, "the folder has run out of UIDs");
    }
    if (store_copies_sync(&s->copies, s->f->dir_fd, e) != 0 ||
        (any_new && store_dir_sync(s->f->new_fd, e) != 0) ||
        (any_cur && store_dir_sync(s->f->cur_fd, e) != 0))
        return -1;
    return 0;
}

static int commit_locked(struct store_save *s, uint32_t *uids, struct err *e)
{
    int r = place_all(s, uids, e);
    if (r == 0)
        return store_uidlist_commit(&s->f->uids, e);
    s->f->uids.readable = false; /* forget the UIDs that were given and not written */
    return r;
}

static void note_quota(const struct store_save *s)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->count; i++)
        bytes += s->item[i].w.size;
    (void)store_quota_add(s->f->root_fd, (int64_t)bytes, (int64_t)s->count, NULL);
}

int store_save_commit(struct store_save *s, uint32_t *uidvalidity, uint32_t **uids, size_t *count,
                      struct err *e)
{
    uint32_t *given = mem_array(s->count + 1, sizeof *given);
    int r = s->open ? err_temp(e, "a message was not ended") : store_uidlist_lock_end(&s->f->uids, e);
    if (r == 0) {
        r = commit_locked(s, given, e);
        store_uidlist_unlock(&s->f->uids);
    }
    if (r == 0) {
        note_quota(s);
        *uidvalidity = s->f->uids.uidvalidity;
        *count = s->count;
        for (size_t i = 0; i < s->count; i++)
            s->item[i].placed = false;
    }
    if (r == 0 && uids) {
        *uids = given;
        given = NULL;
    }
    free(given);
    store_save_abort(s);
    return r;
}
