/*
 * Looking at a folder: by the index alone when it is up to date, at the names that inotify told, at
 * new/ alone, or at everything.
 *
 * The view is exact at its stamp when nothing of others can hide behind it: with inotify when no event
 * is left after the stamp was taken, else when the directories had been quiet for a clock tick.
 */
#include "store/mailbox_private.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define STAMP_MS 1000      /* how long the watch alone is believed */
#define OWN_CHANGE_MS 1000 /* how long a change of others may hide behind our own */
#define LOOKS 6
#define PART_MAX 200 /* new files that are looked at without looking at all */

static void due_in(struct store_mailbox *mb, int ms)
{
    int64_t at = clock_mono_ms() + ms;
    if (mb->recheck_at == 0 || at < mb->recheck_at)
        mb->recheck_at = at;
}

/* ---- stamps ---- */

int64_t mailbox_cur_ns(const struct store_mailbox *mb)
{
    struct stat st;
    if (mb->watch.fd >= 0 || fstat(mb->folder->cur_fd, &st) < 0)
        return -1;
    return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

void mailbox_own_change(struct store_mailbox *mb, int64_t before_ns)
{
    if (mb->watch.fd >= 0 || before_ns != mb->stamp.cur_ns)
        return;
    mb->stamp.cur_ns = mailbox_cur_ns(mb);
    mb->taken_ns = 0;
    due_in(mb, OWN_CHANGE_MS);
}

/* The uidlist as it was read, not as it is now. */
static void list_as_read(const struct store_mailbox *mb, struct store_stamp *s)
{
    const struct store_uidlist *u = &mb->folder->uids;
    const struct timespec t = u->seen.st_mtim;
    if (!u->readable || t.tv_sec == 0) {
        s->list_ino = mb->stamp.list_ino;
        s->list_size = mb->stamp.list_size;
        s->list_ns = mb->stamp.list_ns;
        return;
    }
    s->list_ino = u->seen.st_ino;
    s->list_size = (uint64_t)u->seen.st_size;
    s->list_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void mailbox_anchor(struct store_mailbox *mb)
{
    struct store_stamp now;
    int64_t at = store_folder_now(mb->folder);
    if (mb->watch.fd < 0 || store_watch_touched(&mb->watch) ||
        store_folder_stamp(mb->folder, &now, NULL) != 0 || store_watch_touched(&mb->watch))
        return;
    list_as_read(mb, &now);
    mb->stamp = now;
    mb->taken_ns = at;
}

/* Without inotify: what the scan itself saw. */
static void anchor_scan(struct store_mailbox *mb, const struct store_picture *p, bool held)
{
    mb->stamp = p->stamp;
    mb->taken_ns = p->uneasy ? 0 : store_folder_now(mb->folder);
    mb->recheck_at = 0;
    if (held) {
        mb->taken_ns = 0;
        mb->watch.rescan = true;
        due_in(mb, MAILBOX_TICK_MS);
    } else if (mb->watch.fd >= 0) {
        mailbox_anchor(mb);
    }
    if (p->uneasy && mb->watch.fd < 0)
        due_in(mb, 2 * MAILBOX_TICK_MS);
}

/* ---- pictures ---- */

static int check_identity(struct store_mailbox *mb, const struct store_picture *p, struct err *e)
{
    if (mb->uidvalidity == 0) {
        mb->uidvalidity = p->uidvalidity;
        memcpy(mb->guid, p->guid, sizeof mb->guid);
    }
    if (mb->uidvalidity == p->uidvalidity)
        return 0;
    if (!mb->loaded && !mb->memo) { /* only the index had another one */
        mailbox_start_again(mb);
        mb->uidnext = mb->uidvalidity = 0;
        mb->folder_id = 0;
        mb->known = mb->highest = 0;
        return check_identity(mb, p, e);
    }
    err_perm(e, "UIDVALIDITY changed from %u to %u", mb->uidvalidity, p->uidvalidity);
    return err_client(e, "UIDVALIDITY changed, select the mailbox again");
}

/* -1, and a better reason when the folder itself is no more. */
static int refuse(const struct store_mailbox *mb, struct err *e)
{
    struct stat st;
    if (fstat(mb->folder->dir_fd, &st) == 0 && st.st_nlink == 0) {
        err_perm(e, "the folder was deleted");
        return err_client(e, "The mailbox was deleted");
    }
    return -1;
}

/* Whether the picture can be taken as it is. Of the first look nothing is kept back in the end, but it is not the last
 * word either. */
static bool is_sure(struct store_mailbox *mb, struct store_picture *p, bool part, bool last, bool *held)
{
    *held = false;
    if (part)
        return !mailbox_passed_by(mb, p);
    bool all = mailbox_complete(mb, p) || !p->uneasy, sure = all || mailbox_weigh(mb, p);
    if (all || (last && !mb->loaded)) {
        *held = !sure;
        mailbox_believe(mb);
        return true;
    }
    return sure || last;
}

/* 0 done; 1 look again (a file only seemed to be missing, or UIDs were given anew); -1. */
static int take_picture(struct store_mailbox *mb, struct store_picture *p, bool part, bool last,
                        bool *held, struct err *e)
{
    struct mailbox_merge m;
    int r = check_identity(mb, p, e);
    if (r != 0)
        return r;
    if (!is_sure(mb, p, part, last, held))
        return 1;
    m.late = mem_array(p->count + 1, sizeof *m.late);
    mailbox_merge(mb, p, part, &m);
    *held |= m.held;
    if (m.late_count && !last && !mb->read_only) {
        r = store_folder_renumber(mb->folder, m.late, m.late_count, e) == 0 ? 1 : -1;
        mb->watch.rescan = true;
    }
    free(m.late);
    return r;
}

static int look_at_all(struct store_mailbox *mb, bool last, struct err *e)
{
    struct store_picture p;
    bool held = false;
    mb->partly = false;
    store_watch_clear(&mb->watch);
    if (store_folder_scan(mb->folder, !mb->read_only, &p, e) != 0) {
        mb->watch.rescan = true;
        return refuse(mb, e);
    }
    int r = take_picture(mb, &p, false, last, &held, e);
    if (r != 0)
        mb->watch.rescan = true;
    else
        anchor_scan(mb, &p, held);
    store_picture_free(&p);
    return r;
}

/* ---- looking at a part ---- */

/* One that was thought to be gone keeps its UID, as long as nobody was told so. */
static uint32_t known_uid(void *ctx, struct str base)
{
    const struct store_msg *m = mailbox_by_base(ctx, base);
    return m && !(m->gone && m->logged) ? m->uid : 0;
}

/* The names that came, each once, with the last word about it. */
static size_t names_that_came(const struct buf *names, struct str out[STORE_WATCH_NAMES], bool came)
{
    struct str rest = buf_view(names);
    size_t n = 0;
    while (rest.n) {
        bool plus = rest.p[0] == '+';
        struct str name = str_from(rest.p + 1);
        rest = str_skip(rest, name.n + 2);
        size_t i = 0;
        while (i < n && !str_eq(out[i], name))
            i++;
        if (plus == came && i == n)
            out[n++] = name;
        else if (plus != came && i < n)
            out[i] = out[--n];
    }
    return n;
}

static bool is_there(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* A message's file is not where it was. 1: it may have another name that has not been told yet. */
static int lose(struct store_mailbox *mb, struct store_msg *m)
{
    if (mb->watch.moving || mb->watch.fd < 0)
        return 1;
    mailbox_mark_gone(mb, m);
    return 0;
}

/* Messages whose file went and did not come back under another name. 0; 1: look at all. */
static int look_for_gone(struct store_mailbox *mb, const struct str *went, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct store_msg *m = mailbox_by_name(mb, went[i]);
        if (m && !is_there(mb->folder->cur_fd, mailbox_name(mb, m)) && lose(mb, m) != 0)
            return 1;
    }
    for (size_t i = mb->count; i-- > 0;) {
        struct store_msg *m = &mb->msg[i];
        if (m->in_new && !m->gone && !is_there(mb->folder->new_fd, mailbox_name(mb, m)) &&
            lose(mb, m) != 0)
            return 1;
    }
    return 0;
}

/* 0; 1: look at all; -1. before: the stamp from before, all but new/ and the names is as it was then. */
static int look_at_part(struct store_mailbox *mb, const struct store_stamp *before, struct err *e)
{
    struct store_picture p;
    struct str came[STORE_WATCH_NAMES], went[STORE_WATCH_NAMES];
    if (mb->watch.pending > STORE_WATCH_NAMES)
        return 1;
    AUTO_BUF names = mb->watch.names;
    mb->watch.names = (struct buf){0};
    mb->watch.pending = 0;
    mb->watch.new_touched = false;
    mb->partly = true;
    struct store_part part = {.names = came, .count = names_that_came(&names, came, true),
                              .limit = PART_MAX, .known = known_uid, .ctx = mb};
    int r = store_folder_scan_part(mb->folder, !mb->read_only, &part, &p, e);
    if (r != 0)
        return r < 0 ? refuse(mb, e) : 1;
    bool held;
    r = take_picture(mb, &p, true, false, &held, e);
    store_picture_free(&p);
    if (r != 0)
        return r;
    if (look_for_gone(mb, went, names_that_came(&names, went, false)) != 0)
        return 1;
    list_as_read(mb, &mb->stamp);
    mb->stamp.cur_ns = before->cur_ns;
    mb->stamp.new_ns = before->new_ns;
    mb->taken_ns = 0;
    if (mb->watch.fd >= 0)
        mailbox_anchor(mb);
    else
        due_in(mb, OWN_CHANGE_MS);
    return 0;
}

/* ---- the index ---- */

/* Enough to add to the uidlist without reading it. */
static void resume_list(struct store_mailbox *mb, const struct store_index_folder *row)
{
    struct store_uidlist_end end = {
        .uidvalidity = row->uidvalidity, .uidnext = row->uidnext, .ino = row->stamp.list_ino,
        .size = row->stamp.list_size, .lines = (size_t)row->lines,
        .records = (size_t)row->messages};
    memcpy(end.guid, row->guid, sizeof end.guid);
    if (row->lines)
        store_uidlist_resume(&mb->folder->uids, &end);
}

/* Whether the row is of this folder: another one may have had its inodes. */
static bool is_of(struct store_mailbox *mb, const struct store_index_folder *row,
                  const struct store_stamp *now)
{
    uint32_t uidvalidity;
    unsigned char guid[16];
    const struct store_stamp *s = &row->stamp;
    if (s->list_ino == now->list_ino && s->list_size == now->list_size &&
        s->list_ns == now->list_ns)
        return true;
    return store_uidlist_identity(mb->folder->dir_fd, &uidvalidity, guid) == 0 &&
           uidvalidity == row->uidvalidity && memcmp(guid, row->guid, sizeof guid) == 0;
}

/* The first look: 0; 1: all has to be looked at; -1. */
static int look_at_index(struct store_mailbox *mb, struct err *e)
{
    struct store_index_folder row;
    struct store_stamp now;
    if (store_folder_stamp(mb->folder, &now, e) != 0)
        return refuse(mb, e);
    if (store_index_folder(mb->index, mb->cur_ino, &row) != 0 || !is_of(mb, &row, &now) ||
        mailbox_load(mb, &row) != 0)
        return 1;
    if (!store_index_believable(&row) || row.stamp.cur_ns != now.cur_ns ||
        row.stamp.list_ino != now.list_ino || row.stamp.list_size > now.list_size)
        return 1;
    resume_list(mb, &row);
    mb->stamp = row.stamp;
    mb->taken_ns = row.taken_ns;
    if (store_stamp_eq(&row.stamp, &now) && (mb->read_only || row.in_new == 0))
        return 0;
    return look_at_part(mb, &now, e);
}

/* Another session has written to the index all that happened. */
static bool index_has_all(struct store_mailbox *mb, const struct store_stamp *now)
{
    struct store_index_folder row;
    if (!mb->folder_id || mb->watch.new_touched ||
        store_index_folder(mb->index, mb->cur_ino, &row) != 0 || row.id != mb->folder_id ||
        store_index_generation(mb->index) != mb->generation || !store_index_believable(&row) ||
        !store_stamp_eq(&row.stamp, now) || (!mb->read_only && row.in_new))
        return false;
    store_watch_clear(&mb->watch);
    if (mailbox_follow(mb) != 0) {
        mb->watch.rescan = true;
        return false;
    }
    resume_list(mb, &row);
    mb->stamp = row.stamp;
    mb->taken_ns = row.taken_ns;
    mb->recheck_at = 0;
    return true;
}

/* ---- looking ---- */

static int look_once(struct store_mailbox *mb, bool last, struct err *e)
{
    struct store_stamp now;
    bool touched = store_watch_touched(&mb->watch), due = store_mailbox_due_ms(mb) == 0;
    if (store_folder_stamp(mb->folder, &now, e) != 0)
        return refuse(mb, e);
    if (!touched && !due && store_stamp_eq(&now, &mb->stamp))
        return 0;
    bool few = touched && !mb->watch.rescan;
    if (!few && index_has_all(mb, &now))
        return 0;
    if (few || (!due && !mb->watch.rescan && now.cur_ns == mb->stamp.cur_ns)) {
        int r = look_at_part(mb, &now, e);
        if (r <= 0)
            return r;
    }
    return look_at_all(mb, last, e);
}

static int first_look(struct store_mailbox *mb, bool last, struct err *e)
{
    struct stat st;
    if (fstat(mb->folder->cur_fd, &st) < 0)
        return store_errno(e, "stat cur");
    mb->cur_ino = st.st_ino;
    bool fresh = mb->outlined || mb->count == 0;
    mb->outlined = false;
    int r = mb->index && fresh ? look_at_index(mb, e) : 1;
    if (r > 0)
        r = look_at_all(mb, last, e);
    mb->loaded = r == 0;
    if (r == 0 && mb->memo)
        mailbox_drop_blank(mb);
    return r;
}

/* The uidlist was read after the files were listed: somebody may have numbered a file meanwhile that the
 * view has not; or a look at a part came when it was renamed. Forgotten, it would be numbered again. */
static bool is_ahead(const struct store_mailbox *mb, int64_t began_ns)
{
    const struct store_uidlist *u = &mb->folder->uids;
    int64_t written_ns = (int64_t)u->seen.st_mtim.tv_sec * 1000000000 + u->seen.st_mtim.tv_nsec;
    return u->readable && u->count && u->recs[u->count - 1].uid > mb->max_uid &&
           (mb->partly || written_ns > began_ns - MAILBOX_TICK_MS * 1000000);
}

int mailbox_look(struct store_mailbox *mb, struct err *e)
{
    int r = 1;
    int64_t began_ns = 0;
    for (int i = 1; i <= LOOKS && r == 1; i++) {
        began_ns = store_folder_now(mb->folder);
        r = mb->loaded ? look_once(mb, i == LOOKS, e) : first_look(mb, i == LOOKS, e);
    }
    if (is_ahead(mb, began_ns)) {
        mb->taken_ns = 0;
        mb->watch.rescan = true;
        due_in(mb, MAILBOX_TICK_MS);
    } else {
        store_uidlist_rest(&mb->folder->uids);
    }
    if (r < 0)
        return -1;
    mailbox_settle(mb, false);
    return 0;
}

/* The watch tells of cur/ and new/, but not of the list. Now and then all is looked at, should it fail to. */
static bool stamp_differs(struct store_mailbox *mb)
{
    struct store_stamp now;
    int64_t ms = clock_mono_ms();
    bool all = mb->watch.fd < 0 || ms >= mb->stamp_at;
    if (all)
        mb->stamp_at = ms + STAMP_MS;
    if ((all ? store_folder_stamp : store_folder_list_stamp)(mb->folder, &now, NULL) != 0)
        return true;
    if (!all) {
        now.cur_ns = mb->stamp.cur_ns;
        now.new_ns = mb->stamp.new_ns;
    }
    return !store_stamp_eq(&now, &mb->stamp);
}

bool store_mailbox_changed(struct store_mailbox *mb)
{
    return store_mailbox_due_ms(mb) == 0 || store_watch_touched(&mb->watch) || stamp_differs(mb);
}

int store_mailbox_due_ms(const struct store_mailbox *mb)
{
    if (mb->recheck_at == 0)
        return -1;
    int64_t left = mb->recheck_at - clock_mono_ms();
    return left > 0 ? (int)left : 0;
}

int store_mailbox_watch(const struct store_mailbox *mb)
{
    return mb->watch.fd;
}

int store_mailbox_sync(struct store_mailbox *mb, bool expunge, const struct store_changes **out,
                       struct err *e)
{
    *out = &mb->changes;
    bool look = store_mailbox_changed(mb);
    if ((look || (mb->asleep && expunge && mb->memo->waiting)) && store_mailbox_wake(mb, e) != 0)
        return -1;
    if (look && mailbox_look(mb, e) != 0)
        return -1;
    if (mb->unwritten && !mb->later)
        mailbox_settle(mb, false);
    if (store_keywords_refresh(&mb->folder->keywords, mb->folder->dir_fd, e) != 0)
        return -1;
    mailbox_tell(mb, expunge);
    return 0;
}
