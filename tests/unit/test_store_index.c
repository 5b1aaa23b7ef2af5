/* store/index.h, watch.h, copy.h, and views that are put away (mailbox.h). */
#include "store/copy.h"
#include "store/database.h"
#include "store/index.h"
#include "store/mailbox.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "facteur.index.sqlite"

static const unsigned char guid[16] = "0123456789abcde";

/* ---- the index ---- */

/* A folder with messages 1 to count, written in one change. */
static int64_t put_messages(struct store_index *x, uint64_t inode, uint32_t count, uint64_t modseq)
{
    struct store_index_folder f = {.cur_ino = inode, .uidvalidity = 7, .uidnext = count + 1,
                                   .highest = modseq, .messages = count, .stamp = {1, 2, 3, 4, 5}};
    memcpy(f.guid, guid, sizeof guid);
    CU_ASSERT_FATAL(store_index_begin(x) == 0 && store_index_put_folder(x, &f) == 0 && f.id > 0);
    for (uint32_t uid = 1; uid <= count; uid++) {
        char name[40];
        snprintf(name, sizeof name, "%u.M%uP1.host:2,S", uid, uid);
        const struct store_index_row row = {.uid = uid, .keywords = uid, .size = uid * 10u,
                                            .vsize = uid * 11u, .modseq = modseq, .date = -5,
                                            .name = str_from(name), .flags = 3, .in_new = uid == 2};
        CU_ASSERT_FATAL(store_index_put(x, f.id, &row) == 0);
    }
    CU_ASSERT_FATAL(store_index_commit(x) == 0);
    return f.id;
}

static void on_row(void *ctx, const struct store_index_row *row)
{
    buf_printf(ctx, "%u:%llu:%.*s ", row->uid, (unsigned long long)row->modseq, STR_FMT(row->name));
    CU_ASSERT(row->keywords == row->uid && row->size == row->uid * 10 && row->date == -5 &&
              row->vsize == row->uid * 11 && row->flags == 3 && row->in_new == (row->uid == 2));
}

static void on_range(void *ctx, uint32_t first, uint32_t last)
{
    buf_printf(ctx, "%u-%u ", first, last);
}

static void index_rows(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct store_index_folder row;
    struct store_index *x = store_index_new(f.fd);
    CU_ASSERT(store_index_folder(x, 77, &row) == 1 && row.id == 0);
    int64_t id = put_messages(x, 77, 3, 100);
    CU_ASSERT(store_index_folder(x, 77, &row) == 0 && row.id == id && row.uidvalidity == 7 &&
              row.uidnext == 4 && row.highest == 100 && row.stamp.list_size == 5 &&
              memcmp(row.guid, guid, sizeof guid) == 0);
    CU_ASSERT(store_index_rows(x, id, 0, on_row, &b) == 0);
    UNIT_STR(b, "1:100:1.M1P1.host:2,S 2:100:2.M2P1.host:2,S 3:100:3.M3P1.host:2,S ");
    buf_clear(&b);
    CU_ASSERT(store_index_rows(x, id, 100, on_row, &b) == 0 && b.n == 0);
    CU_ASSERT(store_index_begin(x) == 0 && store_index_remove(x, id, 120, 2, 3) == 0 &&
              store_index_commit(x) == 0);
    CU_ASSERT(store_index_rows(x, id, 0, on_row, &b) == 0);
    UNIT_STR(b, "1:100:1.M1P1.host:2,S ");
    buf_clear(&b);
    CU_ASSERT(store_index_vanished(x, id, 119, on_range, &b) == 0);
    UNIT_STR(b, "2-3 ");
    buf_clear(&b);
    CU_ASSERT(store_index_vanished(x, id, 120, on_range, &b) == 0 && b.n == 0);
    /* What is taken back is as if it had never been. */
    CU_ASSERT(store_index_begin(x) == 0 && store_index_remove(x, id, 130, 1, 1) == 0);
    store_index_rollback(x);
    CU_ASSERT(store_index_rows(x, id, 0, on_row, &b) == 0 && b.n > 0);
    store_index_free(x);
}

