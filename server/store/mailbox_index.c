/*
 * A session's view and the index: loading, following other sessions, and writing changes.
 *
 * A message of the view is as the index has it, or marked: changed (needs a new mod-sequence), stale (a
 * name or size to be written), gone and not logged. Changes get their mod-sequence inside a
 * transaction that has taken over what others wrote before, so one folder has one order of changes.
 */
#include "store/mailbox_private.h"
#include "base/clock.h"

#include <stdlib.h>

#define BULK 2000 /* messages of a first look that are written in a quiet moment */

/* ---- loading ---- */

struct loading {
    struct store_mailbox *mb;
    size_t expected;
    size_t at, outlined; /* the blank messages, in the order of UIDs like the rows */
};

static void take_row(struct store_msg *m, const struct store_index_row *row)
{
    m->modseq = row->modseq;
    m->flags = row->flags;
    m->keywords = row->keywords;
    m->size = row->size;
    m->vsize = row->vsize;
    m->date = row->date;
    m->in_new = row->in_new;
}

static size_t base_length(const struct store_index_row *row)
{
    const char *colon = memchr(row->name.p, ':', row->name.n);
    return colon ? (size_t)(colon - row->name.p) : row->name.n;
}

static struct store_msg *append_row(struct store_mailbox *mb, const struct store_index_row *row,
                                    size_t expected)
{
    struct store_msg *m = mailbox_append(mb, row->uid, row->name, base_length(row), expected);
    take_row(m, row);
    return m;
}

/* A message the client knows. */
static void fill_row(struct store_mailbox *mb, struct store_msg *m, const struct store_index_row *row)
{
    mailbox_set_name(mb, m, row->name);
    m->base_len = (uint8_t)base_length(row);
    take_row(m, row);
    m->blank = false;
    m->news = row->modseq > mb->memo->told;
}

static void load_row(void *ctx, const struct store_index_row *row)
{
    struct loading *l = ctx;
    while (l->at < l->outlined && l->mb->msg[l->at].uid < row->uid)
        l->at++;
    if (l->at < l->outlined && l->mb->msg[l->at].uid == row->uid)
        fill_row(l->mb, &l->mb->msg[l->at], row);
    else if (row->uid > l->mb->max_uid)
        append_row(l->mb, row, l->expected > l->mb->count ? l->expected - l->mb->count : 0);
}

static void note_keywords(struct store_mailbox *mb)
{
    uint32_t used = 0;
    for (size_t i = 0; i < mb->count; i++)
        used |= mb->msg[i].keywords;
    store_keywords_note(&mb->folder->keywords, used);
}

int mailbox_load(struct store_mailbox *mb, const struct store_index_folder *row)
{
    struct loading l = {.mb = mb, .expected = row->messages < 10000000 ? (size_t)row->messages : 0,
                        .outlined = mb->count};
    if (mb->memo && row->uidvalidity != mb->uidvalidity)
        return -1;
    mb->generation = store_index_generation(mb->index);
    if (store_index_rows(mb->index, row->id, 0, load_row, &l) != 0) {
        mailbox_start_again(mb);
        return -1;
    }
    mb->folder_id = row->id;
    mb->uidvalidity = row->uidvalidity;
    mb->uidnext = row->uidnext;
    memcpy(mb->guid, row->guid, sizeof mb->guid);
    mb->known = mb->highest = row->highest;
    mb->logged_since = row->logged_since;
    note_keywords(mb);
    return 0;
}

/* ---- following ---- */