static void index_log_is_bounded(void)
{
    FIXTURE f = fixture_new();
    struct store_index *x = store_index_new(f.fd);
    int64_t id = put_messages(x, 77, 1, 100);
    uint64_t since = 100;
    AUTO_BUF b = {0};
    CU_ASSERT_FATAL(store_index_begin(x) == 0);
    for (uint32_t i = 0; i <= 20000; i++)
        CU_ASSERT_FATAL(store_index_remove(x, id, 1000 + i, 10 + 2 * i, 10 + 2 * i) == 0);
    CU_ASSERT(store_index_trim(x, id, &since) == 0 && since > 1000 && since < 21000);
    CU_ASSERT(store_index_commit(x) == 0);
    CU_ASSERT(store_index_vanished(x, id, 0, on_range, &b) == 0);
    CU_ASSERT(b.n > 0 && !str_starts(buf_view(&b), STR("10-10 ")));
    store_index_free(x);
}

static void index_pieces(void)
{
    FIXTURE f = fixture_new();
    struct store_index *x = store_index_new(f.fd);
    int64_t id = put_messages(x, 77, 200, 100);
    struct str got;
    for (uint32_t uid = 1; uid <= 200; uid += 3)
        store_index_keep(x, id, STORE_PIECE_ENVELOPE, uid, STR("envelope"));
    store_index_keep(x, id, STORE_PIECE_BODY, 4, STR("body"));
    /* What is not written yet is found too. */
    CU_ASSERT(store_index_untidy(x));
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_BODY, 4, &got) && str_eq(got, STR("body")));
    /* In any order, and the last word counts. */
    store_index_keep(x, id, STORE_PIECE_PREVIEW, 8, STR("eight"));
    store_index_keep(x, id, STORE_PIECE_PREVIEW, 20, STR("twenty"));
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_PREVIEW, 20, &got) && str_eq(got, STR("twenty")));
    CU_ASSERT(!store_index_piece(x, id, STORE_PIECE_PREVIEW, 9, &got));
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_PREVIEW, 8, &got) && str_eq(got, STR("eight")));
    store_index_keep(x, id, STORE_PIECE_PREVIEW, 8, STR("8"));
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_PREVIEW, 8, &got) && str_eq(got, STR("8")));
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_PREVIEW, 20, &got) && str_eq(got, STR("twenty")));
    CU_ASSERT(!store_index_piece(x, id + 1, STORE_PIECE_PREVIEW, 8, &got));
    CU_ASSERT(store_index_untidy(x));
    store_index_tidy(x);
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_PREVIEW, 8, &got) && str_eq(got, STR("8")));
    CU_ASSERT(!store_index_untidy(x));
    for (uint32_t uid = 1; uid <= 200; uid++)
        CU_ASSERT(store_index_piece(x, id, STORE_PIECE_ENVELOPE, uid, &got) == (uid % 3 == 1));
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_BODY, 4, &got) && str_eq(got, STR("body")));
    CU_ASSERT(!store_index_piece(x, id, STORE_PIECE_BODY, 1, &got));
    CU_ASSERT(!store_index_piece(x, id + 1, STORE_PIECE_BODY, 4, &got));
    CU_ASSERT(store_index_begin(x) == 0 && store_index_forget(x, id, 4) == 0 &&
              store_index_commit(x) == 0);
    CU_ASSERT(!store_index_piece(x, id, STORE_PIECE_BODY, 4, &got) &&
              !store_index_piece(x, id, STORE_PIECE_ENVELOPE, 4, &got));
    /* Nor is what goes before it was written. */
    store_index_keep(x, id, STORE_PIECE_BODY, 7, STR("seven"));
    CU_ASSERT(store_index_begin(x) == 0 && store_index_remove(x, id, 110, 7, 7) == 0 &&
              store_index_commit(x) == 0);
    CU_ASSERT(!store_index_piece(x, id, STORE_PIECE_BODY, 7, &got));
    store_index_rest(x);
    CU_ASSERT(!store_index_piece(x, id, STORE_PIECE_BODY, 7, &got));
    /* Nothing is lost by a rest. */
    store_index_keep(x, id, STORE_PIECE_BODY, 5, STR("five"));
    store_index_rest(x);
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_BODY, 5, &got) && str_eq(got, STR("five")));
    store_index_free(x);
}

/* The client's next command does not wait for the disk; its silence is used for that. */
static void log_goes_home_at_rest(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF text = {0};
    struct stat before, after;
    struct store_index *x = store_index_new(f.fd), *other = store_index_new(f.fd);
    int64_t id = put_messages(x, 77, 1000, 100);
    struct store_index_folder row;
    CU_ASSERT(store_index_folder(other, 77, &row) == 0); /* or closing the database writes it home */
    memset(buf_room(&text, 8192), 'e', 8192);
    text.n = 8192;
    CU_ASSERT(fstatat(f.fd, FILE_NAME, &before, 0) == 0);
    for (uint32_t uid = 1; uid <= 1000; uid++)
        store_index_keep(x, id, STORE_PIECE_ENVELOPE, uid, buf_view(&text));
    store_index_tidy(x);
    CU_ASSERT(fstatat(f.fd, FILE_NAME, &after, 0) == 0 && after.st_size == before.st_size);
    store_index_rest(x);
    CU_ASSERT(fstatat(f.fd, FILE_NAME, &after, 0) == 0 && after.st_size > 1000 * 8192);
    store_index_free(other);
    store_index_free(x);
}

/* A block goes with the last of its messages, or with a message that is not what it was. */
static void index_blocks(void)
{
    FIXTURE f = fixture_new();
    struct store_index *x = store_index_new(f.fd);
    int64_t id = put_messages(x, 77, 4 * STORE_BLOCK, 100);
    struct str got;
    for (uint32_t i = 0; i <= 4; i++)
        store_index_keep(x, id, STORE_PIECE_DATES, i, STR("dates"));
    store_index_flush(x);
    /* Of the first and the last one something is left, the fourth is the one message 4096. */
    CU_ASSERT(store_index_begin(x) == 0 && store_index_remove(x, id, 120, 2, 3 * STORE_BLOCK) == 0 &&
              store_index_commit(x) == 0);
    for (uint32_t i = 0; i <= 4; i++)
        CU_ASSERT(store_index_piece(x, id, STORE_PIECE_DATES, i, &got) == (i == 0 || i >= 3));
    CU_ASSERT(store_index_begin(x) == 0 && store_index_remove(x, id, 130, 1, 1) == 0 &&
              store_index_remove(x, id, 130, 4 * STORE_BLOCK, 4 * STORE_BLOCK) == 0 &&
              store_index_commit(x) == 0);
    for (uint32_t i = 0; i <= 4; i++)
        CU_ASSERT(store_index_piece(x, id, STORE_PIECE_DATES, i, &got) == (i == 3));
    CU_ASSERT(store_index_begin(x) == 0 && store_index_forget(x, id, 3 * STORE_BLOCK + 5) == 0 &&
              store_index_commit(x) == 0);
    CU_ASSERT(!store_index_piece(x, id, STORE_PIECE_DATES, 3, &got));
    store_index_free(x);
}

/* A rest writes a long log home and begins a new one; a short one is left. */
static void index_log_is_written_home(void)
{
    FIXTURE f = fixture_new();
    struct store_index *x = store_index_new(f.fd);
    char text[20000];
    struct stat st;
    struct str got;
    int64_t id = put_messages(x, 77, 200, 100);
    memset(text, 'x', sizeof text);
    for (uint32_t uid = 1; uid <= 200; uid++)
        store_index_keep(x, id, STORE_PIECE_BODY, uid, (struct str){text, sizeof text});
    store_index_flush(x);
    CU_ASSERT(fstatat(f.fd, FILE_NAME "-wal", &st, 0) == 0 && st.st_size > 4000000);
    store_index_rest(x);
    CU_ASSERT(fstatat(f.fd, FILE_NAME "-wal", &st, 0) == 0 && st.st_size > 0 && st.st_size < 20000);
    CU_ASSERT(fstatat(f.fd, FILE_NAME, &st, 0) == 0 && st.st_size > 4000000);
    off_t home = st.st_size;
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_BODY, 200, &got) && got.n == sizeof text);
    store_index_keep(x, id, STORE_PIECE_BODY, 201, (struct str){text, sizeof text});
    store_index_rest(x);
    CU_ASSERT(fstatat(f.fd, FILE_NAME, &st, 0) == 0 && st.st_size == home);
    CU_ASSERT(store_index_piece(x, id, STORE_PIECE_BODY, 201, &got) && got.n == sizeof text);
    store_index_free(x);
}