static void follow_row(void *ctx, const struct store_index_row *row)
{
    struct store_mailbox *mb = ctx;
    struct store_msg *m = mailbox_by_uid(mb, row->uid);
    if (!m && row->uid > mb->max_uid) {
        append_row(mb, row, 0)->recent = row->in_new;
        return;
    }
    if (!m || m->gone)
        return;
    bool same = m->flags == row->flags && m->keywords == row->keywords;
    if (m->changed && !same)
        return; /* what this session did or saw came later */
    if (!same) {
        mailbox_set_name(mb, m, row->name);
        m->news = true;
        m->stale = false;
    }
    int64_t date = m->date;
    uint64_t size = m->size, vsize = m->vsize;
    bool in_new = m->in_new;
    take_row(m, row);
    m->changed = false;
    if (same) { /* the name here is at least as new */
        m->in_new = in_new;
        m->stale |= !str_eq((struct str){mailbox_name(mb, m), m->name_len}, row->name);
    }
    if (date != STORE_DATE_UNKNOWN && row->date == STORE_DATE_UNKNOWN) {
        m->date = date;
        m->size = size;
        m->vsize = vsize;
        m->stale = true;
    }
}

static void follow_vanished(void *ctx, uint32_t first, uint32_t last)
{
    struct store_mailbox *mb = ctx;
    for (size_t i = MEM_BELOW(mb->msg, mb->count, uid, first);
         i < mb->count && mb->msg[i].uid <= last; i++)
        mb->msg[i].gone = mb->msg[i].logged = true;
}

/* The index has nothing of what this view was written to before: all of it is to be written. */
static void all_unwritten(struct store_mailbox *mb)
{
    for (size_t i = 0; i < mb->count; i++)
        mb->msg[i].changed = !mb->msg[i].gone;
    buf_clear(&mb->lost);
    mb->folder_id = 0;
    mb->known = 0;
    mb->unwritten = true;
}

static bool same_folder(const struct store_mailbox *mb, const struct store_index_folder *row)
{
    return row->uidvalidity == mb->uidvalidity && memcmp(row->guid, mb->guid, sizeof mb->guid) == 0;
}

/* row: what the index has of the folder, id 0 when it has none (that is this folder). */
static int follow(struct store_mailbox *mb, struct store_index_folder *row)
{
    int r = store_index_folder(mb->index, mb->cur_ino, row);
    uint64_t generation = store_index_generation(mb->index);
    if (r < 0 || generation == 0)
        return -1;
    if (row->id && !same_folder(mb, row)) {
        /* Rows of another folder that had this inode; they are replaced when this one is written. */
        row->highest = row->logged_since = 0;
        row->id = 0;
    }
    if (mb->folder_id && (mb->generation != generation || mb->folder_id != row->id))
        all_unwritten(mb);
    mb->generation = generation;
    if (!row->id)
        return 0;
    bool first = mb->folder_id == 0;
    mb->folder_id = row->id;
    if (first || row->highest > mb->known) {
        if (store_index_rows(mb->index, row->id, mb->known, follow_row, mb) != 0 ||
            store_index_vanished(mb->index, row->id, mb->known, follow_vanished, mb) != 0)
            return -1;
        mb->known = row->highest;
        mb->highest = row->highest > mb->highest ? row->highest : mb->highest;
        mb->uidnext = row->uidnext > mb->uidnext ? row->uidnext : mb->uidnext;
        mb->logged_since = row->logged_since;
        note_keywords(mb);
    }
    return 0;
}

int mailbox_follow(struct store_mailbox *mb)
{
    struct store_index_folder row;
    return follow(mb, &row);
}

/* ---- writing ---- */

struct writing {
    struct store_mailbox *mb;
    uint64_t modseq; /* of the changes written now */
    size_t changes;
};

static bool is_lost(const struct store_msg *m)
{
    return m->gone && !m->logged;
}

static size_t lost_count(const struct store_mailbox *mb)
{
    return mb->lost.n / sizeof(uint32_t);
}

static uint32_t lost_uid(const struct store_mailbox *mb, size_t i)
{
    uint32_t uid;
    memcpy(&uid, mb->lost.p + i * sizeof uid, sizeof uid);
    return uid;
}

static size_t count_changes(const struct store_mailbox *mb)
{
    size_t n = lost_count(mb);
    for (size_t i = 0; i < mb->count; i++)
        n += is_lost(&mb->msg[i]) || (mb->msg[i].changed && !mb->msg[i].gone);
    return n;
}

static int put_message(struct writing *w, struct store_msg *m)
{
    struct store_mailbox *mb = w->mb;
    if (m->changed)
        m->modseq = w->modseq;
    const struct store_index_row row = {
        .uid = m->uid, .keywords = m->keywords, .size = m->size, .vsize = m->vsize, .date = m->date,
        .modseq = m->modseq, .flags = m->flags, .in_new = m->in_new,
        .name = {mailbox_name(mb, m), m->name_len}};
    if (m->rebased && store_index_forget(mb->index, mb->folder_id, m->uid) != 0)
        return -1;
    return store_index_put(mb->index, mb->folder_id, &row);
}

/* Neighbours in the view vanish as one range: UIDs between them do not exist either. */
static int remove_lost(struct writing *w)
{
    struct store_mailbox *mb = w->mb;
    for (size_t i = 0; i < mb->count; i++) {
        size_t first = i;
        while (i < mb->count && is_lost(&mb->msg[i]))
            i++;
        if (i > first && store_index_remove(mb->index, mb->folder_id, w->modseq, mb->msg[first].uid,
                                            mb->msg[i - 1].uid) != 0)
            return -1;
    }
    for (size_t i = 0; i < lost_count(mb); i++)
        if (store_index_remove(mb->index, mb->folder_id, w->modseq, lost_uid(mb, i),
                               lost_uid(mb, i)) != 0)
            return -1;
    return 0;
}

static void count_all(const struct store_mailbox *mb, struct store_index_folder *row)
{
    row->messages = row->unseen = row->deleted = row->in_new = row->size = 0;
    for (size_t i = 0; i < mb->count; i++) {
        const struct store_msg *m = &mb->msg[i];
        if (m->gone)
            continue;
        row->messages++;
        row->unseen += !(m->flags & STORE_SEEN);
        row->deleted += (m->flags & STORE_DELETED) != 0;
        row->in_new += m->in_new;
        if (m->vsize == STORE_SIZE_UNKNOWN || row->size == STORE_SIZE_UNKNOWN)
            row->size = STORE_SIZE_UNKNOWN;
        else
            row->size += m->vsize;
    }
}

static int put_folder(struct writing *w, struct store_index_folder *row)
{
    struct store_mailbox *mb = w->mb;
    row->id = mb->folder_id;
    row->cur_ino = mb->cur_ino;
    memcpy(row->guid, mb->guid, sizeof row->guid);
    row->uidvalidity = mb->uidvalidity;
    row->uidnext = mb->uidnext;
    row->stamp = mb->stamp;
    row->taken_ns = mb->taken_ns;
    if (mb->folder->uids.readable)
        row->lines = mb->folder->uids.lines;
    row->logged_since = mb->logged_since;
    if (w->changes)
        row->highest = w->modseq;
    count_all(mb, row);
    if (store_index_put_folder(mb->index, row) != 0)
        return -1;
    mb->folder_id = row->id;
    return 0;
}

/* A new folder, or one whose rows are of another one. */
static int put_new_folder(struct writing *w, struct store_index_folder *row)
{
    struct store_mailbox *mb = w->mb;
    struct store_index_folder old;
    int r = store_index_folder(mb->index, mb->cur_ino, &old);
    if (r < 0 || (r == 0 && store_index_clear_folder(mb->index, old.id) != 0))
        return -1;
    *row = (struct store_index_folder){0};
    mb->logged_since = w->modseq; /* what vanished earlier is not known any more */
    return put_folder(w, row);
}

static void settled(struct store_mailbox *mb, const struct store_index_folder *row)
{
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        m->logged |= m->gone;
        m->changed = m->stale = m->rebased = m->dated = false;
    }
    mb->lost_dated = 0;
    buf_free(&mb->lost);
    mb->unwritten = mb->later = mb->measured = false;
    mb->provisional = 0;
    mb->known = row->highest;
    mb->highest = row->highest > mb->highest ? row->highest : mb->highest;
}