static void two_sessions(void)
{
    FIXTURE f = fixture_new();
    struct store_index *one = store_index_new(f.fd), *two = store_index_new(f.fd);
    AUTO_BUF b = {0};
    int64_t id = put_messages(one, 77, 2, 100);
    CU_ASSERT(store_index_generation(one) == store_index_generation(two));
    CU_ASSERT(store_index_rows(two, id, 0, on_row, &b) == 0 && b.n > 0);
    CU_ASSERT(store_index_begin(one) == 0);
    CU_ASSERT(store_index_begin(two) == -1); /* waits a moment, and says not now */
    CU_ASSERT(store_index_commit(one) == 0 && store_index_begin(two) == 0);
    store_index_rollback(two);
    /* Removed under both: the next use makes one new database, for both. */
    uint64_t old = store_index_generation(one);
    unlinkat(f.fd, FILE_NAME, 0);
    CU_ASSERT(store_index_generation(one) != old && store_index_generation(one) != 0);
    CU_ASSERT(store_index_generation(one) == store_index_generation(two));
    store_index_free(one);
    store_index_free(two);
}

static void damage(struct fixture *f, void (*harm)(struct fixture *), bool made_anew)
{
    struct store_index_folder row;
    struct store_index *x = store_index_new(f->fd);
    put_messages(x, 77, 50, 100);
    uint64_t old = store_index_generation(x), modseq = store_index_modseq(x, 0);
    store_index_free(x);
    harm(f);
    x = store_index_new(f->fd);
    int r = store_index_folder(x, 77, &row);
    if (made_anew) {
        CU_ASSERT(r == 1 && store_index_generation(x) != old && store_index_generation(x) != 0);
        CU_ASSERT(store_index_modseq(x, 0) > modseq);
    } else {
        CU_ASSERT(r == -1 && store_index_generation(x) == 0);
    }
    store_index_free(x);
}

static void make_garbage(struct fixture *f)
{
    char text[8192];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    fixture_put(f->fd, FILE_NAME, text);
    unlinkat(f->fd, FILE_NAME "-wal", 0);
}

static void make_empty(struct fixture *f)
{
    fixture_put(f->fd, FILE_NAME, "");
    unlinkat(f->fd, FILE_NAME "-wal", 0);
}

static void write_at(struct fixture *f, off_t at, const char *bytes, size_t n)
{
    AUTO_FD fd = openat(f->fd, FILE_NAME, O_RDWR);
    CU_ASSERT_FATAL(fd >= 0 && pwrite(fd, bytes, n, at) == (ssize_t)n);
}