/* Inside a transaction. */
static int write_all(struct store_mailbox *mb, struct store_index_folder *row)
{
    struct writing w = {.mb = mb};
    if (follow(mb, row) != 0)
        return -1;
    w.changes = count_changes(mb);
    uint64_t above = row->highest > mb->highest ? row->highest : mb->highest;
    if (mb->provisional > row->highest && mb->provisional == mb->highest)
        w.modseq = mb->provisional;
    else if (w.changes || !mb->folder_id)
        w.modseq = store_index_modseq(mb->index, above);
    if (!mb->folder_id) {
        w.changes += w.changes == 0; /* even an empty folder has a HIGHESTMODSEQ */
        if (put_new_folder(&w, row) != 0)
            return -1;
    }
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        if ((m->changed || m->stale) && !m->gone && put_message(&w, m) != 0)
            return -1;
    }
    if (remove_lost(&w) != 0 ||
        store_index_trim(mb->index, mb->folder_id, &mb->logged_since) != 0)
        return -1;
    return put_folder(&w, row);
}

/* Without the index the changes have mod-sequences that only this session knows, later than all. */
static void settle_alone(struct store_mailbox *mb)
{
    uint64_t modseq = 0;
    if (!mb->folder_id && !mb->later)
        return; /* nothing outlives this session: the mailbox has no mod-sequences */
    for (size_t i = 0; i < mb->count; i++) {
        struct store_msg *m = &mb->msg[i];
        bool dated = m->dated;
        m->dated = true;
        if (dated || !(m->gone ? !m->logged : m->changed))
            continue;
        if (!modseq)
            modseq = store_index_modseq(mb->index, mb->highest);
        m->modseq = modseq;
    }
    if (!modseq && (mb->lost.n != mb->lost_dated || mb->highest == 0))
        modseq = store_index_modseq(mb->index, mb->highest);
    mb->lost_dated = mb->lost.n;
    if (modseq)
        mb->highest = mb->provisional = modseq;
}

static bool row_is_behind(const struct store_mailbox *mb)
{
    struct store_index_folder row;
    if (store_index_folder(mb->index, mb->cur_ino, &row) < 0)
        return false;
    return !row.id || !store_stamp_eq(&row.stamp, &mb->stamp) ||
           (!store_index_believable(&row) && mb->taken_ns > row.taken_ns);
}

void mailbox_settle(struct store_mailbox *mb, bool bulk)
{
    struct store_index_folder row;
    if (!mb->index || mb->asleep)
        return;
    mailbox_anchor(mb);
    if (!mb->unwritten && !mb->lost.n && !(bulk && mb->measured) && !row_is_behind(mb)) {
        store_index_commit(mb->index); /* of a guard */
        return;
    }
    if (!bulk && mb->folder_id == 0 && count_changes(mb) > BULK &&
        store_index_generation(mb->index)) {
        mb->later = true;
        settle_alone(mb);
        return;
    }
    if (store_index_begin(mb->index) == 0) {
        if (write_all(mb, &row) == 0 && store_index_commit(mb->index) == 0) {
            settled(mb, &row);
            return;
        }
        store_index_rollback(mb->index);
        if (mb->known == 0)
            mb->folder_id = 0;
    }
    settle_alone(mb);
}

/* What was put off may be older than what others did since: their names of the files count, and their rows. */
static void look_before_writing(struct store_mailbox *mb)
{
    struct err e;
    if (!mb->later || !mb->loaded || store_index_in_change(mb->index) || !store_mailbox_changed(mb))
        return;
    mb->later = false;
    (void)mailbox_look(mb, &e);
}

void store_mailbox_settle(struct store_mailbox *mb, bool bulk)
{
    if (!mb->index || mb->asleep)
        return;
    look_before_writing(mb);
    mailbox_settle(mb, bulk);
}