static void write_home(struct fixture *f)
{
    struct store_database d = {0};
    CU_ASSERT_FATAL(store_database_open(&d, f->fd, FILE_NAME, 0) == 0);
    sqlite3_exec(d.db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(d.db);
}

static void make_older(struct fixture *f)
{
    write_home(f);
    write_at(f, 60, "\0\0\0\1", 4); /* user_version */
}

static void make_holes(struct fixture *f)
{
    char zeros[4096] = {0};
    write_home(f);
    for (off_t page = 1; page < 8; page++)
        write_at(f, page * 4096, zeros, sizeof zeros);
}

static void make_forbidden(struct fixture *f)
{
    fixture_mode(f->fd, FILE_NAME, 0);
}

static void make_directory(struct fixture *f)
{
    unlinkat(f->fd, FILE_NAME, 0);
    CU_ASSERT_FATAL(mkdirat(f->fd, FILE_NAME, 0700) == 0);
}

static void damaged(void)
{
    static const struct {
        void (*harm)(struct fixture *);
        bool made_anew;
    } cases[] = {{make_garbage, true}, {make_empty, true}, {make_older, true}, {make_holes, true},
                 {make_forbidden, false}, {make_directory, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FIXTURE f = fixture_new();
        damage(&f, cases[i].harm, cases[i].made_anew);
    }
}

static void modseqs_grow(void)
{
    FIXTURE f = fixture_new();
    struct store_index *x = store_index_new(f.fd);
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t next = store_index_modseq(x, last);
        CU_ASSERT_FATAL(next > last);
        last = next;
    }
    store_index_free(x);
    /* The clock was set back by years, and the database is lost. */
    fixture_put(f.fd, "facteur.modseq", "9000000000000000\n");
    unlinkat(f.fd, FILE_NAME, 0);
    x = store_index_new(f.fd);
    CU_ASSERT(store_index_modseq(x, 0) > UINT64_C(9000000000000000));
    store_index_free(x);
}

/* ---- the watch ---- */

static void watching(void)
{
    FIXTURE f = fixture_new();
    struct store_watch w;
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    AUTO_FD new = store_dir_open(root, "new");
    store_watch_open(&w, cur, new, -1);
    CU_ASSERT_FATAL(w.fd >= 0);
    CU_ASSERT(!store_watch_touched(&w));
    fixture_put(cur, "a:2,", "x");
    CU_ASSERT(store_watch_touched(&w) && !w.rescan && !w.new_touched);
    CU_ASSERT(w.names.n == 6 && memcmp(w.names.p, "+a:2,", 6) == 0);
    store_watch_clear(&w);
    /* What is announced is not told; what others do in between is. */
    renameat(cur, "a:2,", cur, "a:2,S");
    store_watch_own(&w, false, "a:2,", false, "a:2,S");
    CU_ASSERT(!store_watch_touched(&w));
    renameat(cur, "a:2,S", cur, "a:2,F");
    store_watch_own(&w, false, "a:2,S", false, "a:2,F");
    unlinkat(cur, "a:2,F", 0);
    CU_ASSERT(store_watch_touched(&w) && w.names.n == 7 && memcmp(w.names.p, "-a:2,F", 7) == 0);
    store_watch_clear(&w);
    fixture_put(new, "b", "x");
    CU_ASSERT(store_watch_touched(&w) && w.new_touched && w.names.n == 0);
    store_watch_clear(&w);
    /* A file that went may have another name that is not told yet, until its rename was told whole. */
    fixture_put(cur, "c", "x");
    renameat(cur, "c", root, "c");
    CU_ASSERT(store_watch_touched(&w) && w.moving);
    renameat(root, "c", cur, "c");
    renameat(cur, "c", cur, "d");
    CU_ASSERT(store_watch_touched(&w) && !w.moving);
    store_watch_clear(&w);
    for (int i = 0; i <= STORE_WATCH_MOST; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        fixture_put(cur, name, "x");
    }
    CU_ASSERT(store_watch_touched(&w) && w.rescan && w.names.n == 0);
    store_watch_close(&w);
    CU_ASSERT(w.fd == -1 && !store_watch_touched(&w));
}

static void watch_goes_on(void)
{
    FIXTURE f = fixture_new();
    struct store_watch w;
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    AUTO_FD new = store_dir_open(root, "new");
    AUTO_FD sent = store_dir_open(root, ".Sent/cur");
    AUTO_FD sent_new = store_dir_open(root, ".Sent/new");
    store_watch_open(&w, cur, new, -1);
    fixture_put(cur, "a", "x");
    int fd = store_watch_leave(&w);
    CU_ASSERT_FATAL(fd >= 0 && w.fd == -1);
    store_watch_open(&w, sent, sent_new, fd);
    CU_ASSERT(w.fd == fd);
    fixture_put(cur, "b", "x");
    CU_ASSERT(!store_watch_touched(&w)); /* not of the folder before */
    fixture_put(sent, "c", "x");
    CU_ASSERT(store_watch_touched(&w) && !w.rescan);
    store_watch_close(&w);
}

/* ---- views that are put away ---- */

static void write_mail(int root, const char *name)
{
    AUTO_FD cur = store_dir_open(root, "cur");
    fixture_put(cur, name, "Subject: x\n\ny\n");
}

static struct store_mailbox *open_inbox(int root, struct store_index *x)
{
    struct store_mailbox *mb;
    struct err e;
    CU_ASSERT_FATAL(store_mailbox_open(root, STR("INBOX"), false, x, &mb, &e) == 0);
    return mb;
}

static void sleeping(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    const struct store_changes *ch;
    struct err e;
    for (char name[] = "1000.M1.h,S=14,W=17:2,"; name[6] < '6'; name[6]++)
        write_mail(root, name);
    struct store_index *x = store_index_new(root), *y = store_index_new(root);
    struct store_mailbox *mb = open_inbox(root, x), *other = open_inbox(root, y);
    CU_ASSERT(store_mailbox_sync(mb, true, &ch, &e) == 0);
    CU_ASSERT_FATAL(store_mailbox_sleep(mb) && store_mailbox_asleep(mb));
    CU_ASSERT(store_mailbox_count(mb) == 0);
    store_index_rest(x);
    /* Nothing happened: it sleeps on. */
    CU_ASSERT(store_mailbox_sync(mb, true, &ch, &e) == 0 && ch->exists == 5 && ch->expunged == 0 &&
              !ch->exists_grew && store_mailbox_asleep(mb));
    CU_ASSERT(store_mailbox_store(other, 3, STORE_OP_ADD, STORE_FLAGGED, 0, &e) == 0 &&
              store_mailbox_expunge(other, 1, &e) == 0);
    store_mailbox_settle(other, false);
    write_mail(root, "1000.M9.h,S=14,W=17:2,S");
    CU_ASSERT(store_mailbox_sync(mb, true, &ch, &e) == 0 && !store_mailbox_asleep(mb));
    CU_ASSERT(ch->expunged == 1 && ch->expunged_seq[0] == 2 && ch->exists == 5 && ch->exists_grew);
    CU_ASSERT(ch->flag_count == 1 && ch->flagged[0] == 3);
    CU_ASSERT(store_mailbox_at(mb, 2)->uid == 4 && store_mailbox_at(mb, 2)->flags == STORE_FLAGGED);
    CU_ASSERT(store_mailbox_at(mb, 4)->flags == STORE_SEEN);
    /* What waits to be told is not forgotten in a sleep, nor told where it may not be. */
    CU_ASSERT(store_mailbox_sync(other, true, &ch, &e) == 0);
    CU_ASSERT(store_mailbox_expunge(other, 0, &e) == 0);
    store_mailbox_settle(other, false);
    CU_ASSERT(store_mailbox_sync(mb, false, &ch, &e) == 0 && ch->waiting == 1);
    CU_ASSERT(store_mailbox_sleep(mb));
    CU_ASSERT(store_mailbox_sync(mb, false, &ch, &e) == 0 && ch->waiting == 1 && ch->expunged == 0 &&
              store_mailbox_asleep(mb));
    CU_ASSERT(store_mailbox_sync(mb, true, &ch, &e) == 0 && ch->expunged == 1 &&
              ch->expunged_seq[0] == 1 && ch->exists == 4);
    store_mailbox_close(mb);
    store_mailbox_close(other);
    store_index_free(x);
    store_index_free(y);
}

static void not_sleeping(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    write_mail(root, "1000.M1.h,S=14,W=17:2,");
    struct store_mailbox *mb = open_inbox(root, NULL);
    CU_ASSERT(!store_mailbox_sleep(mb)); /* without an index nothing could be asked */
    CU_ASSERT(store_mailbox_count(mb) == 1);
    store_mailbox_close(mb);
}

static void known_is_checked(void)
{
    static const char *const wrong[] = {"", "\2\1\1\1", "\1\0\1\0", "\1\7", "\1\7\1\x20"};
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct store_index *x = store_index_new(root);
    struct store_mailbox *mb;
    struct err e;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CU_ASSERT(store_mailbox_resume(root, STR("INBOX"), false, x, str_from(wrong[i]), &mb, &e) ==
                      -1 && e.kind == ERR_PERMANENT && !mb);
    /* UIDs from 1 on, more of them than there can be; and a length that is 0. */
    static const char many[] = "\1\7\1\6\1\xff\xff\xff\xff\x7f", none[] = "\1\7\1\2\1";
    CU_ASSERT(store_mailbox_resume(root, STR("INBOX"), false, x, (struct str){many, sizeof many - 1},
                                   &mb, &e) == -1);
    CU_ASSERT(store_mailbox_resume(root, STR("INBOX"), false, x, (struct str){none, sizeof none}, &mb,
                                   &e) == -1);
    store_index_free(x);
}

/* ---- views that others' sessions write for ---- */

static size_t last_told(struct store_mailbox *mb)
{
    const struct store_changes *ch;
    struct err e;
    CU_ASSERT_FATAL(store_mailbox_sync(mb, true, &ch, &e) == 0);
    return ch->exists_grew ? ch->exists : 0;
}

/* What a session wrote of a message that another one has not told its client yet. */
static void message_arrives(int root, struct store_mailbox *at, char number)
{
    char name[] = "1000.M1.h,S=14,W=17:2,";
    name[6] = number;
    write_mail(root, name);
    CU_ASSERT(last_told(at) == (size_t)(number - '0'));
}

/* Writing takes over what others wrote, and a client may not meet numbers it was not told (RFC 9051 7.4.1). */
static void numbers_are_told_first(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct err e;
    bool exact;
    write_mail(root, "1000.M1.h,S=14,W=17:2,");
    struct store_index *x = store_index_new(root), *y = store_index_new(root);
    struct store_mailbox *mb = open_inbox(root, x), *other = open_inbox(root, y);
    message_arrives(root, other, '2');
    CU_ASSERT(store_mailbox_measure(mb, 0, &e) == 0 && store_mailbox_unsettled(mb));
    store_mailbox_settle(mb, true); /* in a pause of the client */
    CU_ASSERT(store_mailbox_highest(mb) == store_mailbox_highest(other));
    CU_ASSERT(store_mailbox_count(mb) == 1);
    CU_ASSERT(store_mailbox_find(mb, 2, &exact) == 1 && !exact);
    CU_ASSERT(last_told(mb) == 2 && store_mailbox_count(mb) == 2);
    CU_ASSERT(store_mailbox_find(mb, 2, &exact) == 1 && exact);
    message_arrives(root, other, '3');
    CU_ASSERT(store_mailbox_guard(mb) == 0); /* within a command */
    CU_ASSERT(store_mailbox_count(mb) == 2);
    store_mailbox_settle(mb, false);
    CU_ASSERT(store_mailbox_count(mb) == 2 && last_told(mb) == 3);
    store_mailbox_close(mb);
    store_mailbox_close(other);
    store_index_free(x);
    store_index_free(y);
}

/* ---- copies ---- */

static void copies(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    struct store_copies c;
    struct store_writer w, v;
    struct err e;
    fixture_put(cur, "1.a.h,S=3,W=4:2,S", "ab\n");
    fixture_put(cur, "2.a.h:2,S", "ab\n");
    store_copies_begin(&c);
    CU_ASSERT(store_copies_add(&c, &w, root, cur, "none", &e) == 1);
    CU_ASSERT(store_copies_add(&c, &w, root, cur, "2.a.h:2,S", &e) == 2);
    CU_ASSERT(store_copies_add(&c, &w, root, cur, "1.a.h,S=3,W=4:2,S", &e) == 0 && c.young == 1);
    /* A time that was set does not make the content older. */
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    CU_ASSERT(utimensat(cur, "1.a.h,S=3,W=4:2,S", old, 0) == 0);
    CU_ASSERT(store_copies_add(&c, &v, root, cur, "1.a.h,S=3,W=4:2,S", &e) == 0 && c.young == 2);
    CU_ASSERT(strcmp(w.base, v.base) != 0 && w.size == 3 && w.vsize == 4);
    CU_ASSERT(store_copies_place(&w, cur, "1.a.h,S=3,W=4:2,S", cur, false, STORE_FLAGGED, 0, &e) == 0);
    CU_ASSERT(store_copies_sync(&c, root, &e) == 0 && fixture_count(root, "cur") == 3);
    renameat(cur, "1.a.h,S=3,W=4:2,S", cur, "1.a.h,S=3,W=4:2,RS");
    CU_ASSERT(store_copies_place(&v, cur, "1.a.h,S=3,W=4:2,S", cur, false, 0, 0, &e) == 1);
    CU_ASSERT(fixture_count(root, "cur") == 3 && fixture_count(root, "tmp") == 0);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"rows and what vanished", index_rows},
        {"the log of what vanished is bounded", index_log_is_bounded},
        {"pieces of answers", index_pieces},
        {"the log goes home at rest", log_goes_home_at_rest},
        {"blocks of messages", index_blocks},
        {"the log is written home", index_log_is_written_home},
        {"two sessions", two_sessions},
        {"a damaged, old or forbidden file", damaged},
        {"mod-sequences only grow", modseqs_grow},
        {"names that others touched", watching},
        {"a watch's descriptor goes on to the next folder", watch_goes_on},
        {"a view without its messages", sleeping},
        {"a view that cannot be put away", not_sleeping},
        {"what a client knows is checked", known_is_checked},
        {"numbers are told before they are used", numbers_are_told_first},
        {"copies by link", copies},
        {NULL, NULL}};
    return unit_main("store-index", tests);
}