/* The flags are in the names of the files already. Who looks at those before the index is written finds the changes
 * there, and gives them a mod-sequence that this view takes over. */
void store_mailbox_settle_later(struct store_mailbox *mb)
{
    if (!mb->index || mb->asleep || mb->folder_id == 0 || store_index_in_change(mb->index) ||
        store_index_generation(mb->index) != mb->generation) {
        store_mailbox_settle(mb, false);
        return;
    }
    if (!mb->unwritten)
        return;
    mailbox_anchor(mb);
    mb->later = true;
    settle_alone(mb);
}

bool store_mailbox_unsettled(const struct store_mailbox *mb)
{
    return mb->index && (mb->later || mb->unwritten || mb->measured || mb->lost.n);
}

int store_mailbox_guard(struct store_mailbox *mb)
{
    return mb->index && store_index_begin(mb->index) == 0 && mailbox_follow(mb) == 0 ? 0 : 1;
}

uint64_t store_mailbox_highest(const struct store_mailbox *mb)
{
    return mb->folder_id || mb->later ? mb->highest : 0;
}

/* ---- what vanished ---- */

void store_mailbox_vanished(struct store_mailbox *mb, uint64_t since,
                            void (*fn)(void *, uint32_t, uint32_t), void *ctx)
{
    if (mb->folder_id && since >= mb->logged_since && since != 0 &&
        store_index_generation(mb->index) == mb->generation) {
        if (store_index_vanished(mb->index, mb->folder_id, since, fn, ctx) == 0)
            return;
    }
    /* The log does not reach back so far (RFC 7162 3.2.5.1): all that is not there. */
    uint32_t next = 1;
    for (size_t i = 0; i < mb->count; i++) {
        if (mb->msg[i].gone)
            continue;
        if (mb->msg[i].uid > next)
            fn(ctx, next, mb->msg[i].uid - 1);
        next = mb->msg[i].uid + 1;
    }
    if (next < mb->uidnext)
        fn(ctx, next, mb->uidnext - 1);
}

/* ---- pieces ---- */

static bool has_pieces(const struct store_mailbox *mb)
{
    return mb->index && mb->folder_id && mb->known;
}

static bool can_use_pieces(struct store_mailbox *mb)
{
    return has_pieces(mb) && store_index_in_use(mb->index) == mb->generation;
}

#define SETTLE_AGAIN_MS 2000

/* Not again and again where it cannot be. */
void store_mailbox_prepare(struct store_mailbox *mb)
{
    if (!mb->later || mb->folder_id || clock_mono_ms() < mb->later_at)
        return;
    mb->later_at = clock_mono_ms() + SETTLE_AGAIN_MS;
    store_mailbox_settle(mb, true);
}

bool store_mailbox_piece(struct store_mailbox *mb, size_t index, enum store_piece kind,
                         struct str *out)
{
    const struct store_msg *m = &mb->msg[index];
    return !m->rebased && can_use_pieces(mb) &&
           store_index_piece(mb->index, mb->folder_id, kind, m->uid, out);
}

void store_mailbox_keep(struct store_mailbox *mb, size_t index, enum store_piece kind, struct str text)
{
    const struct store_msg *m = &mb->msg[index];
    if (!m->rebased && !m->gone && can_use_pieces(mb))
        store_index_keep(mb->index, mb->folder_id, kind, m->uid, text);
}

bool store_mailbox_in_blocks(const struct store_mailbox *mb, size_t index)
{
    return has_pieces(mb) && !mb->msg[index].rebased;
}

bool store_mailbox_block(struct store_mailbox *mb, uint32_t number, enum store_piece kind,
                         struct str *out)
{
    return can_use_pieces(mb) && store_index_piece(mb->index, mb->folder_id, kind, number, out);
}

void store_mailbox_keep_block(struct store_mailbox *mb, uint32_t number, enum store_piece kind,
                              struct str text)
{
    if (can_use_pieces(mb))
        store_index_keep(mb->index, mb->folder_id, kind, number, text);
}
